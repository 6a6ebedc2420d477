import type { Clock } from '../util/index.ts';
import { FairQueue, type Turn, type Waiting } from './fair-queue.ts';

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

/** Whose own tasks some slots are kept for. */
export interface Owner {
  readonly peer: string;
  readonly slots: number;
}

type Held = Pick<Waiter, 'share' | 'requester' | 'cost'>;

interface Waiter extends Waiting {
  readonly share: Share;
  readonly grant: () => void;
}

/** What bids are made from: a machine, and those who wait for it. */
export type Line = Pick<
  Capacity,
  'total' | 'free' | 'running' | 'queued' | 'queuedBy' | 'canHold' | 'fitsNow'
>;

/** This machine's lent capacity: who holds it, and who waits for it. */
export class Capacity {
  readonly total: CapacityInit;
  /** Called when others may find room. */
  onRoom: () => void = () => {};
  #held = { slots: 0, milliCpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
  /** What each requester holds, in slots. */
  readonly #heldBy = new Map<string, number>();
  #heldByOwner = 0;
  readonly #waiting = new FairQueue<Waiter>();
  readonly #owner: Owner;
  readonly #clock: Pick<Clock, 'monotonic'>;

  constructor(total: CapacityInit, owner: Owner, clock: Pick<Clock, 'monotonic'>) {
    this.total = total;
    this.#owner = owner;
    this.#clock = clock;
  }

  get running(): number {
    return this.#held.slots;
  }

  get queued(): number {
    return this.#waiting.size;
  }

  queuedBy(requester: string): number {
    return this.#waiting.sizeOf(requester);
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

  fitsNow(share: Share, requester: string): boolean {
    return this.#waiting.size === 0 && this.#hasRoom(share, requester);
  }

  /** Held at once, or not at all; returns what gives it back. */
  take(share: Share, requester: string): (() => void) | undefined {
    if (!this.fitsNow(share, requester)) return undefined;
    return this.#hold({ share, requester, cost: this.slotsOf(share) });
  }

  /** Resolves with what gives the share back, once it fits; rejects with the signal's reason. */
  acquire(share: Share, turn: Turn, { signal }: { signal: AbortSignal }): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const onAbort = () => {
        this.#waiting.remove(waiter);
        reject(signal.reason);
        this.#admit();
      };
      const grant = () => {
        signal.removeEventListener('abort', onAbort);
        resolve(this.#hold(waiter));
      };
      const { requester, priority, deadline } = turn;
      const waiter: Waiter = { requester, priority, deadline, cost: this.slotsOf(share), share, grant };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter, this.#clock.monotonic());
      this.#admit();
    });
  }

  #hold(held: Held): () => void {
    let released = false;
    this.#change(held, 1);
    return () => {
      if (released) return;
      released = true;
      this.#change(held, -1);
      this.#admit();
    };
  }

  get owner(): string {
    return this.#owner.peer;
  }

  keepsSlotFor(requester: string): boolean {
    return requester === this.#owner.peer && this.#heldByOwner < this.#owner.slots;
  }

  /** What this requester's tasks hold, in slots. */
  heldBy(requester: string): number {
    return this.#heldBy.get(requester) ?? 0;
  }

  /** What it holds of the whole, by what it holds most of (dominant share, Ghodsi et al. 2011), in slots; never less than one. */
  slotsOf(share: Share): number {
    const { slots, milliCpus, memoryBytes, diskBytes } = this.total;
    const parts = [
      share.milliCpus / milliCpus,
      share.memoryBytes / memoryBytes,
      share.diskBytes / diskBytes,
      gpusOf(share) / Math.max(1, gpusOf(this.total)),
    ];
    return Math.max(1, slots * Math.max(...parts));
  }

  /** Others leave the owner's slots free. */
  #hasRoom(share: Share, requester: string): boolean {
    const kept = requester === this.#owner.peer ? 0 : this.#owner.slots - this.#heldByOwner;
    return this.free.slots > Math.max(0, kept) && fits(share, this.free);
  }

  #change({ share, requester, cost }: Held, sign: 1 | -1): void {
    const held = this.heldBy(requester) + sign * cost;
    // a little more than nothing is what is left of sums of fractions
    if (held > 1e-6) this.#heldBy.set(requester, held);
    else this.#heldBy.delete(requester);
    if (requester === this.#owner.peer) this.#heldByOwner += sign;
    this.#held.slots += sign;
    this.#held.milliCpus += sign * share.milliCpus;
    this.#held.memoryBytes += sign * share.memoryBytes;
    this.#held.diskBytes += sign * share.diskBytes;
    this.#held.gpus += sign * gpusOf(share);
  }

  #admit(): void {
    for (let next = this.#next(); next; next = this.#next()) {
      this.#waiting.take(next);
      next.grant();
    }
    this.onRoom();
  }

  /**
   * Whose turn it is goes first: a large task is never starved by small ones behind it. Only the owner's next may pass it, into a slot
   * that is kept for the owner.
   */
  #next(): Waiter | undefined {
    const first = this.#waiting.peek(requester => this.heldBy(requester));
    if (first && this.#hasRoom(first.share, first.requester)) return first;
    const { peer } = this.#owner;
    const own = this.keepsSlotFor(peer) ? this.#waiting.peekOf(peer) : undefined;
    return own && this.#hasRoom(own.share, peer) ? own : undefined;
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
