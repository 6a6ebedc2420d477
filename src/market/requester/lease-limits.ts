import { type Clock, CodedError } from '../../util/index.ts';
import { type Award, phaseSchema, type Terms, type WorkerPhase } from '../../wire/index.ts';

/** In their order. */
const PHASES = phaseSchema.options;
/** Messages take their time, and so do sandboxes to be stopped. */
const PHASE_MARGIN_MS = 60_000;
/** Between two events of progress: what a person can follow. */
const PROGRESS_MS = 100;

/** How long a worker may take over an accepted task, by the terms of its offer; and what it may say of its phases. */
export class LeaseLimits {
  readonly #clock: Clock;
  readonly #award: Award;
  readonly #terms: Terms;
  #phase: WorkerPhase = 'queued';
  #said = false;
  /** Monotonic. */
  #since: number;
  #progressAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, award: Award, terms: Terms) {
    this.#clock = clock;
    this.#award = award;
    this.#terms = terms;
    this.#since = clock.monotonic();
  }

  /** True when it is news: phases go forward alone, and each counts once. */
  enter(phase: WorkerPhase): boolean {
    const isNews = PHASES.indexOf(phase) > PHASES.indexOf(this.#phase);
    if (isNews) this.alive();
    if (isNews) this.#phase = phase;
    const isFirst = !this.#said && phase === this.#phase;
    this.#said = true;
    return isNews || isFirst;
  }

  /** The phase brings something forth that needs its own time: files on a slow line. */
  alive(): void {
    this.#since = this.#clock.monotonic();
  }

  /** Whether `phase` is the one that it is in. */
  isIn(phase: WorkerPhase): boolean {
    return phase === this.#phase;
  }

  /** Whether it is time for another event of progress. */
  shows(): boolean {
    const now = this.#clock.monotonic();
    if (now - this.#progressAt < PROGRESS_MS) return false;
    this.#progressAt = now;
    return true;
  }

  /** @throws CodedError `LEASE_OVERDUE`: later than the claim, or too long in one phase. */
  check(): void {
    const { limits, claimMs } = this.#terms;
    const late = this.#clock.now() - (this.#award.awardedAt + claimMs);
    if (late > 0)
      throw new CodedError({ code: 'LEASE_OVERDUE' }, 'the worker’s time to claim its price is over');
    const limitMs = {
      queued: limits.queueMs,
      pulling: limits.pullMs,
      staging: limits.stageMs,
      executing: limits.runMs,
      collecting: limits.collectMs,
    }[this.#phase];
    if (this.#clock.monotonic() - this.#since > limitMs + PHASE_MARGIN_MS)
      throw new CodedError(
        { code: 'LEASE_OVERDUE', phase: this.#phase },
        `the worker spent more than ${limitMs / 1000} s on its phase ${this.#phase}`,
      );
  }
}
