import type { Bucket } from './buckets.ts';
import type { Codec } from './codec.ts';
import { GroupCommit } from './group-commit.ts';
import type { Database, DatabaseComponents, DatabaseInit, WriteOptions } from './interface.ts';
import { LevelStore } from './level-store.ts';
import { RecentRecords } from './recent-records.ts';
import type { BatchOp, KeyRange } from './record-store.ts';
import { Repository } from './repository.ts';
import { checkVersion } from './version.ts';

/** A disk slower than this makes leases and votes late; the operator should hear of it. */
const SLOW_BATCH_MS = 1_000;

/**
 * Opens the database of a data directory, and with it the directory's lock: one daemon a directory, free again when
 * the process ends, however it ends.
 * @throws DatabaseError `DATA_DIR_LOCKED`, `DB_VERSION`, `DB_DAMAGED`, `DB_OPEN_FAILED`.
 */
export async function openDatabase(components: DatabaseComponents, init: DatabaseInit): Promise<Database> {
  const store = await LevelStore.open(init.dir);
  try {
    await checkVersion(store);
  } catch (error) {
    await store.close();
    throw error;
  }
  return new LevelDatabase(components, store);
}

class LevelDatabase implements Database {
  readonly #components: DatabaseComponents;
  readonly #store: LevelStore;
  readonly #commits: GroupCommit;
  readonly #recent = new RecentRecords();

  constructor(components: DatabaseComponents, store: LevelStore) {
    this.#components = components;
    this.#store = store;
    this.#commits = new GroupCommit((ops, sync) => this.#commit(ops, sync));
  }

  get failure(): Error | undefined {
    return this.#commits.failure;
  }

  repository<T>(bucket: Bucket, codec: Codec<T>): Repository<T> {
    return new Repository(this, bucket, codec);
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const [value] = await this.getMany([key]);
    return value;
  }

  getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#recent.getMany(keys, missing => this.#store.getMany(missing));
  }

  iterate(range: KeyRange): AsyncIterable<[Uint8Array, Uint8Array]> {
    return this.#store.iterate(range);
  }

  write(ops: readonly BatchOp[], { sync = false }: WriteOptions = {}): Promise<void> {
    return this.#commits.write(ops, sync);
  }

  async close(): Promise<void> {
    await this.#commits.close();
    this.#recent.clear();
    await this.#store.close();
  }

  async #commit(ops: BatchOp[], sync: boolean): Promise<void> {
    const { clock, logger } = this.#components;
    const startedAt = clock.monotonic();
    try {
      this.#recent.begin(ops);
      await this.#store.batch(ops, sync);
      this.#recent.done();
    } catch (error) {
      logger.error({ dir: this.#store.dir, error }, 'the database cannot be written');
      throw error;
    }
    const durationMs = Math.round(clock.monotonic() - startedAt);
    if (durationMs > SLOW_BATCH_MS) logger.warn({ durationMs, ops: ops.length, sync }, 'the disk is slow');
  }
}
