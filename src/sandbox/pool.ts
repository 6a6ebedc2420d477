import {
  type Abortable,
  type Clock,
  codeOf,
  type Logger,
  type Metrics,
  messageOf,
  reasonOf,
} from '../util/index.ts';
import type { Awake } from './box.ts';
import { unavailable } from './errors.ts';

/** What a waiting box is made for: whatever has the same key fits into it. */
export interface BoxClass {
  readonly key: string;
  /** Makes one whose launcher waits for a task. */
  make(): Promise<Awake>;
}

export interface PoolComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** True while the tasks that run want every core of the machine. */
  readonly isBusy: () => boolean;
}

export interface PoolOptions {
  /** Kept for a class that was asked for, until more are missed. */
  readonly startBoxes: number;
  /** Kept in all, of all classes. 0: none is kept. */
  readonly maxBoxes: number;
}

/** Classes that are remembered; a node rarely sees more than a few images and sizes at a time. */
const MAX_CLASSES = 64;
/** What was taken is made anew this long after: a task that is short has ended by then, and had the machine for itself. */
const REST_MS = 100;
/** Making one in the background waits this long for a core to fall idle; then tasks may come that would wait for it. */
const PATIENCE_MS = 500;
/** Between looks for boxes that nobody asked for lately. */
const SWEEP_MS = 15_000;
/** A class shrinks by half each sweep in which none was missed for this long. */
const SHRINK_MS = 30_000;
/** A class that nobody asked for in this long is given up. */
const IDLE_MS = 300_000;

interface Waiter {
  resolve(awake: Awake): void;
  reject(error: unknown): void;
}

interface Shelf {
  cls: BoxClass;
  readonly idle: Awake[];
  readonly waiters: Waiter[];
  /** Being made. */
  inFlight: number;
  /** How many are to be idle. */
  want: number;
  /** Expected without having been asked for: kept however long nobody does. */
  expected: boolean;
  takenAt: number;
  missedAt: number;
}

/**
 * Boxes that wait for a task, by class. What is taken is made anew behind everybody's back, one at a time; what is missed is
 * made at once, and makes its class grow. Off, as at the start, it keeps none. Each box serves whoever takes it, and is the taker's to release.
 */
export class Pool {
  readonly #components: PoolComponents;
  readonly #options: PoolOptions;
  readonly #shelves = new Map<string, Shelf>();
  readonly #making = new Set<Promise<void>>();
  #on = false;
  #closed = false;
  #refilling = false;
  #cancelRefill: (() => void) | undefined;
  #cancelSweep: (() => void) | undefined;

  constructor(components: PoolComponents, options: PoolOptions) {
    this.#components = components;
    this.#options = options;
  }

  /** Boxes that wait. */
  get size(): number {
    return [...this.#shelves.values()].reduce((sum, { idle }) => sum + idle.length, 0);
  }

  /** A box of this class: one that waits, or the next that is made. @throws what making it throws; the signal's reason. */
  async take(cls: BoxClass, { signal }: Abortable): Promise<Awake> {
    signal?.throwIfAborted();
    if (this.#closed) throw unavailable('the node is stopping');
    const { clock, metrics } = this.#components;
    const shelf = this.#shelfOf(cls);
    shelf.takenAt = clock.monotonic();
    const awake = shelf.idle.shift();
    metrics.count('sandbox_pool_total', { answer: awake ? 'hit' : 'miss' });
    if (awake) {
      this.#refillIn(REST_MS);
      return awake;
    }
    shelf.missedAt = shelf.takenAt;
    shelf.want = Math.min(this.#options.maxBoxes, Math.max(this.#options.startBoxes, shelf.want + 1));
    return this.#await(shelf, signal);
  }

  /** Tasks of this class are likely: some boxes are kept for them from now on. */
  expect(cls: BoxClass): void {
    const shelf = this.#shelfOf(cls);
    shelf.expected = true;
    shelf.want = Math.max(shelf.want, Math.min(this.#options.startBoxes, this.#options.maxBoxes));
    this.#refill();
  }

  /** Off: what waits is removed, and nothing is made but what is asked for. */
  async keep(on: boolean): Promise<void> {
    this.#on = on;
    if (on) this.#refill();
    else await this.#drain();
  }

  /** Removes all and makes no more; resolves when nothing is being made any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRefill?.();
    this.#cancelSweep?.();
    const reason = unavailable('the node is stopping');
    for (const { waiters } of this.#shelves.values())
      for (const waiter of waiters.splice(0)) waiter.reject(reason);
    while (this.#making.size > 0) await Promise.all(this.#making);
    await this.#drain();
  }

  async #drain(): Promise<void> {
    const idle = [...this.#shelves.values()].flatMap(shelf => shelf.idle.splice(0));
    await Promise.all(idle.map(awake => awake.release()));
  }

  #shelfOf(cls: BoxClass): Shelf {
    const known = this.#shelves.get(cls.key);
    if (known) {
      known.cls = cls;
      return known;
    }
    if (this.#shelves.size >= MAX_CLASSES) this.#forgetOldest();
    const shelf: Shelf = {
      cls,
      idle: [],
      waiters: [],
      inFlight: 0,
      want: 0,
      expected: false,
      takenAt: this.#components.clock.monotonic(),
      missedAt: Number.NEGATIVE_INFINITY,
    };
    this.#shelves.set(cls.key, shelf);
    this.#cancelSweep ??= this.#components.clock.after(SWEEP_MS, () => this.#sweep());
    return shelf;
  }

  #forgetOldest(): void {
    const unused = [...this.#shelves.values()].filter(
      ({ waiters, inFlight, expected }) => waiters.length === 0 && inFlight === 0 && !expected,
    );
    const oldest = unused.sort((a, b) => a.takenAt - b.takenAt)[0];
    if (!oldest) return;
    this.#shelves.delete(oldest.cls.key);
    for (const awake of oldest.idle) void awake.release();
  }

  #await(shelf: Shelf, signal: AbortSignal | undefined): Promise<Awake> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        shelf.waiters.splice(shelf.waiters.indexOf(waiter), 1);
        reject(reasonOf(signal as AbortSignal));
      };
      const settled = () => signal?.removeEventListener('abort', onAbort);
      const waiter: Waiter = {
        resolve(awake) {
          settled();
          resolve(awake);
        },
        reject(error) {
          settled();
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      shelf.waiters.push(waiter);
      if (shelf.inFlight < shelf.waiters.length) void this.#make(shelf);
    });
  }

  /** Makes one box for whoever waits first, or for the shelf. Never rejects. */
  #make(shelf: Shelf): Promise<void> {
    shelf.inFlight++;
    const made = shelf.cls.make().then(
      awake => {
        shelf.inFlight--;
        this.#put(shelf, awake);
      },
      error => {
        shelf.inFlight--;
        // Others that are being made may still serve those who wait.
        if (shelf.waiters.length > shelf.inFlight) shelf.waiters.shift()?.reject(error);
        // What cannot be made now is made again when it is asked for.
        shelf.want = 0;
        const facts = { code: codeOf(error), reason: messageOf(error) };
        this.#components.logger.debug(facts, 'no sandbox could be kept ready');
      },
    );
    const tracked: Promise<void> = made.finally(() => this.#making.delete(tracked));
    this.#making.add(tracked);
    return tracked;
  }

  #put(shelf: Shelf, awake: Awake): void {
    const waiter = shelf.waiters.shift();
    if (waiter) {
      waiter.resolve(awake);
      this.#refill();
      return;
    }
    if (this.#closed || !this.#on || shelf.idle.length >= shelf.want || this.size >= this.#options.maxBoxes) {
      void awake.release();
      return;
    }
    shelf.idle.push(awake);
    // One that dies while it waits must not be handed out.
    void awake.box.closed.then(() => {
      const at = shelf.idle.indexOf(awake);
      if (at < 0) return;
      shelf.idle.splice(at, 1);
      void awake.release();
    });
  }

  /** Makes what is wanted and not there, one after another, when the machine has a core to spare or has had none for long. */
  #refill(isDue = false): void {
    if (this.#refilling || this.#closed || !this.#on) return;
    const shelf = [...this.#shelves.values()].find(
      ({ idle, inFlight, waiters, want }) => idle.length + inFlight - waiters.length < want,
    );
    const beingMade = [...this.#shelves.values()].reduce((sum, { inFlight }) => sum + inFlight, 0);
    if (!shelf || this.size + beingMade >= this.#options.maxBoxes) return;
    if (!isDue && this.#components.isBusy()) {
      this.#refillIn(PATIENCE_MS, true);
      return;
    }
    this.#refilling = true;
    void this.#make(shelf).then(() => {
      this.#refilling = false;
      this.#refill();
    });
  }

  #refillIn(ms: number, isDue = false): void {
    this.#cancelRefill ??= this.#components.clock.after(ms, () => {
      this.#cancelRefill = undefined;
      this.#refill(isDue);
    });
  }

  #sweep(): void {
    const now = this.#components.clock.monotonic();
    for (const [key, shelf] of this.#shelves) {
      const least = shelf.expected || now - shelf.takenAt < IDLE_MS ? this.#options.startBoxes : 0;
      if (now - shelf.missedAt > SHRINK_MS)
        shelf.want = Math.max(Math.min(least, shelf.want), Math.floor(shelf.want / 2));
      if (least === 0) shelf.want = 0;
      while (shelf.idle.length > shelf.want) void shelf.idle.pop()?.release();
      const unused = shelf.inFlight === 0 && shelf.waiters.length === 0;
      if (shelf.want === 0 && unused && !shelf.expected) this.#shelves.delete(key);
    }
    this.#cancelSweep =
      this.#shelves.size > 0 && !this.#closed
        ? this.#components.clock.after(SWEEP_MS, () => this.#sweep())
        : undefined;
    this.#refill();
  }
}
