import { type Clock, type Deferred, deferred, raceSignal } from '../../util/index.ts';
import { levelOf } from '../fair-queue.ts';
import { BACKOFF_BASE_MS, BACKOFF_MAX_MS } from '../options.ts';

/** Full-jitter backoff (Brooker, "Exponential backoff and jitter"): U(0, min(cap, base x 2^n)). */
export function backoffMs(round: number, random: () => number): number {
  return random() * Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** Math.min(round, 20));
}

/** What gives a task its place among those that wait. */
export interface Place {
  readonly priority: number;
  /** When it was submitted, wall-clock milliseconds. */
  readonly submittedAt: number;
}

interface Guest extends Place {
  readonly order: number;
  /** Free money that it waits for; null: it waits for workers. */
  readonly needs: bigint | null;
  readonly woken: Deferred<void>;
}

/** So many of those that rest look for workers by themselves at the pace of the backoff; with more of them, each more slowly. */
const LOOKING = 16;

/** Auctions at a time, by priority and age; and the place where tasks wait that nobody bid for. */
export class WaitingRoom {
  readonly #clock: Clock;
  readonly #limit: { readonly value: number };
  #active = 0;
  #arrivals = 0;
  #atTheDoor: Guest[] = [];
  #resting: Guest[] = [];

  /** `limit` may change; those inside stay. */
  constructor(clock: Clock, limit: { readonly value: number }) {
    this.#clock = clock;
    this.#limit = limit;
  }

  /** Runs `fn` when it is this task's turn. */
  async enter<T>(place: Place, signal: AbortSignal, fn: () => Promise<T>): Promise<T> {
    if (this.#active < this.#limit.value) this.#active++;
    else await this.#wait(place, signal);
    try {
      return await fn();
    } finally {
      this.#leave();
    }
  }

  /** A place goes straight to the first at the door: nobody slips in between. */
  #leave(): void {
    this.#active--;
    while (this.#active < this.#limit.value && this.#atTheDoor.length > 0) {
      this.#active++;
      this.#atTheDoor.shift()?.woken.resolve();
    }
  }

  /** What a pause is to be longer by: who has a thousand tasks that nobody has room for asks no more often than who has a few. */
  get crowd(): number {
    return Math.max(1, this.#resting.length / LOOKING);
  }

  /** Until the time is over, or something has changed that may help: a place at a worker, `needs` in the wallet, or `change`. */
  async rest(
    ms: number,
    { needs = null, change, ...place }: Place & { needs?: bigint | null; change?: Promise<void> },
    signal: AbortSignal,
  ): Promise<void> {
    const guest = this.#guest(place, needs);
    const cancel = this.#clock.after(ms, () => guest.woken.resolve());
    void change?.then(guest.woken.resolve);
    this.#resting.push(guest);
    this.#resting.sort(byTurn);
    try {
      await raceSignal(guest.woken.promise, signal);
    } finally {
      cancel();
      this.#resting = this.#resting.filter(other => other !== guest);
    }
  }

  /** A place was freed somewhere: the first of those that rest for it tries again. */
  wakeOne(): void {
    this.#wakeFirst(guest => guest.needs === null);
  }

  /** This much money is free: the first whom it suffices tries again. */
  wakeFunded(free: bigint): void {
    this.#wakeFirst(guest => guest.needs !== null && guest.needs <= free);
  }

  #wakeFirst(mayWake: (guest: Guest) => boolean): void {
    const guest = this.#resting.find(mayWake);
    this.#resting = this.#resting.filter(other => other !== guest);
    guest?.woken.resolve();
  }

  wakeAll(): void {
    for (const guest of this.#resting.splice(0)) guest.woken.resolve();
  }

  async #wait(place: Place, signal: AbortSignal): Promise<void> {
    const guest = this.#guest(place, null);
    this.#atTheDoor.push(guest);
    this.#atTheDoor.sort(byTurn);
    try {
      await raceSignal(guest.woken.promise, signal);
    } catch (error) {
      const isWaiting = this.#atTheDoor.includes(guest);
      this.#atTheDoor = this.#atTheDoor.filter(other => other !== guest);
      if (!isWaiting) this.#leave();
      throw error;
    }
  }

  #guest({ priority, submittedAt }: Place, needs: bigint | null): Guest {
    return { priority, submittedAt, needs, order: this.#arrivals++, woken: deferred() };
  }
}

function byTurn(a: Guest, b: Guest): number {
  const level = ({ priority, submittedAt }: Guest) => levelOf(priority, submittedAt);
  return level(b) - level(a) || a.submittedAt - b.submittedAt || a.order - b.order;
}
