import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { DatabaseError, damaged, openError, readError, writeError } from './errors.ts';
import type { BatchOp, KeyRange, RecordStore } from './record-store.ts';

const BINARY = { keyEncoding: 'view', valueEncoding: 'view' } as const;

/** LevelDB with bytes in, bytes out, and errors that say what to do. */
export class LevelStore implements RecordStore {
  readonly dir: string;
  readonly #level: Level<Uint8Array, Uint8Array>;

  private constructor(dir: string, level: Level<Uint8Array, Uint8Array>) {
    this.dir = dir;
    this.#level = level;
  }

  /**
   * Opens `dataDir`/db, makes it if missing, and holds its lock until `close` or the end of the process.
   * @throws DatabaseError `DATA_DIR_LOCKED`, `DB_DAMAGED`, `DB_OPEN_FAILED`.
   */
  static async open(dataDir: string): Promise<LevelStore> {
    const dir = join(dataDir, 'db');
    try {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      if (await lacksItsRoot(dir)) throw damaged(dir);
      const level = new Level<Uint8Array, Uint8Array>(dir, BINARY);
      await level.open();
      return new LevelStore(dir, level);
    } catch (error) {
      throw error instanceof DatabaseError ? error : openError(dataDir, dir, error);
    }
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const [value] = await this.getMany([key]);
    return value;
  }

  async getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    try {
      return await this.#level.getMany(keys);
    } catch (error) {
      throw readError(this.dir, error);
    }
  }

  async *iterate(range: KeyRange): AsyncGenerator<[Uint8Array, Uint8Array]> {
    const iterator = this.#open(range);
    try {
      while (true) {
        const entry = await iterator.next().catch(error => {
          throw readError(this.dir, error);
        });
        if (entry === undefined) return;
        yield entry;
      }
    } finally {
      await iterator.close();
    }
  }

  /** All of `ops` or none; with `sync` only once the disk has them. */
  async batch(ops: BatchOp[], sync: boolean): Promise<void> {
    try {
      await this.#level.batch(ops, { sync });
    } catch (error) {
      throw writeError(this.dir, error);
    }
  }

  close(): Promise<void> {
    return this.#level.close();
  }

  #open(range: KeyRange) {
    try {
      return this.#level.iterator(range);
    } catch (error) {
      throw readError(this.dir, error);
    }
  }
}

/**
 * True when CURRENT, which names the manifest, is missing beside data or names nothing. Without it LevelDB would begin
 * anew beside the old tables; with a wrong one it reports a missing file as if the disk were at fault.
 */
async function lacksItsRoot(dir: string): Promise<boolean> {
  const names = await readdir(dir);
  if (!names.includes('CURRENT')) return names.some(name => /^MANIFEST-|\.(ldb|sst)$/.test(name));
  const manifest = await readFile(join(dir, 'CURRENT'), 'utf8');
  return !names.includes(manifest.trim());
}
