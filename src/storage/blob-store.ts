import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CodedError, codeOf, type Logger, Semaphore } from '../util/index.ts';
import { rawCid } from '../wire/index.ts';
import { isRawCid } from './raw-cid.ts';

export type StorageErrorType =
  | { code: 'STORAGE_FULL'; bytes: number; usedBytes: number; maxBytes: number }
  | { code: 'BLOB_DAMAGED'; cid: string }
  | { code: 'BLOB_NAME'; cid: string };

export class StorageError extends CodedError<StorageErrorType> {}

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
  /** Undefined when it is not here. @throws StorageError `BLOB_DAMAGED`, `BLOB_NAME`. */
  get(cid: string): Promise<Uint8Array | undefined>;
  /** @throws StorageError `BLOB_NAME`. */
  has(cid: string): Promise<boolean>;
  /** True when it was here. @throws StorageError `BLOB_NAME`. */
  delete(cid: string): Promise<boolean>;
  /**
   * Removes what was last put before `before` (wall-clock milliseconds) and is not in `keep`; answers how many. A `put` of bytes
   * that are here already makes them young again, so nothing goes that is about to be written down.
   */
  sweep(keep: ReadonlySet<string>, before: number): Promise<number>;
  /** Bytes that count against the limit. */
  size(): number;
}

/** What the smallest file takes on disk: counting it bounds the number of files too. */
const BLOCK_BYTES = 4096;

const TEMPORARY = '.part';

export function createBlobStore({ logger }: BlobStoreComponents, init: BlobStoreInit): BlobStore {
  return new FileBlobStore(logger, init);
}

class FileBlobStore implements BlobStore {
  readonly #logger: Logger;
  readonly #dir: string;
  readonly #maxBytes: number;
  /** Changes go one by one, so that the sum stays right. */
  readonly #changes = new Semaphore(1);
  #usedBytes = 0;

  constructor(logger: Logger, { dir, maxBytes }: BlobStoreInit) {
    this.#logger = logger;
    this.#dir = dir;
    this.#maxBytes = maxBytes;
  }

  async start(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    this.#usedBytes = 0;
    for (const folder of await readdir(this.#dir, { withFileTypes: true }))
      if (folder.isDirectory()) await this.#takeStock(join(this.#dir, folder.name));
  }

  async #takeStock(folder: string): Promise<void> {
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if (name.endsWith(TEMPORARY)) await rm(path, { force: true });
      else if (isRawCid(name)) this.#usedBytes += cost((await stat(path)).size);
      else this.#logger.warn({ path }, 'a file that is no blob lies in the storage; remove it');
    }
  }

  async put(bytes: Uint8Array): Promise<string> {
    const cid = rawCid(bytes);
    const path = this.#path(cid);
    await this.#changes.run(async () => {
      if ((await sizeOf(path)) !== bytes.length) return this.#write(path, bytes);
      const now = new Date();
      await utimes(path, now, now);
    });
    return cid;
  }

  /** To a name of its own, then renamed: a reader sees all of it or nothing. A file of another size is damaged, and replaced. */
  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const replacedBytes = await sizeOf(path);
    const usedBytes = this.#usedBytes - (replacedBytes === undefined ? 0 : cost(replacedBytes));
    const maxBytes = this.#maxBytes;
    if (usedBytes + cost(bytes.length) > maxBytes)
      throw new StorageError(
        { code: 'STORAGE_FULL', bytes: bytes.length, usedBytes, maxBytes },
        `the storage holds ${usedBytes} of ${maxBytes} bytes: no room for ${bytes.length} more; delete results or raise the limit`,
      );
    const temporary = `${path}.${randomBytes(6).toString('hex')}${TEMPORARY}`;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    try {
      await writeFile(temporary, bytes, { mode: 0o600, flag: 'wx' });
      await rename(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
    this.#usedBytes = usedBytes + cost(bytes.length);
  }

  async get(cid: string): Promise<Uint8Array | undefined> {
    const path = this.#path(cid);
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

  async has(cid: string): Promise<boolean> {
    return (await sizeOf(this.#path(cid))) !== undefined;
  }

  delete(cid: string): Promise<boolean> {
    const path = this.#path(cid);
    return this.#changes.run(async () => {
      const bytes = await sizeOf(path);
      if (bytes === undefined) return false;
      await rm(path, { force: true });
      this.#usedBytes -= cost(bytes);
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
    const path = this.#path(cid);
    return this.#changes.run(async () => {
      const { size, mtimeMs } = await stat(path);
      if (mtimeMs >= before) return false;
      await rm(path, { force: true });
      this.#usedBytes -= cost(size);
      return true;
    });
  }

  size(): number {
    return this.#usedBytes;
  }

  /** Spread over folders by the last letters but one, the evenest of a CID's text. */
  #path(cid: string): string {
    if (!isRawCid(cid))
      throw new StorageError({ code: 'BLOB_NAME', cid: cid.slice(0, 100) }, 'not the CID of raw bytes');
    return join(this.#dir, cid.slice(-3, -1), cid);
  }
}

function cost(bytes: number): number {
  return Math.max(BLOCK_BYTES, bytes);
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
