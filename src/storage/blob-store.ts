import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, type Logger, Semaphore } from '../util/index.ts';
import { rawCid, rawCidOf } from '../wire/index.ts';
import { type BlobFacts, type BlobWriter, createBlobWriter } from './blob-writer.ts';
import { StorageError } from './errors.ts';
import { Quota } from './quota.ts';
import { isRawCid } from './raw-cid.ts';

export interface BlobStoreComponents {
  readonly logger: Logger;
}

export interface BlobStoreInit {
  readonly dir: string;
  /** Of all blobs together. */
  readonly maxBytes: number;
}

/** Files named by the CID of their bytes (codec raw, sha2-256). Names from outside are checked before they become a path. */
export interface BlobStore {
  /** Makes the directory, removes what an interrupted write left, and adds up what is there. */
  start(): Promise<void>;
  /** Idempotent. @throws StorageError `STORAGE_FULL`. */
  put(bytes: Uint8Array): Promise<string>;
  /** For bytes that come in pieces, at most `maxBytes` of them. @throws StorageError `STORAGE_FULL`. */
  create(maxBytes: number): Promise<BlobWriter>;
  /** Undefined when it is not here. @throws StorageError `BLOB_DAMAGED`, `BLOB_NAME`. */
  get(cid: string): Promise<Uint8Array | undefined>;
  /**
   * In pieces from `offset`, each good until the next is asked for; undefined when it is not here. Whoever reads it to the end checks the CID.
   * @throws StorageError `BLOB_NAME`.
   */
  read(cid: string, offset?: number): Promise<BlobReading | undefined>;
  /** Its size, or undefined when it is not here. @throws StorageError `BLOB_NAME`. */
  sizeOf(cid: string): Promise<number | undefined>;
  /** The same, and makes it young again: it stays for what is about to be written down. @throws StorageError `BLOB_NAME`. */
  touch(cid: string): Promise<number | undefined>;
  /** Reads it through: whether its bytes are still those of its name. @throws StorageError `BLOB_NAME`. */
  isSound(cid: string): Promise<boolean>;
  /** Where it lies, whether or not it is there. @throws StorageError `BLOB_NAME`. */
  path(cid: string): string;
  /** True when it was here. @throws StorageError `BLOB_NAME`. */
  delete(cid: string): Promise<boolean>;
  /**
   * Removes what was last put before `before` (wall-clock milliseconds) and is not in `keep`; answers how many. A `put` of bytes
   * that are here already makes them young again, so nothing goes that is about to be written down.
   */
  sweep(keep: ReadonlySet<string>, before: number): Promise<number>;
  /** Bytes that count against the limit, and those that are left of it. */
  size(): number;
  free(): number;
}

export interface BlobReading {
  readonly size: number;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** A piece of a file that is read or sent: few enough calls for a gigabyte, little enough memory for each of many readers. */
const PIECE_BYTES = 256 * 1024;

const TEMPORARY = '.part';
/** Folder of what is on its way in: longer than the two letters of the others. */
const INCOMING = 'incoming';

export function createBlobStore({ logger }: BlobStoreComponents, init: BlobStoreInit): BlobStore {
  return new FileBlobStore(logger, init);
}

class FileBlobStore implements BlobStore {
  readonly #logger: Logger;
  readonly #dir: string;
  readonly #quota: Quota;
  /** Files come to their names and go one by one. */
  readonly #changes = new Semaphore(1);

  constructor(logger: Logger, { dir, maxBytes }: BlobStoreInit) {
    this.#logger = logger;
    this.#dir = dir;
    this.#quota = new Quota(maxBytes);
  }

  async start(): Promise<void> {
    await mkdir(join(this.#dir, INCOMING), { recursive: true, mode: 0o700 });
    this.#quota.clear();
    for (const folder of await readdir(this.#dir, { withFileTypes: true }))
      if (folder.isDirectory()) await this.#takeStock(join(this.#dir, folder.name));
  }

  async #takeStock(folder: string): Promise<void> {
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if (name.endsWith(TEMPORARY)) await rm(path, { force: true });
      else if (isRawCid(name)) this.#quota.count((await stat(path)).size);
      else this.#logger.warn({ path }, 'a file that is no blob lies in the storage; remove it');
    }
  }

  async put(bytes: Uint8Array): Promise<string> {
    const cid = rawCid(bytes);
    if ((await sizeOf(this.path(cid))) === bytes.length && (await this.touch(cid)) !== undefined) return cid;
    const writer = await this.create(bytes.length);
    try {
      await writer.write(bytes);
      await writer.commit();
    } finally {
      await writer.discard();
    }
    return cid;
  }

  create(maxBytes: number): Promise<BlobWriter> {
    const part = join(this.#dir, INCOMING, `${randomBytes(12).toString('hex')}${TEMPORARY}`);
    return createBlobWriter(part, maxBytes, this.#quota, (path, facts) => this.#publish(path, facts));
  }

  /** By its name or not at all. A file of another size is damaged, and replaced. */
  #publish(part: string, { cid, size }: BlobFacts): Promise<void> {
    const path = this.path(cid);
    return this.#changes.run(async () => {
      const before = await sizeOf(path);
      if (before === size) return makeYoung(path);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await rename(part, path);
      this.#quota.count(size);
      if (before !== undefined) this.#quota.give(before);
    });
  }

  async get(cid: string): Promise<Uint8Array | undefined> {
    const path = this.path(cid);
    let bytes: Uint8Array;
    try {
      bytes = await readFile(path);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    if (rawCid(bytes) !== cid)
      throw new StorageError(
        { code: 'BLOB_DAMAGED', cid },
        `the file of ${cid} is damaged; delete it and fetch it again`,
      );
    return bytes;
  }

  async read(cid: string, offset = 0): Promise<BlobReading | undefined> {
    const path = this.path(cid);
    const size = await sizeOf(path);
    return size === undefined ? undefined : { size, bytes: pieces(path, offset, size) };
  }

  async sizeOf(cid: string): Promise<number | undefined> {
    return sizeOf(this.path(cid));
  }

  touch(cid: string): Promise<number | undefined> {
    const path = this.path(cid);
    return this.#changes.run(async () => {
      const size = await sizeOf(path);
      if (size !== undefined) await makeYoung(path);
      return size;
    });
  }

  async isSound(cid: string): Promise<boolean> {
    const reading = await this.read(cid);
    if (!reading) return false;
    const hash = createHash('sha256');
    for await (const piece of reading.bytes) hash.update(piece);
    return rawCidOf(hash.digest()) === cid;
  }

  delete(cid: string): Promise<boolean> {
    const path = this.path(cid);
    return this.#changes.run(async () => {
      const bytes = await sizeOf(path);
      if (bytes === undefined) return false;
      await rm(path, { force: true });
      this.#quota.give(bytes);
      return true;
    });
  }

  async sweep(keep: ReadonlySet<string>, before: number): Promise<number> {
    let removed = 0;
    for (const folder of await readdir(this.#dir, { withFileTypes: true })) {
      if (!folder.isDirectory()) continue;
      for (const cid of await readdir(join(this.#dir, folder.name)))
        if (isRawCid(cid) && !keep.has(cid) && (await this.#removeIfOlder(cid, before))) removed++;
    }
    return removed;
  }

  /** Looked at and removed in one turn: no `put` comes between. */
  #removeIfOlder(cid: string, before: number): Promise<boolean> {
    const path = this.path(cid);
    return this.#changes.run(async () => {
      const { size, mtimeMs } = await stat(path);
      if (mtimeMs >= before) return false;
      await rm(path, { force: true });
      this.#quota.give(size);
      return true;
    });
  }

  size(): number {
    return this.#quota.usedBytes;
  }

  free(): number {
    return this.#quota.freeBytes;
  }

  /** Spread over folders by the last letters but one, the evenest of a CID's text. */
  path(cid: string): string {
    if (!isRawCid(cid))
      throw new StorageError({ code: 'BLOB_NAME', cid: cid.slice(0, 100) }, 'not the CID of raw bytes');
    return join(this.#dir, cid.slice(-3, -1), cid);
  }
}

/** Opened when the first piece is asked for: a reading that nobody begins holds nothing. */
async function* pieces(path: string, from: number, size: number): AsyncGenerator<Uint8Array> {
  const handle = await open(path, 'r');
  try {
    for (let offset = from; offset < size; ) {
      const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, size - offset));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset);
      if (bytesRead === 0) return;
      offset += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

function makeYoung(path: string): Promise<void> {
  const now = new Date();
  return utimes(path, now, now);
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}
