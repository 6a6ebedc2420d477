import type { Clock } from '../util/index.ts';

/** What one task holds while it is staged and runs. */
export interface Share {
  readonly milliCpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  /** A GPU is held by one task at a time. Null: none. */
  readonly gpus: { readonly count: number } | null;
}

export interface CapacityInit extends Share {
  readonly slots: number;
}

/** One step of priority is worth a minute of waiting: nobody waits for ever behind those who come later. */
const AGE_MS = 60_000;

interface Waiting {
  readonly share: Share;
  /** Priority less the minute of its arrival: the order of two never changes while they wait. */
  readonly rank: number;
  readonly order: number;
  readonly grant: () => void;
}

/** This machine's lent capacity: who holds it, and who waits for it by priority and age, then by arrival. */
export class Capacity {
  readonly total: CapacityInit;
  #held = { slots: 0, milliCpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
  #waiting: Waiting[] = [];
  #arrivals = 0;
  readonly #clock: Pick<Clock, 'monotonic'>;

  constructor(total: CapacityInit, clock: Pick<Clock, 'monotonic'>) {
    this.total = total;
    this.#clock = clock;
  }

  get running(): number {
    return this.#held.slots;
  }

  get queued(): number {
    return this.#waiting.length;
  }

  get free(): CapacityInit {
    return {
      slots: this.total.slots - this.#held.slots,
      milliCpus: this.total.milliCpus - this.#held.milliCpus,
      memoryBytes: this.total.memoryBytes - this.#held.memoryBytes,
      diskBytes: this.total.diskBytes - this.#held.diskBytes,
      gpus: { count: gpusOf(this.total) - this.#held.gpus },
    };
  }

  /** Whether it could ever fit. */
  canHold(share: Share): boolean {
    return fits(share, this.total);
  }

  fitsNow(share: Share): boolean {
    return this.#waiting.length === 0 && this.free.slots > 0 && fits(share, this.free);
  }

  /** Resolves with what gives the share back, once it fits; rejects with the signal's reason. */
  acquire(share: Share, priority: number, { signal }: { signal: AbortSignal }): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const onAbort = () => {
        this.#waiting = this.#waiting.filter(other => other !== entry);
        reject(signal.reason);
        this.#admit();
      };
      const grant = () => {
        signal.removeEventListener('abort', onAbort);
        resolve(this.#hold(share));
      };
      const rank = priority - this.#clock.monotonic() / AGE_MS;
      const entry: Waiting = { share, rank, order: this.#arrivals++, grant };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(entry);
      this.#waiting.sort((a, b) => b.rank - a.rank || a.order - b.order);
      this.#admit();
    });
  }

  #hold(share: Share): () => void {
    let released = false;
    this.#change(share, 1);
    return () => {
      if (released) return;
      released = true;
      this.#change(share, -1);
      this.#admit();
    };
  }

  #change(share: Share, sign: 1 | -1): void {
    this.#held.slots += sign;
    this.#held.milliCpus += sign * share.milliCpus;
    this.#held.memoryBytes += sign * share.memoryBytes;
    this.#held.diskBytes += sign * share.diskBytes;
    this.#held.gpus += sign * gpusOf(share);
  }

  /** The first in line goes first: a large task is never starved by small ones behind it. */
  #admit(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (this.free.slots <= 0 || !fits(next.share, this.free)) return;
      this.#waiting.shift();
      next.grant();
    }
  }
}

function fits(share: Share, room: Share): boolean {
  return (
    share.milliCpus <= room.milliCpus &&
    share.memoryBytes <= room.memoryBytes &&
    share.diskBytes <= room.diskBytes &&
    gpusOf(share) <= gpusOf(room)
  );
}

const gpusOf = ({ gpus }: Share): number => gpus?.count ?? 0;
