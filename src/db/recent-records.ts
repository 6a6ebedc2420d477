import { LRUCache } from 'lru-cache';
import type { BatchOp } from './record-store.ts';

/** What some hundred tasks have under way. */
const MAX_BYTES = 1024 * 1024;
/** Of an entry beside its key and value. */
const OVERHEAD_BYTES = 256;

/** What stands for a record that is not there. */
const ABSENT = Uint8Array.of();

/**
 * What was written or read last, by key: most records are asked for again within seconds, those that are not there as well, and a read
 * from LevelDB costs a thread's wake-up. It holds nothing that is on its way to the disk, so that a read sees all of a batch or none.
 */
export class RecentRecords {
  readonly #values = new LRUCache<string, Uint8Array>({
    maxSize: MAX_BYTES,
    sizeCalculation: (value, name) => value.length + name.length + OVERHEAD_BYTES,
  });
  /** Goes up when a write begins and when it ends: what was read in between may be either. */
  #writes = 0;

  /** From here, or by `read` where one of `keys` is not known. */
  async getMany(
    keys: Uint8Array[],
    read: (keys: Uint8Array[]) => Promise<(Uint8Array | undefined)[]>,
  ): Promise<(Uint8Array | undefined)[]> {
    const found = keys.map(key => this.#values.get(nameOf(key)));
    const missing = keys.filter((_, i) => found[i] === undefined);
    if (missing.length > 0) {
      const before = this.#writes;
      const values = await read(missing);
      if (this.#writes === before && before % 2 === 0)
        for (const [i, key] of missing.entries()) this.#keep(key, values[i]);
      const rest = values.values();
      return found.map(value => (value === undefined ? rest.next().value : presentOf(value)));
    }
    return found.map(presentOf);
  }

  /** `ops` are about to be written: one batch at a time. */
  begin(ops: readonly BatchOp[]): void {
    this.#writes++;
    for (const { key } of ops) this.#values.delete(nameOf(key));
  }

  /** `ops` were written. */
  done(ops: readonly BatchOp[]): void {
    this.#writes++;
    for (const op of ops) this.#keep(op.key, op.type === 'put' ? op.value : undefined);
  }

  clear(): void {
    this.#values.clear();
  }

  #keep(key: Uint8Array, value: Uint8Array = ABSENT): void {
    this.#values.set(nameOf(key), value);
  }
}

const presentOf = (value: Uint8Array | undefined) => (value === ABSENT ? undefined : value);

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
