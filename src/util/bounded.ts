import { type Abortable, raceSignal, reasonOf } from './abort.ts';
import type { Clock } from './clock.ts';
import { type Deferred, deferred } from './deferred.ts';
import { CodedError } from './errors.ts';

/**
 * A queue with one consumer and a limit. `push` past the limit throws `QUEUE_FULL`; `next` waits for an item and
 * resolves to undefined once the queue was closed and is empty.
 */
export class BoundedQueue<T> {
  readonly #limit: number;
  #items: T[] = [];
  #waiting: ((item: T | undefined) => void) | undefined;
  readonly #putters: Deferred<void>[] = [];
  /** Places of those who were let in and have not come yet. */
  #promised = 0;
  #closed = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    if (this.#closed) return;
    if (this.#waiting) {
      const resolve = this.#waiting;
      this.#waiting = undefined;
      resolve(item);
      return;
    }
    if (this.#items.length >= this.#limit)
      throw new CodedError(
        { code: 'QUEUE_FULL', limit: this.#limit },
        `the queue holds ${this.#limit} items already`,
      );
    this.#items.push(item);
  }

  /** The same, but waits for room, in order; after `close` the item is dropped. @throws the signal's reason. */
  async put(item: T, { signal }: Abortable = {}): Promise<void> {
    if (this.#putters.length > 0 || !this.#hasRoom) {
      const turn = deferred<void>();
      this.#putters.push(turn);
      try {
        await raceSignal(turn.promise, signal);
      } catch (error) {
        const at = this.#putters.indexOf(turn);
        if (at >= 0) this.#putters.splice(at, 1);
        else this.#promised--;
        this.#letIn();
        throw error;
      }
      this.#promised--;
    }
    this.push(item);
  }

  get #hasRoom(): boolean {
    return this.#closed || this.#items.length + this.#promised < this.#limit;
  }

  /** Room is promised to one who waits before anybody else can take it. */
  #letIn(): void {
    while (this.#hasRoom && this.#putters.length > 0) {
      this.#promised++;
      this.#putters.shift()?.resolve();
    }
  }

  next({ signal }: Abortable = {}): Promise<T | undefined> {
    const item = this.#items.shift();
    this.#letIn();
    if (item !== undefined) return Promise.resolve(item);
    if (this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(reasonOf(signal));
      const onAbort = () => {
        this.#waiting = undefined;
        reject(reasonOf(signal as AbortSignal));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting = value => {
        signal?.removeEventListener('abort', onAbort);
        resolve(value);
      };
    });
  }

  close(): void {
    this.#closed = true;
    this.#waiting?.(undefined);
    this.#waiting = undefined;
    this.#letIn();
  }
}

/** A map that holds at most `limit` entries, each for `ageMs` after it was set. It needs no timer: who adds one removes what is too old. */
export class RecentMap<T> {
  readonly #init: { readonly limit: number; readonly ageMs: number };
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** The oldest first. */
  readonly #entries = new Map<string, { readonly value: T; readonly until: number }>();

  constructor(init: { limit: number; ageMs: number }, clock: Pick<Clock, 'monotonic'>) {
    this.#init = init;
    this.#clock = clock;
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    return entry && entry.until > this.#clock.monotonic() ? entry.value : undefined;
  }

  set(key: string, value: T): void {
    const now = this.#clock.monotonic();
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: now + this.#init.ageMs });
    for (const [oldest, { until }] of this.#entries) {
      if (until > now && this.#entries.size <= this.#init.limit) break;
      this.#entries.delete(oldest);
    }
  }
}

/** A token bucket: `rate` tokens a second, up to `burst`. `take` says whether one was there. */
export class TokenBucket {
  readonly #rate: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #tokens: number;
  #at: number;

  constructor(rate: number, burst: number, clock: Clock) {
    this.#rate = rate;
    this.#burst = burst;
    this.#clock = clock;
    this.#tokens = burst;
    this.#at = clock.monotonic();
  }

  take(count = 1): boolean {
    const now = this.#clock.monotonic();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#rate);
    this.#at = now;
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }
}

/** At most `limit` calls of `run` at once; the others wait in order. */
export class Semaphore {
  readonly #limit: number;
  #active = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  async run<T>(fn: () => Promise<T>): Promise<T> {
    if (this.#active >= this.#limit) await new Promise<void>(resolve => this.#waiting.push(resolve));
    else this.#active++;
    try {
      return await fn();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#active--;
    }
  }
}
