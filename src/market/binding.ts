import { PLACE_MS, SAMPLE } from './options.ts';

/** A bid that nobody has refused yet. */
export interface Candidate {
  readonly score: number;
  /** Its worker has a slot for it, as far as is known. */
  readonly isFree: boolean;
  /** Its worker has lately broken what it promised. */
  readonly isDoubtful?: boolean;
}

/** Award this one, to begin at once or not at all where `atOnce`; or wait for the first of these that has a slot free. */
export type Step<T> =
  | { readonly award: T; readonly atOnce: boolean }
  | { readonly waitFor: readonly T[] }
  | undefined;

/**
 * Late binding (Sparrow: Ousterhout et al., SOSP 2013): what to do with the bids that are left, in the order of `rank`. A free slot is
 * taken before any queue, since a queue's length is a guess, and a task waits only where that is cheaper by more than the
 * wait may cost, and doubtful workers only where there are no others. Where nobody else can take the task, nothing is gained by binding it late: it waits in that worker's queue.
 */
export function nextStep<T extends Candidate>(
  left: readonly T[],
  { secondValue, isOnly }: { readonly secondValue: bigint; readonly isOnly: boolean },
): Step<T> {
  const [first] = left;
  if (!first) return undefined;
  if (isOnly && left.length === 1) return { award: first, atOnce: false };
  const sure = left.filter(({ isDoubtful }) => !isDoubtful);
  const known = sure.length > 0 ? sure : left;
  const best = Math.min(...known.map(({ score }) => score));
  const most = best + (Number(secondValue) / 1e8) * (PLACE_MS / 1000);
  // the first may have been drawn to explore
  const worth = left.filter((bid, i) => i === 0 || (known.includes(bid) && bid.score <= most));
  const free = worth.find(({ isFree }) => isFree);
  return free ? { award: free, atOnce: true } : { waitFor: worth.slice(0, SAMPLE) };
}
