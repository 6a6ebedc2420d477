import { CodedError, type Deferred, deferred } from '../util/index.ts';
import {
  type Decided,
  encodeCbor,
  escrowIdOf,
  type LedgerOp,
  type LedgerOrder,
  MAX_OPS,
  type Opened,
  sameBytes,
} from '../wire/index.ts';
import { type CheckedDecision, checkDecided } from './certificates.ts';
import type { Committees } from './committees.ts';
import type { Escrow } from './interface.ts';
import { digestOf } from './statement.ts';

/** Of an order's operations: leaves room for the envelope in the 64 KiB of a statement. */
const MAX_ORDER_BYTES = 60 * 1024;

/** One operation on its way: gathered first, then in the order under way. */
export interface Pending {
  readonly op: LedgerOp;
  /** Of a transfer that a user asked for: what it is remembered by, so that a repetition finds it. */
  readonly send: SendNote | undefined;
  /** Callers that still wait; an operation that nobody waits for is dropped while it is in no order. */
  waiting: number;
  /** It goes into an order, or is in one: nothing takes it back. */
  isOrdered: boolean;
  readonly done: Deferred<Ordered>;
}

/** A certified operation; `escrow` where it was a lock. */
export interface Ordered {
  readonly decided: Decided;
  readonly escrow: Escrow | undefined;
}

export interface UnderWay {
  readonly order: Opened<LedgerOrder>;
  readonly pending: readonly Pending[];
}

export interface SendNote {
  readonly key: string | null;
  /** When it was asked for, wall-clock milliseconds. */
  readonly at: number;
}

export function pend(op: LedgerOp, send?: SendNote): Pending {
  return { op, send, waiting: 0, isOrdered: false, done: deferred() };
}

/** How many of the first of `pending` one order holds. */
export function fitting(pending: readonly Pending[]): number {
  let bytes = 0;
  let count = 0;
  for (const { op } of pending.slice(0, MAX_OPS)) {
    bytes += encodeCbor(op).length;
    if (count > 0 && bytes > MAX_ORDER_BYTES) break;
    count++;
  }
  return count;
}

/** Units in `pending`: all, and those of locks. */
export function sumOf(pending: readonly Pending[]): { all: bigint; locks: bigint } {
  let all = 0n;
  let locks = 0n;
  for (const { op } of pending) {
    all += op.amount;
    if (op.op === 'lock') locks += op.amount;
  }
  return { all, locks };
}

/** Gives each operation of a decided order its certificate. */
export function answerAll(pending: readonly Pending[], order: Opened<LedgerOrder>, decided: Decided): void {
  const requester = order.body.account;
  for (const [index, { op, done }] of pending.entries()) {
    const isLock = op.op === 'lock';
    const escrow = isLock ? { escrowId: escrowIdOf(order, index), lock: op, requester, decided } : undefined;
    done.resolve({ decided, escrow });
  }
}

/**
 * Checks what was decided on an order; where it is this one and holds locks alone, who waits for them is answered before the book has them: the
 * certificate is final, and a worker waits for it. What else is paid is to show in the history at once.
 * @throws CodedError and WireError as `checkDecided`.
 */
export function checkAndAnswer(
  { order, pending }: UnderWay,
  decided: Decided,
  { current }: Pick<Committees, 'current'>,
): CheckedDecision {
  const checked = checkDecided(decided, current);
  const isOurs = sameBytes(digestOf(checked.statement), order.digest);
  if (isOurs && pending.every(({ op }) => op.op === 'lock')) answerAll(pending, order, decided);
  return checked;
}

/** Where nobody waits, nobody is told. */
export function rejectAll(pending: readonly Pending[], error: unknown): void {
  for (const { waiting, done } of pending) if (waiting > 0) done.reject(error);
}

export type QueueErrorType = { code: 'QUEUE_FULL'; limit: number } | { code: 'LEDGER_STOPPED' };

export function queueFull(limit: number): CodedError<QueueErrorType> {
  return new CodedError<QueueErrorType>(
    { code: 'QUEUE_FULL', limit },
    'too much waits for a notary: try again later',
  );
}

export function stopped(): CodedError<QueueErrorType> {
  return new CodedError<QueueErrorType>({ code: 'LEDGER_STOPPED' }, 'the wallet is not running');
}
