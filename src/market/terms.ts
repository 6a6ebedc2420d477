import {
  type Award,
  fetchedBytes,
  type Lock,
  type Offer,
  type TaskSpec,
  type Terms,
  termsHash,
} from '../wire/index.ts';
import {
  CLAIM_MARGIN_MS,
  COLLECT_LIMIT_MS,
  DISPUTE_MS,
  PULL_LIMIT_MS,
  QUEUE_LIMIT_MS,
  SLOWEST_BYTES_PER_MS,
  STAGE_LIMIT_MS,
  VERDICT_MS,
} from './options.ts';

/** The terms that a requester offers for a task. Without arbiters a dispute ends in halves. */
export function termsFor(spec: TaskSpec): Terms {
  const limits = {
    queueMs: QUEUE_LIMIT_MS,
    pullMs: PULL_LIMIT_MS,
    stageMs: STAGE_LIMIT_MS + transferMs(fetchedBytes(spec)),
    runMs: spec.timeoutMs,
    collectMs: COLLECT_LIMIT_MS + transferMs(spec.outputBytes),
  };
  const phases = limits.queueMs + limits.pullMs + limits.stageMs + limits.runMs + limits.collectMs;
  return {
    limits,
    claimMs: phases + CLAIM_MARGIN_MS,
    disputeMs: DISPUTE_MS,
    verdictMs: VERDICT_MS,
    verifiers: [],
    verifierQuorum: 0,
    arbiters: [],
    arbiterQuorum: 0,
    defaultPermille: 500,
    failureFloorPermille: 100,
  };
}

/** The longest time for so many bytes, milliseconds. */
function transferMs(bytes: number): number {
  return Math.ceil(bytes / SLOWEST_BYTES_PER_MS);
}

/** The lock that an award under these terms needs: the same on both sides, whoever computes it. */
export function lockFor(award: Award, terms: Terms): Omit<Lock, 'op' | 'taskId' | 'replica' | 'attempt'> {
  const claimBy = award.awardedAt + terms.claimMs;
  const disputeBy = claimBy + terms.disputeMs;
  return {
    amount: award.price,
    worker: award.worker,
    termsHash: termsHash(terms),
    claimBy,
    disputeBy,
    verdictBy: disputeBy + terms.verdictMs,
    verifiers: terms.verifiers,
    verifierQuorum: terms.verifierQuorum,
    arbiters: terms.arbiters,
    arbiterQuorum: terms.arbiterQuorum,
    defaultPermille: terms.defaultPermille,
  };
}

/** Whether a certified lock is the one that the award and its terms call for. */
export function lockFits(lock: Lock, award: Award, terms: Terms): boolean {
  const wanted = lockFor(award, terms);
  return (
    lock.taskId === award.taskId &&
    lock.replica === award.replica &&
    lock.attempt === award.attempt &&
    lock.amount === wanted.amount &&
    lock.worker === wanted.worker &&
    Buffer.compare(lock.termsHash, wanted.termsHash) === 0 &&
    lock.claimBy === wanted.claimBy &&
    lock.disputeBy === wanted.disputeBy &&
    lock.verdictBy === wanted.verdictBy &&
    sameList(lock.verifiers, wanted.verifiers) &&
    lock.verifierQuorum === wanted.verifierQuorum &&
    sameList(lock.arbiters, wanted.arbiters) &&
    lock.arbiterQuorum === wanted.arbiterQuorum &&
    lock.defaultPermille === wanted.defaultPermille
  );
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

/** A claim's time beyond all phases: more would keep the worker's money waiting for nothing. */
const CLAIM_MOST_MS = 3_600_000;

/**
 * Whether a worker is safe under these terms: time to claim after the longest phases, no longer waits than our own terms have, no
 * third party that decides (none is supported yet), halves by default, and a floor for failed runs.
 */
export function termsAreFair({ terms }: Pick<Offer, 'terms'>): boolean {
  const { limits, claimMs, disputeMs, verdictMs } = terms;
  const phases = limits.queueMs + limits.pullMs + limits.stageMs + limits.runMs + limits.collectMs;
  const claimMargin = claimMs - phases;
  const thirdParties =
    terms.verifiers.length + terms.verifierQuorum + terms.arbiters.length + terms.arbiterQuorum;
  return (
    claimMargin >= CLAIM_MARGIN_MS &&
    claimMargin <= CLAIM_MOST_MS &&
    disputeMs > 0 &&
    disputeMs <= DISPUTE_MS &&
    verdictMs <= VERDICT_MS &&
    thirdParties === 0 &&
    terms.defaultPermille === 500 &&
    terms.failureFloorPermille >= 100
  );
}
