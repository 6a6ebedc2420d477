import { type Experience, expectedMs, successBound } from '../reputation/index.ts';
import type { Estimate } from '../wire/index.ts';
import { ASSUMED_BYTES_PER_MS, ASSUMED_IMAGE_BYTES } from './options.ts';

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
  /** What a second of waiting is worth to the requester, 1e-8 FLOP. */
  readonly secondValue: bigint;
  /** Its worker has lately broken what it promised: others go first, whatever it asks. */
  readonly isDoubtful: boolean;
}

/** A bid in the light of what is known of its worker. Rounded to what a record keeps, so that its score can be told again. */
export function factsOf(
  bid: Estimate,
  known: Experience,
  {
    isSelf,
    secondValue,
    isDoubtful = false,
  }: { readonly isSelf: boolean; readonly secondValue: bigint; readonly isDoubtful?: boolean },
): BidFacts {
  const { ask, queueMs, etaMs, imageCached, bytesMissing } = bid;
  const missing = (isSelf ? 0 : bytesMissing) + (imageCached ? 0 : ASSUMED_IMAGE_BYTES);
  return {
    ask,
    queueMs,
    bytesMissing: Math.min(Number.MAX_SAFE_INTEGER, missing),
    expectedMs: Math.round(expectedMs(known, etaMs)),
    success: Math.round(successBound(known) * 1e6) / 1e6,
    secondValue,
    isDoubtful,
  };
}

const FLOP = 1e8;
/** Seconds lost by a failure beside half of the run: the lease's end and a new auction. */
const FAILURE_SECONDS = 30;
/** A bound of 0 would make the cost infinite, and a stranger never tried. */
const LEAST_SUCCESS = 0.01;

/** What each part of a bid costs, in FLOP. */
export interface CostParts {
  readonly ask: number;
  readonly queue: number;
  readonly transfer: number;
  readonly run: number;
  /** Of its failing. */
  readonly risk: number;
}

export function costParts(facts: BidFacts): CostParts {
  const valueOfSecond = Number(facts.secondValue) / FLOP;
  const p = Math.max(LEAST_SUCCESS, Math.min(1, facts.success));
  const seconds = facts.expectedMs / 1000;
  return {
    ask: Number(facts.ask) / FLOP,
    queue: valueOfSecond * (facts.queueMs / 1000),
    transfer: valueOfSecond * (transferMs(facts) / 1000),
    run: valueOfSecond * seconds,
    risk: ((1 - p) / p) * valueOfSecond * (0.5 * seconds + FAILURE_SECONDS),
  };
}

/**
 * The expected cost of giving the task to this bidder, in FLOP, lower is better:
 * C = ask + v (queue + missing / bandwidth + T) + ((1-p) / p) v (0.5 T + 30 s).
 */
export function costOf(facts: BidFacts): number {
  const { ask, queue, transfer, run, risk } = costParts(facts);
  return ask + queue + transfer + run + risk;
}

/** Until the task itself begins: the queue, and what has to be brought. */
export function startsInMs(facts: Pick<BidFacts, 'queueMs' | 'bytesMissing'>): number {
  return Math.round(facts.queueMs + transferMs(facts));
}

function transferMs({ bytesMissing }: Pick<BidFacts, 'bytesMissing'>): number {
  return bytesMissing / ASSUMED_BYTES_PER_MS;
}

/** Bids this close to the best are equals: always taking the best makes herds. */
const BAND = 0.03;
/** How often a bid beyond the band goes first, so that strangers get a chance. */
const EXPLORE = 0.03;

/**
 * The order in which to try bids: one at random among those within 3 % of the best goes first (with 3 %, one at random among
 * all), then the others by cost; those of doubtful workers after all others. `random` gives [0, 1).
 */
export function rank<T extends { readonly score: number; readonly isDoubtful?: boolean }>(
  bids: readonly T[],
  random: () => number,
): T[] {
  const sorted = [...bids].sort(
    (a, b) => Number(a.isDoubtful ?? 0) - Number(b.isDoubtful ?? 0) || a.score - b.score,
  );
  const best = sorted[0];
  if (!best) return [];
  const explore = random() < EXPLORE;
  const isEqual = (bid: T) => bid.isDoubtful === best.isDoubtful && isInBand(bid.score, best.score);
  const pool = explore ? sorted : sorted.filter(isEqual);
  const first = pool[Math.floor(random() * pool.length)] ?? best;
  return [first, ...sorted.filter(bid => bid !== first)];
}

function isInBand(score: number, best: number): boolean {
  return score <= best * (1 + BAND);
}

/**
 * Why a bid was awarded: it was the `only` one; the `best` of those that had a slot free, with no equal; drawn among its `equals`;
 * drawn among all to `explore`; the `next` after those that refused the award; or its worker was the `first_free` of busy ones.
 */
export type Choice = 'only' | 'best' | 'equals' | 'explore' | 'next' | 'first_free';

/** A bid as its attempt keeps it. */
interface Tried {
  readonly worker: string;
  readonly score: number | null;
  readonly facts: Pick<BidFacts, 'queueMs' | 'isDoubtful'> | null;
  readonly refusal: { readonly code: string } | null;
}

/** Why `worker` was awarded, of the bids in the order in which they were tried; null where its bid is not among them. */
export function choiceOf(bids: readonly Tried[], worker: string | null): Choice | null {
  const scored = bids.flatMap(bid => (bid.score === null ? [] : [{ ...bid, score: bid.score }]));
  const winner = scored.find(bid => bid.worker === worker);
  if (!winner) return null;
  if (scored.length === 1) return 'only';
  const free = scored.filter(({ facts }) => !facts?.queueMs);
  if (winner.refusal || !free.includes(winner)) return 'first_free';
  if (free.indexOf(winner) > 0) return 'next';
  const sure = free.filter(({ facts }) => !facts?.isDoubtful);
  const known = sure.length > 0 ? sure : free;
  const best = Math.min(...known.map(({ score }) => score));
  if (!known.includes(winner) || !isInBand(winner.score, best)) return 'explore';
  return known.filter(({ score }) => isInBand(score, best)).length > 1 ? 'equals' : 'best';
}
