/** What is known first-hand of one worker. Counts and sums are decayed: an old outcome weighs less. */
export interface Experience {
  /** Decayed number of tasks that succeeded, and of those that failed by the worker's fault. */
  readonly a: number;
  readonly b: number;
  /** Decayed sum of y = ln(actual / claimed) over its estimates. */
  readonly y: number;
  /** Decayed number of those estimates. */
  readonly n: number;
  /** Whole tasks, without decay. */
  readonly successes: number;
  readonly failures: number;
  /** Wall-clock milliseconds of the last outcome; 0: none. */
  readonly lastAt: number;
}

/** One ended execution, as its requester saw it. */
export interface TaskOutcome {
  /** The worker did its part: a result that passed, or an attested failure of the task's own code. */
  readonly success: boolean;
  /** From award to result, milliseconds: claimed in the bid and measured. Null where it tells nothing (a failure, a cancel). */
  readonly time: { readonly claimedMs: number; readonly actualMs: number } | null;
}

export const NO_EXPERIENCE: Experience = {
  a: 0,
  b: 0,
  y: 0,
  n: 0,
  successes: 0,
  failures: 0,
  lastAt: 0,
};

/** A stranger succeeds in 9 of 10 tasks, worth 2 tasks of experience (design/market.md, "Bids"). */
export const PRIOR = { a: 1.8, b: 0.2 } as const;

/** Weight that each outcome takes from those before it: half-life 1,386 tasks (design/market.md, "Bids"). */
export const DECAY = 0.9995;

/** One wild estimate moves the learned bias by no more than a factor of 150 would. */
const MAX_LOG_RATIO = 5;

/** Estimates below this are all the same: clocks and queues are no finer. Milliseconds. */
const LEAST_MS = 1;

/**
 * The mean success of Beta(1.8 + a, 0.2 + b) less half a standard deviation:
 * p = m - 0.5 sqrt(m (1 - m) / (a + b + 1)), with a and b including the prior (design/market.md, "Bids"; the moments of
 * the Beta distribution: Johnson, Kotz, Balakrishnan, Continuous Univariate Distributions 2, chapter 25). 0 < p < 1.
 */
export function successBound(experience: Pick<Experience, 'a' | 'b'>): number {
  const a = PRIOR.a + experience.a;
  const b = PRIOR.b + experience.b;
  const m = a / (a + b);
  return m - 0.5 * Math.sqrt((m * (1 - m)) / (a + b + 1));
}

/**
 * The time to expect of a worker that claims `etaMs`, milliseconds: T = eta exp(mu + 0.25 sigma), with its learned bias
 * mu = sum(decayed y) / (n + 2) and what is left of doubt sigma = 0.4 / sqrt(n + 2) (design/market.md, "Bids"). n is decayed
 * as the sum is: with a plain count the bias of an old acquaintance would shrink towards none.
 */
export function expectedMs(experience: Pick<Experience, 'y' | 'n'>, etaMs: number): number {
  const mu = experience.y / (experience.n + 2);
  const sigma = 0.4 / Math.sqrt(experience.n + 2);
  return Math.max(LEAST_MS, etaMs) * Math.exp(mu + 0.25 * sigma);
}

/** The experience after one more outcome: everything before weighs 0.9995 of what it did. */
export function withOutcome(before: Experience, { success, time }: TaskOutcome, atMs: number): Experience {
  return {
    a: before.a * DECAY + (success ? 1 : 0),
    b: before.b * DECAY + (success ? 0 : 1),
    y: before.y * DECAY + (time ? logRatio(time) : 0),
    n: before.n * DECAY + (time ? 1 : 0),
    successes: before.successes + (success ? 1 : 0),
    failures: before.failures + (success ? 0 : 1),
    lastAt: atMs,
  };
}

function logRatio({ claimedMs, actualMs }: { claimedMs: number; actualMs: number }): number {
  const ratio = Math.log(Math.max(LEAST_MS, actualMs) / Math.max(LEAST_MS, claimedMs));
  return Math.max(-MAX_LOG_RATIO, Math.min(MAX_LOG_RATIO, ratio));
}
