import type { Clock } from '../../util/index.ts';
import type { Capacity, CapacityInit, Line, Share } from '../capacity.ts';
import { FairQueue, type Turn } from '../fair-queue.ts';
import { PLACE_MS, QUEUE_PER_SLOT } from '../options.ts';

/** A place that a requester asked for while every slot was taken. */
export interface Reservation extends Turn {
  /** Task, replica and attempt. */
  readonly key: string;
  readonly share: Share;
}

/** A slot that is held for a reservation while its requester is asked, and for its task then; `release` gives it back. */
export interface Claim<R> {
  readonly reservation: R;
  readonly release: () => void;
}

interface Entry<R> extends Turn {
  readonly cost: number;
  readonly reservation: R;
  readonly until: number;
}

/**
 * Late binding, the worker's side: places for tasks that may have found another worker by the time a slot is free. They come after
 * the worker's own queue, by the same turns, and with it they are no more than it may hold; no requester has more than half of them.
 */
export class Reservations<R extends Reservation = Reservation> implements Line {
  readonly #capacity: Capacity;
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** The oldest first. */
  readonly #entries = new Map<string, Entry<R>>();
  readonly #turns = new FairQueue<Entry<R>>();
  /** Tasks that a slot is held for: asked for again, they would be given a second one. */
  readonly #held = new Set<string>();

  constructor(capacity: Capacity, clock: Pick<Clock, 'monotonic'>) {
    this.#capacity = capacity;
    this.#clock = clock;
  }

  get size(): number {
    this.#expire();
    return this.#entries.size;
  }

  get total(): CapacityInit {
    return this.#capacity.total;
  }

  get free(): CapacityInit {
    return this.#capacity.free;
  }

  get running(): number {
    return this.#capacity.running;
  }

  get queued(): number {
    return this.#capacity.queued + this.size;
  }

  queuedBy(requester: string): number {
    return this.#capacity.queuedBy(requester) + this.#turns.sizeOf(requester);
  }

  canHold(share: Share): boolean {
    return this.#capacity.canHold(share);
  }

  /** Who waits is not passed by who comes: a large task would never find all that it needs. */
  fitsNow(share: Share, requester: string): boolean {
    return this.#mayStart(requester) && this.#capacity.fitsNow(share, requester);
  }

  /** A slot for a task that begins at once, or nothing. */
  take(share: Share, requester: string): (() => void) | undefined {
    return this.#mayStart(requester) ? this.#capacity.take(share, requester) : undefined;
  }

  /** Takes the place of an earlier one for the same task. False: there is none, or that task has a slot. */
  reserve(reservation: R): boolean {
    const { key, requester, share, priority, deadline } = reservation;
    this.cancel(key, requester);
    const most = QUEUE_PER_SLOT * this.total.slots;
    const isFull = this.queued >= most || this.queuedBy(requester) >= most / 2;
    if (isFull || this.#held.has(key) || this.#entries.has(key) || !this.canHold(share)) return false;
    const now = this.#clock.monotonic();
    const cost = this.#capacity.slotsOf(share);
    const entry = { requester, priority, deadline, cost, reservation, until: now + PLACE_MS };
    this.#entries.set(key, entry);
    this.#turns.add(entry, now);
    return true;
  }

  /** Its requester has no more use for it. */
  cancel(key: string, requester: string): void {
    const entry = this.#entries.get(key);
    if (entry?.requester === requester) this.#remove(key, entry);
  }

  /**
   * The next place whose turn it is, its slot held; undefined while the first in line does not fit. To be asked until then whenever a
   * slot was freed, a place taken or a claim answered by `cancel`.
   */
  claim(): Claim<R> | undefined {
    this.#expire();
    const { owner } = this.#capacity;
    const first = this.#turns.peek(requester => this.#capacity.heldBy(requester));
    const own = this.#capacity.keepsSlotFor(owner) ? this.#turns.peekOf(owner) : undefined;
    for (const entry of [first, own]) {
      const release = entry && this.#capacity.take(entry.reservation.share, entry.requester);
      if (release) return this.#claimed(entry, release);
    }
    return undefined;
  }

  #claimed(entry: Entry<R>, release: () => void): Claim<R> {
    const { reservation } = entry;
    this.#entries.delete(reservation.key);
    this.#turns.take(entry);
    this.#held.add(reservation.key);
    return {
      reservation,
      release: () => {
        this.#held.delete(reservation.key);
        release();
      },
    };
  }

  #mayStart(requester: string): boolean {
    return this.size === 0 || this.#capacity.keepsSlotFor(requester);
  }

  #expire(): void {
    const now = this.#clock.monotonic();
    for (const [key, entry] of this.#entries) {
      if (entry.until >= now) break;
      this.#remove(key, entry);
    }
  }

  #remove(key: string, entry: Entry<R>): void {
    this.#entries.delete(key);
    this.#turns.remove(entry);
  }
}
