import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { rawCidOf } from '../wire/index.ts';
import { StorageError } from './errors.ts';
import type { Quota } from './quota.ts';

export interface BlobFacts {
  readonly cid: string;
  readonly size: number;
}

/** A blob on its way in: its bytes go to disk as they come and nowhere else. One call at a time. */
export interface BlobWriter {
  /** Bytes written so far. */
  readonly size: number;
  /** @throws StorageError `STORAGE_FULL`, `BLOB_TOO_LARGE`, `BLOB_CLOSED`. */
  write(bytes: Uint8Array): Promise<void>;
  /** No more bytes come: says what they are. It is still no blob of the store. */
  end(): Promise<BlobFacts>;
  /** Makes it one, under the CID that `end` said. */
  commit(): Promise<BlobFacts>;
  /** Removes what was written, if it was not committed. May be called at any time, and twice. */
  discard(): Promise<void>;
}

/** Moves a complete file to its place in the store. */
export type Publish = (path: string, facts: BlobFacts) => Promise<void>;

/** @throws what opening a new file at `path` throws. */
export async function createBlobWriter(
  path: string,
  maxBytes: number,
  quota: Quota,
  publish: Publish,
): Promise<BlobWriter> {
  quota.take(0);
  try {
    // never written again once it is there, and handed to sandboxes as it is: its folders keep others out
    return new PartWriter(await open(path, 'wx', 0o444), path, maxBytes, quota, publish);
  } catch (error) {
    quota.give(0);
    throw error;
  }
}

class PartWriter implements BlobWriter {
  size = 0;
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #quota: Quota;
  readonly #publish: Publish;
  readonly #hash = createHash('sha256');
  #closing: Promise<void> | undefined;
  #facts: BlobFacts | undefined;
  #isGone = false;

  constructor(handle: FileHandle, path: string, maxBytes: number, quota: Quota, publish: Publish) {
    this.#handle = handle;
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#quota = quota;
    this.#publish = publish;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#closing)
      throw new StorageError({ code: 'BLOB_CLOSED' }, 'the blob was ended before this piece');
    const size = this.size + bytes.length;
    const maxBytes = this.#maxBytes;
    if (size > maxBytes)
      throw new StorageError({ code: 'BLOB_TOO_LARGE', maxBytes }, `more than ${maxBytes} bytes came`);
    this.#quota.take(size, this.size);
    this.size = size;
    this.#hash.update(bytes);
    for (let at = 0; at < bytes.length; )
      at += (await this.#handle.write(bytes, at, bytes.length - at)).bytesWritten;
  }

  async end(): Promise<BlobFacts> {
    await this.#close();
    this.#facts ??= { cid: rawCidOf(this.#hash.digest()), size: this.size };
    return this.#facts;
  }

  async commit(): Promise<BlobFacts> {
    const facts = await this.end();
    if (this.#isGone) throw new StorageError({ code: 'BLOB_CLOSED' }, 'the blob was let go of before');
    this.#isGone = true;
    try {
      await this.#publish(this.#path, facts);
    } finally {
      await this.#remove();
    }
    return facts;
  }

  async discard(): Promise<void> {
    await this.#close();
    if (this.#isGone) return;
    this.#isGone = true;
    await this.#remove();
  }

  #close(): Promise<void> {
    this.#closing ??= this.#handle.close();
    return this.#closing;
  }

  /** The room of the part; what became a blob has taken its own. */
  async #remove(): Promise<void> {
    await rm(this.#path, { force: true });
    this.#quota.give(this.size);
  }
}
