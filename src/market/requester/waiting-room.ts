import { type Clock, type Deferred, deferred, raceSignal } from '../../util/index.ts';
import { BACKOFF_BASE_MS, BACKOFF_MAX_MS } from '../options.ts';

/** Full-jitter backoff (Brooker, "Exponential backoff and jitter"): U(0, min(cap, base x 2^n)). */
export function backoffMs(round: number, random: () => number): number {
  return random() * Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** Math.min(round, 20));
}

interface Guest {
  readonly priority: number;
  readonly order: number;
  readonly woken: Deferred<void>;
}

/** Auctions at a time, by priority and arrival; and the place where tasks wait that nobody bid for. */
export class WaitingRoom {
  readonly #clock: Clock;
  readonly #limit: number;
  #active = 0;
  #arrivals = 0;
  #atTheDoor: Guest[] = [];
  #resting: Guest[] = [];

  constructor(clock: Clock, limit: number) {
    this.#clock = clock;
    this.#limit = limit;
  }

  /** Runs `fn` when it is this task's turn. */
  async enter<T>(priority: number, signal: AbortSignal, fn: () => Promise<T>): Promise<T> {
    if (this.#active >= this.#limit) await this.#wait(this.#atTheDoor, priority, signal);
    this.#active++;
    try {
      return await fn();
    } finally {
      this.#active--;
      if (this.#active < this.#limit) this.#atTheDoor.shift()?.woken.resolve();
    }
  }

  /** Until the time is over, or something has changed that may help. */
  async rest(ms: number, priority: number, signal: AbortSignal): Promise<void> {
    const guest = this.#guest(priority);
    const cancel = this.#clock.after(ms, () => guest.woken.resolve());
    this.#resting.push(guest);
    this.#resting.sort(byTurn);
    try {
      await raceSignal(guest.woken.promise, signal);
    } finally {
      cancel();
      this.#resting = this.#resting.filter(other => other !== guest);
    }
  }

  /** A place was freed somewhere: the first of those that rest tries again. */
  wakeOne(): void {
    this.#resting.shift()?.woken.resolve();
  }

  wakeAll(): void {
    for (const guest of this.#resting.splice(0)) guest.woken.resolve();
  }

  async #wait(line: Guest[], priority: number, signal: AbortSignal): Promise<void> {
    const guest = this.#guest(priority);
    line.push(guest);
    line.sort(byTurn);
    try {
      await raceSignal(guest.woken.promise, signal);
    } catch (error) {
      const at = line.indexOf(guest);
      if (at >= 0) line.splice(at, 1);
      else line.shift()?.woken.resolve();
      throw error;
    }
  }

  #guest(priority: number): Guest {
    return { priority, order: this.#arrivals++, woken: deferred() };
  }
}

function byTurn(a: Guest, b: Guest): number {
  return b.priority - a.priority || a.order - b.order;
}
