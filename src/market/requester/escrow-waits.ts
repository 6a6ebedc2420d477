import { type Clock, type Deferred, deferred, raceSignal } from '../../util/index.ts';

type Reason = 'time' | 'peer' | 'change';

interface Waiting {
  /** Wall-clock milliseconds. */
  readonly at: number;
  readonly worker: string | null;
  readonly woken: Deferred<Reason>;
}

export interface WaitOptions {
  readonly signal: AbortSignal;
  /** Ends the wait when this worker is back. */
  readonly worker?: string | null;
  /** Ends the wait, too. */
  readonly change?: Promise<void>;
}

/**
 * Waits of open escrows, as many as there are. Their deadlines are wall-clock times, and timers count real milliseconds: where a
 * clock was set or a machine slept, the sweep finds what is due.
 */
export class EscrowWaits {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves at wall-clock time `at` or earlier, with what ended the wait; rejects with the signal's reason. */
  async until(at: number, { signal, worker = null, change }: WaitOptions): Promise<Reason> {
    const waiting: Waiting = { at, worker, woken: deferred() };
    const { resolve, promise } = waiting.woken;
    const cancel = this.#clock.after(at - this.#clock.now(), () => resolve('time'));
    this.#waiting.add(waiting);
    try {
      const changed = change?.then((): Reason => 'change');
      return await raceSignal(changed ? Promise.race([promise, changed]) : promise, signal);
    } finally {
      cancel();
      this.#waiting.delete(waiting);
    }
  }

  /** A worker is back: what waits for its signature is looked at again. */
  peerUp(peer: string): void {
    for (const { worker, woken } of this.#waiting) if (worker === peer) woken.resolve('peer');
  }

  /** Ends the waits whose time has come. */
  sweep(): void {
    const now = this.#clock.now();
    for (const { at, woken } of this.#waiting) if (at <= now) woken.resolve('time');
  }
}
