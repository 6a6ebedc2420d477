import { type Abortable, messageOf } from '../util/index.ts';
import type { Bucket } from './buckets.ts';
import type { Codec } from './codec.ts';
import { DatabaseError } from './errors.ts';
import { fullKey, keyEnd, keyStart, shortKey } from './keys.ts';
import type { BatchOp, RecordStore } from './record-store.ts';

export interface IterateOptions extends Abortable {
  /** Only keys that begin with it. */
  readonly prefix?: string;
  /** Only keys after it. */
  readonly gt?: string;
  /** Only keys before it. */
  readonly lt?: string;
  /** From the last key to the first. */
  readonly reverse?: boolean;
  /** At most so many records; the caller knows what it can hold. */
  readonly limit: number;
}

/**
 * The records of one kind, by string key in the byte order of UTF-8. Reading is here; changing is done by handing the
 * `BatchOp`s of one or more repositories to `Database.write`. Every method throws DatabaseError `DB_KEY_INVALID` for a
 * key that cannot be one, `DB_DAMAGED` (with bucket and key) for a record that does not decode, `DB_CLOSED`.
 */
export class Repository<T> {
  readonly bucket: Bucket;
  readonly #store: RecordStore;
  readonly #codec: Codec<T>;
  /** Records by their bytes, as long as these are at hand. */
  readonly #records = new WeakMap<Uint8Array, T>();

  constructor(store: RecordStore, bucket: Bucket, codec: Codec<T>) {
    this.#store = store;
    this.bucket = bucket;
    this.#codec = codec;
  }

  async get(key: string): Promise<T | undefined> {
    const bytes = await this.#store.get(fullKey(this.bucket, key));
    return bytes === undefined ? undefined : this.#recordOf(key, bytes);
  }

  /** The records of `keys` in their order, undefined where there is none. */
  async getMany(keys: readonly string[]): Promise<(T | undefined)[]> {
    if (keys.length === 0) return [];
    const found = await this.#store.getMany(keys.map(key => fullKey(this.bucket, key)));
    return found.map((bytes, i) => (bytes === undefined ? undefined : this.#recordOf(keys[i]!, bytes)));
  }

  async has(key: string): Promise<boolean> {
    return (await this.#store.get(fullKey(this.bucket, key))) !== undefined;
  }

  /** Key and record pairs in key order, as they were when the iteration began. */
  async *iterate(options: IterateOptions): AsyncGenerator<[string, T]> {
    const { prefix = '', gt, lt, reverse = false, limit, signal } = options;
    const start = keyStart(this.bucket, prefix);
    const end = keyEnd(start);
    const after = gt === undefined ? undefined : keyStart(this.bucket, gt);
    const before = lt === undefined ? undefined : keyStart(this.bucket, lt);
    const range = {
      ...(after !== undefined && Buffer.compare(after, start) >= 0 ? { gt: after } : { gte: start }),
      lt: before !== undefined && Buffer.compare(before, end) < 0 ? before : end,
      reverse,
      limit,
    };
    signal?.throwIfAborted();
    for await (const [full, bytes] of this.#store.iterate(range)) {
      signal?.throwIfAborted();
      const key = shortKey(this.bucket, full);
      yield [key, this.#decode(key, bytes)];
    }
  }

  /** The change that stores `value` under `key`, in place of what was there. */
  putOp(key: string, value: T): BatchOp {
    const bytes = this.#codec.encode(value);
    this.#records.set(bytes, value);
    return { type: 'put', key: fullKey(this.bucket, key), value: bytes };
  }

  /** The change that removes what is under `key`, if anything. */
  delOp(key: string): BatchOp {
    return { type: 'del', key: fullKey(this.bucket, key) };
  }

  #recordOf(key: string, bytes: Uint8Array): T {
    const known = this.#records.get(bytes);
    if (known !== undefined) return known;
    const record = this.#decode(key, bytes);
    this.#records.set(bytes, record);
    return record;
  }

  #decode(key: string, bytes: Uint8Array): T {
    try {
      return this.#codec.decode(bytes);
    } catch (cause) {
      throw new DatabaseError(
        { code: 'DB_DAMAGED', bucket: this.bucket, key },
        `the record ${this.bucket}/${key} is damaged (${messageOf(cause)}): put a backup of the database back`,
        { cause },
      );
    }
  }
}
