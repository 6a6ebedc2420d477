import { StorageError } from './errors.ts';

/** What the smallest file takes on disk: counting it bounds the number of files too. */
const BLOCK_BYTES = 4096;

/** The room of one store. Nothing is awaited between looking and taking, so that the sum stays right. */
export class Quota {
  readonly #maxBytes: number;
  #usedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get freeBytes(): number {
    return Math.max(0, this.#maxBytes - this.#usedBytes);
  }

  /** Takes room for a file, or for its growth from `before`. @throws StorageError `STORAGE_FULL`. */
  take(bytes: number, before?: number): void {
    const more = cost(bytes) - (before === undefined ? 0 : cost(before));
    const [usedBytes, maxBytes] = [this.#usedBytes, this.#maxBytes];
    if (more > 0 && usedBytes + more > maxBytes)
      throw new StorageError(
        { code: 'STORAGE_FULL', bytes, usedBytes, maxBytes },
        `the storage holds ${usedBytes} of ${maxBytes} bytes: no room for ${bytes} more; delete results or raise the limit`,
      );
    this.#usedBytes += more;
  }

  /** What is there already counts whatever the limit says. */
  count(bytes: number): void {
    this.#usedBytes += cost(bytes);
  }

  give(bytes: number): void {
    this.#usedBytes -= cost(bytes);
  }

  clear(): void {
    this.#usedBytes = 0;
  }
}

function cost(bytes: number): number {
  return Math.max(BLOCK_BYTES, bytes);
}
