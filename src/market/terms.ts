import {
  type Award,
  fetchedBytes,
  givenInputs,
  type Lock,
  MAX_RERUNS,
  type Offer,
  type TaskSpec,
  type Terms,
  termsHash,
} from '../wire/index.ts';
import { BUNDLE_MS, defaultWindows, SLOWEST_BYTES_PER_MS, type Windows } from './options.ts';

/**
 * The terms that a requester offers for a task. Without arbiters a dispute ends in halves. With them, whoever disputes has to bring
 * their verdict: without one the worker is paid.
 */
export function termsFor(
  spec: TaskSpec,
  windows = defaultWindows,
  candidates: readonly string[] = [],
): Terms {
  const arbiters = canBeJudged(spec) ? candidates : [];
  const limits = {
    queueMs: windows.queueMs,
    pullMs: windows.pullMs,
    stageMs: windows.stageMs + transferMs(fetchedBytes(spec)),
    runMs: runMsOf(spec),
    collectMs: windows.collectMs + transferMs(spec.outputBytes),
  };
  return {
    limits,
    claimMs: phasesOf(limits) + windows.marginMs,
    disputeMs: windows.disputeMs,
    verdictMs: windows.verdictMs + (arbiters.length > 0 ? rerunsMs(limits) : 0),
    verifiers: [],
    verifierQuorum: 0,
    arbiters: [...arbiters],
    arbiterQuorum: verdictsOf(arbiters),
    defaultPermille: arbiters.length > 0 ? 1000 : 500,
    failureFloorPermille: 100,
  };
}

/** The longest time of all its runs: a bundle starts none after `BUNDLE_MS`. */
export function runMsOf({ timeoutMs, members }: Pick<TaskSpec, 'timeoutMs' | 'members'>): number {
  return members ? BUNDLE_MS + timeoutMs : timeoutMs;
}

/**
 * Whether a run of it elsewhere proves anything: not where its requester has a hand in what it meets there, by hosts that answer as
 * they like, by tasks that were in the same sandbox before, or by inputs that the order does not name by their content; nor of a bundle,
 * whose result says how long each run took.
 */
export function canBeJudged(spec: Pick<TaskSpec, 'allowHosts' | 'reuse' | 'members' | 'inputs'>): boolean {
  return spec.allowHosts.length === 0 && !spec.reuse && !spec.members && givenInputs(spec).length === 0;
}

/** How many must agree: two, of a panel of three, so that one who lies or is away decides nothing; of one or two, the one that is drawn. */
function verdictsOf(arbiters: readonly string[]): number {
  return Math.min(2, Math.ceil(arbiters.length / 2));
}

function phasesOf({ queueMs, pullMs, stageMs, runMs, collectMs }: Terms['limits']): number {
  return queueMs + pullMs + stageMs + runMs + collectMs;
}

/** What an arbiter's own runs may take beside the rest of its work. */
function rerunsMs({ runMs }: Terms['limits']): number {
  return MAX_RERUNS * runMs;
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

/** What a worker judges terms by. */
export interface WorkersView {
  readonly windows: Windows;
  /** Whom it lets judge. */
  readonly arbiters: readonly string[];
}

/**
 * Whether a worker is safe under these terms: time to claim after the longest phases, no longer waits than our own terms have, no
 * third party that decides but arbiters whom it trusts, halves at least by default, and a floor for failed runs.
 */
export function termsAreFair({ terms }: Pick<Offer, 'terms'>, { windows, arbiters }: WorkersView): boolean {
  const { limits, claimMs, disputeMs, verdictMs } = terms;
  const claimMargin = claimMs - phasesOf(limits);
  return (
    claimMargin >= windows.marginMs &&
    claimMargin <= CLAIM_MOST_MS &&
    disputeMs > 0 &&
    disputeMs <= windows.disputeMs &&
    verdictMs <= windows.verdictMs + (terms.arbiters.length > 0 ? rerunsMs(limits) : 0) &&
    terms.verifiers.length + terms.verifierQuorum === 0 &&
    terms.arbiters.every(peer => arbiters.includes(peer)) &&
    terms.arbiterQuorum === verdictsOf(terms.arbiters) &&
    terms.defaultPermille >= (terms.arbiters.length > 0 ? 1000 : 500) &&
    terms.failureFloorPermille >= 100
  );
}
