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
  /** What is on its way to the disk, of one batch at a time. */
  readonly #writing = new Map<string, Uint8Array>();
  /** Names that are being read, each with the last read of it; none that a write has met since. */
  readonly #reading = new Map<string, object>();

  /** From here, or by `read` where one of `keys` is not known. */
  async getMany(
    keys: Uint8Array[],
    read: (keys: Uint8Array[]) => Promise<(Uint8Array | undefined)[]>,
  ): Promise<(Uint8Array | undefined)[]> {
    const names = keys.map(nameOf);
    const found = names.map(name => (this.#writing.has(name) ? undefined : this.#values.get(name)));
    const missing = names.flatMap((name, i) => (found[i] === undefined ? [{ name, key: keys[i]! }] : []));
    if (missing.length > 0) {
      const values = (await this.#read(missing, read)).values();
      return found.map(value => (value === undefined ? values.next().value : presentOf(value)));
    }
    return found.map(presentOf);
  }

  /** What no write has met on its way is kept. */
  async #read(
    missing: readonly { readonly name: string; readonly key: Uint8Array }[],
    read: (keys: Uint8Array[]) => Promise<(Uint8Array | undefined)[]>,
  ): Promise<(Uint8Array | undefined)[]> {
    const turn = {};
    for (const { name } of missing) if (!this.#writing.has(name)) this.#reading.set(name, turn);
    const isUnmet = ({ name }: { name: string }) =>
      this.#reading.get(name) === turn && this.#reading.delete(name);
    try {
      const values = await read(missing.map(({ key }) => key));
      for (const [i, entry] of missing.entries())
        if (isUnmet(entry)) this.#values.set(entry.name, values[i] ?? ABSENT);
      return values;
    } finally {
      missing.forEach(isUnmet);
    }
  }

  /** `ops` are about to be written: one batch at a time. */
  begin(ops: readonly BatchOp[]): void {
    for (const op of ops) {
      const name = nameOf(op.key);
      this.#reading.delete(name);
      this.#writing.set(name, op.type === 'put' ? op.value : ABSENT);
    }
  }

  /** They were written. */
  done(): void {
    for (const [name, value] of this.#writing) this.#values.set(name, value);
    this.#writing.clear();
  }

  clear(): void {
    this.#values.clear();
  }
}

const presentOf = (value: Uint8Array | undefined) => (value === ABSENT ? undefined : value);

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
