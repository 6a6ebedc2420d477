import type { Capacity, Share } from '../capacity.ts';
import { PLACE_MS, QUEUE_PER_SLOT } from '../options.ts';

/** A place that a requester asked for while every slot was taken. */
export interface Reservation {
  /** Task, replica and attempt. */
  readonly key: string;
  readonly requester: string;
  readonly share: Share;
  readonly priority: number;
}

/** A slot that is held for a reservation while its requester is asked, and for its task then; `release` gives it back. */
export interface Claim {
  readonly reservation: Reservation;
  readonly release: () => void;
}

interface Entry extends Reservation {
  readonly until: number;
}

/**
 * Late binding, the worker's side: places for tasks that may have found another worker by the time a slot is free. They come after
 * the worker's own queue. With it they are no more than that may hold, and no requester has more than half of them.
 */
export class Reservations {
  readonly #capacity: Capacity;
  #entries: Entry[] = [];
  /** Tasks that a slot is held for: asked for again, they would be given a second one. */
  readonly #held = new Set<string>();

  constructor(capacity: Capacity) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** False: there is no place, or that task has one or a slot. */
  reserve(reservation: Reservation, nowMs: number): boolean {
    this.#expire(nowMs);
    const { key, requester, share, priority } = reservation;
    const most = QUEUE_PER_SLOT * this.#capacity.total.slots;
    const own = this.#entries.filter(entry => entry.requester === requester).length;
    const isFull = this.#entries.length + this.#capacity.queued >= most || own >= most / 2;
    const isKnown = this.#held.has(key) || this.#entries.some(entry => entry.key === key);
    if (isFull || isKnown || !this.#capacity.canHold(share)) return false;
    // a minute of age is worth one step of priority: no place is kept for so long
    const behind = this.#entries.findIndex(other => other.priority < priority);
    const at = behind < 0 ? this.#entries.length : behind;
    this.#entries.splice(at, 0, { key, requester, share, priority, until: nowMs + PLACE_MS });
    return true;
  }

  /** Its requester has no more use for it. */
  cancel(key: string, requester: string): void {
    this.#entries = this.#entries.filter(entry => entry.key !== key || entry.requester !== requester);
  }

  /**
   * The next place whose turn it is, its slot held; undefined while the first in line does not fit. To be asked until then whenever a
   * slot was freed, a place taken or a claim answered by `cancel`.
   */
  claim(nowMs: number): Claim | undefined {
    this.#expire(nowMs);
    const reservation = this.#entries[0];
    const release = reservation && this.#capacity.take(reservation.share, reservation.requester);
    if (!reservation || !release) return undefined;
    this.#entries.shift();
    this.#held.add(reservation.key);
    return {
      reservation,
      release: () => {
        this.#held.delete(reservation.key);
        release();
      },
    };
  }

  #expire(nowMs: number): void {
    this.#entries = this.#entries.filter(({ until }) => until >= nowMs);
  }
}
