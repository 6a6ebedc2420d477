import { type Estimate, MAX_DURATION_MS } from '../../wire/index.ts';
import type { Request } from '../bidder.ts';
import type { Line } from '../capacity.ts';

/** Until something was measured: a short script in a fresh container. */
const FIRST_GUESS_MS = 1_000;
/** Weight of the newest execution: about the last ten count. */
const NEWEST = 0.2;

/** What a worker expects of its next execution, from those before: exponentially weighted means. */
export class Estimates {
  #meanMs = FIRST_GUESS_MS;
  /** Of one run: less, where bundles hold many. */
  #runMs = FIRST_GUESS_MS;

  /** Notes how long an execution of so many runs took, staging and collecting included. */
  learn(ms: number, runs = 1): void {
    this.#meanMs += NEWEST * (ms - this.#meanMs);
    this.#runMs += NEWEST * (ms / runs - this.#runMs);
  }

  /** From the start of staging to the result of so many runs; never beyond the task's own limit and its overhead. */
  executionMs(limitMs: number, runs = 1): number {
    return Math.round(Math.min(this.#runMs * runs, limitMs + FIRST_GUESS_MS));
  }

  /** Until the task at this position would start, with this many running side by side; at most what a bid can say. */
  queueMs(position: number, running: number): number {
    return Math.min(MAX_DURATION_MS, Math.round((position * this.#meanMs) / Math.max(1, running)));
  }

  /** What a bid says of time, for a task that would come next. */
  promise(
    capacity: Line,
    { needs, terms, requester }: Pick<Request, 'needs' | 'terms' | 'requester'>,
  ): Pick<Estimate, 'queuePosition' | 'queueMs' | 'etaMs'> {
    const position = capacity.fitsNow(needs, requester) ? 0 : capacity.queued + 1;
    const queueMs = position === 0 ? 0 : this.queueMs(position, capacity.running);
    return {
      queuePosition: position,
      queueMs,
      etaMs: this.executionMs(terms.limits.runMs, needs.members ?? 1),
    };
  }
}
