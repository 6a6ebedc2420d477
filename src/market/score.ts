import { ASSUMED_BYTES_PER_MS, VALUE_OF_SECOND_FLOP } from './options.ts';

/** What the score of a bid is made of. */
export interface BidFacts {
  /** 1e-8 FLOP. */
  readonly ask: bigint;
  readonly queueMs: number;
  readonly bytesMissing: number;
  /** The learned time from award to result, milliseconds. */
  readonly expectedMs: number;
  /** Lower confidence bound of success, 0 to 1. */
  readonly success: number;
}

const FLOP = 1e8;
/** Seconds lost by a failure beside half of the run: the lease's end and a new auction. */
const FAILURE_SECONDS = 30;
/** A bound of 0 would make the cost infinite, and a stranger never tried. */
const LEAST_SUCCESS = 0.01;

/**
 * The expected cost of giving the task to this bidder, in FLOP, lower is better:
 * C = ask + v (queue + missing / bandwidth + T) + ((1-p) / p) v (0.5 T + 30 s).
 */
export function costOf(facts: BidFacts, valueOfSecond = VALUE_OF_SECOND_FLOP): number {
  const p = Math.max(LEAST_SUCCESS, Math.min(1, facts.success));
  const seconds = facts.expectedMs / 1000;
  const waiting = (facts.queueMs + facts.bytesMissing / ASSUMED_BYTES_PER_MS) / 1000;
  const failure = ((1 - p) / p) * valueOfSecond * (0.5 * seconds + FAILURE_SECONDS);
  return Number(facts.ask) / FLOP + valueOfSecond * (waiting + seconds) + failure;
}

/** Bids this close to the best are equals: always taking the best makes herds. */
const BAND = 0.03;
/** How often a bid beyond the band goes first, so that strangers get a chance. */
const EXPLORE = 0.03;

/**
 * The order in which to try bids: one at random among those within 3 % of the best goes first (with 3 %, one at random among
 * all), then the others by cost. `random` gives [0, 1).
 */
export function rank<T extends { readonly score: number }>(bids: readonly T[], random: () => number): T[] {
  const sorted = [...bids].sort((a, b) => a.score - b.score);
  const best = sorted[0];
  if (!best) return [];
  const explore = random() < EXPLORE;
  const pool = explore ? sorted : sorted.filter(bid => bid.score <= best.score * (1 + BAND));
  const first = pool[Math.floor(random() * pool.length)] ?? best;
  return [first, ...sorted.filter(bid => bid !== first)];
}
