import { CodedError } from '../../util/index.ts';
import { type AttemptRecord, MICROS, type TaskFailure, type TaskRecord } from '../../wire/index.ts';
import type { BidView } from '../interface.ts';
import type { AuctionResult } from './auction.ts';
import { moneyMoves } from './task-store.ts';

/** Awards of one task, answered or not: beyond it something is wrong that trying does not mend. */
const MAX_ATTEMPTS = 100;

/** The number of the next award: an entry without an award is an auction that found nobody, and keeps its number. */
export function nextAttempt({ attempts }: TaskRecord): number {
  const last = attempts.at(-1);
  const next = last ? (last.award ? last.attempt + 1 : last.attempt) : 1;
  if (next > MAX_ATTEMPTS)
    throw new CodedError({ code: 'TOO_MANY_ATTEMPTS' }, `${MAX_ATTEMPTS} awards led to nothing`);
  return next;
}

/** Of an attempt that ran beside another one, whose result came first. */
export const OVERTAKEN: TaskFailure = {
  class: 'network',
  code: 'OVERTAKEN',
  message: 'the result of another attempt was taken',
};

/** Failures that say nothing about the worker: the notaries were away, this node was, or another one was faster. */
const NOBODYS_FAULT = [
  'LOCK_MISSING',
  'AWARD_UNANSWERED',
  'LEDGER_REFUSED',
  'LEDGER_STOPPED',
  'QUEUE_FULL',
  OVERTAKEN.code,
];

/** Whether a failure is a reason not to ask its worker again. */
export function blames(failure: TaskFailure): boolean {
  return (failure.class === 'worker' || failure.class === 'network') && !NOBODYS_FAULT.includes(failure.code);
}

/** What a worker may say of the task itself. Nothing proves it: it counts when another says so too, or there is no other. */
const SAID_OF_TASK = ['IMAGE_UNKNOWN', 'SANDBOX_REFUSED'];
/** Attempts that a worker may end for want of the lock: it waits seconds for it, and the notaries may be away for minutes. */
const MAX_LOCKS_MISSED = 10;

/** A failure in a worker's words: whatever it blames, it is its own, but for a lock that did not come. */
export function inWordsOf({ class: errorClass, code, message }: TaskFailure): TaskFailure {
  const isLock = errorClass === 'network' && code === 'LOCK_MISSING';
  return { class: isLock ? 'network' : 'worker', code, message };
}

export function isSaidOfTask({ code }: Pick<TaskFailure, 'code'>): boolean {
  return SAID_OF_TASK.includes(code);
}

/** Whether another worker than this one has said the same of the task. */
export function isSaidTwice({ attempts }: TaskRecord, worker: string | null, { code }: TaskFailure): boolean {
  return (
    isSaidOfTask({ code }) && attempts.some(other => other.failure?.code === code && other.worker !== worker)
  );
}

export function locksMissed({ attempts }: TaskRecord): boolean {
  return attempts.filter(({ failure }) => failure?.code === 'LOCK_MISSING').length >= MAX_LOCKS_MISSED;
}

/** How often a worker accepted and then failed; what never began for want of money or of a notary does not count. */
export function executions({ attempts }: TaskRecord): number {
  return attempts.filter(
    ({ acceptance, failure }) =>
      acceptance && failure && failure.class !== 'funds' && failure.code !== 'LOCK_MISSING',
  ).length;
}

/** Whether another execution can be paid: out of what may be spent now, and within the task's own bound and this node's. */
export function hasFunds(
  { policy, attempts }: TaskRecord,
  free: bigint,
  maxPerTask: bigint | null = null,
): boolean {
  if (policy.payment === 0n) return true;
  const most = maxPerTask === null || maxPerTask > policy.maxTotal ? policy.maxTotal : maxPerTask;
  const bound = attempts.reduce(
    (sum, entry) => sum + (moneyMoves(entry) ? (entry.price ?? 0n) : entry.pay),
    0n,
  );
  return bound + policy.payment <= most && free >= policy.payment;
}

/**
 * Nobody is left to take it: each of `asked` has refused for good, now or before (`refused`). Who is too busy to answer in time may
 * take it yet. Where all others have failed at the task itself, nobody needs to be asked.
 */
export function allRefuseForGood(
  record: TaskRecord,
  { asked, refused }: { readonly asked: readonly string[]; readonly refused: ReadonlySet<string> },
): boolean {
  const bids = record.attempts.at(-1)?.bids ?? [];
  const ofTask = executions(record) > 0 && isSaidOfTask(lastFailure(record));
  const now = new Set(bids.filter(bid => bid.refusal?.permanent).map(({ worker }) => worker));
  return (
    (asked.length > 0 || ofTask) &&
    asked.every(peer => refused.has(peer) || now.has(peer)) &&
    bids.every(bid => bid.refusal?.permanent)
  );
}

/** Answers of one auction that are kept with its attempt. */
const MAX_ANSWERS = 64;

export function emptyAttempt({ offer, views, silent }: AuctionResult): AttemptRecord {
  return {
    attempt: offer.body.attempt,
    offer: offer.bytes,
    worker: null,
    price: null,
    award: null,
    acceptance: null,
    awardedAt: null,
    startedAt: null,
    endedAt: null,
    bids: views.slice(0, MAX_ANSWERS).map(bidRecord),
    silent: silent.slice(0, MAX_ANSWERS),
    failure: null,
    money: 'none',
    escrowId: null,
    lock: null,
    evidence: null,
    close: null,
    pay: 0n,
    fee: 0n,
    escrow: null,
  };
}

function bidRecord({ score, facts, ...view }: BidView): AttemptRecord['bids'][number] {
  return {
    ...view,
    score: score === null ? null : score.toFixed(9),
    facts: facts && {
      queueMs: facts.queueMs,
      bytesMissing: facts.bytesMissing,
      expectedMs: facts.expectedMs,
      successMicros: Math.round(facts.success * MICROS),
      secondValue: facts.secondValue,
      isDoubtful: facts.isDoubtful,
    },
  };
}

export function overdue(waiting: string | null): TaskFailure {
  const funds = waiting === 'funds_locked';
  return funds
    ? {
        class: 'funds',
        code: 'FUNDS_INSUFFICIENT',
        message:
          'there was too little free money, or too little left of the limits on spending, until the deadline',
      }
    : { class: 'network', code: 'DEADLINE', message: 'no worker took the task before its deadline' };
}

/** Why a task ends that nobody tries again: what was said of the task itself stands then. */
export function lastFailure({ attempts }: TaskRecord): TaskFailure {
  const last = attempts.findLast(entry => entry.failure)?.failure;
  if (!last) return { class: 'worker', code: 'RETRIES_SPENT', message: 'all attempts failed' };
  return isSaidOfTask(last) ? { ...last, class: 'user' } : last;
}

export function noWorkerFits({ attempts }: TaskRecord): TaskFailure {
  const bids = attempts.at(-1)?.bids ?? [];
  const reasons = [...new Set(bids.map(bid => `${bid.refusal?.code}: ${bid.refusal?.reason}`))].slice(0, 5);
  return {
    class: 'user',
    code: 'NO_WORKER_FITS',
    message: `no node can run this task (${reasons.join('; ')})`,
  };
}
