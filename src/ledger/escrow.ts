import { CodedError } from '../util/index.ts';
import { refKey, sameBytes, type TaskRef } from '../wire/index.ts';
import { defaultPay, drawArbiters, type EscrowState, holdsMoney, type LedgerEscrow } from './escrow-lock.ts';
import type { Evidence } from './evidence.ts';

/** Twice the worst skew (2 s) that two honest clocks may have: a timeout counts from its limit plus this. */
export const GRACE_MS = 4000;

/** What a step needs to know of the network. */
export interface EscrowRules {
  readonly net: Uint8Array;
  readonly treasury: string;
  readonly feeBasisPoints: number;
}

export interface Payment {
  readonly account: string;
  readonly amount: bigint;
}

export interface StepResult {
  readonly escrow: LedgerEscrow;
  /** Sum to the lock's amount when the step closes the escrow; empty otherwise. */
  readonly payments: readonly Payment[];
}

export type EscrowErrorType =
  | { code: 'ESCROW_CLOSED'; escrowId: string; state: EscrowState }
  | { code: 'ESCROW_STATE'; escrowId: string; state: EscrowState; evidence: string }
  | { code: 'ESCROW_MISMATCH'; escrowId: string; field: string }
  | { code: 'ESCROW_SIGNERS'; escrowId: string; evidence: string; signers: readonly string[] }
  | { code: 'ESCROW_LATE'; escrowId: string; limit: number; nowMs: number }
  | { code: 'ESCROW_EARLY'; escrowId: string; notBefore: number; nowMs: number }
  | { code: 'ESCROW_AMOUNT'; escrowId: string; pay: bigint; amount: bigint };

function refuse(type: EscrowErrorType, message: string): never {
  throw new CodedError(type, message);
}

type Transition = Exclude<Evidence['kind'], 'timeout'> | 'refund' | 'claimTimeout' | 'arbTimeout';

const TIMEOUTS = { refund: 'refund', claim: 'claimTimeout', arbitration: 'arbTimeout' } as const;

/** From which states each transition leads. `accept`, `cancel` and `mutual` end any open escrow. */
const FROM: Readonly<Record<Transition, readonly EscrowState[]>> = {
  claim: ['OPEN'],
  refund: ['OPEN'],
  dispute: ['CLAIMED'],
  claimTimeout: ['CLAIMED'],
  verdict: ['DISPUTED'],
  arbTimeout: ['DISPUTED'],
  verified: ['OPEN', 'CLAIMED', 'DISPUTED'],
  accept: ['OPEN', 'CLAIMED', 'DISPUTED'],
  cancel: ['OPEN', 'CLAIMED', 'DISPUTED'],
  mutual: ['OPEN', 'CLAIMED', 'DISPUTED'],
};

function transitionOf(evidence: Evidence): Transition {
  return evidence.kind === 'timeout' ? TIMEOUTS[evidence.statement.body.step] : evidence.kind;
}

function checkState({ escrowId, state, lock }: LedgerEscrow, transition: Transition): void {
  if (!['OPEN', 'CLAIMED', 'DISPUTED'].includes(state))
    refuse({ code: 'ESCROW_CLOSED', escrowId, state }, `the escrow is closed already (${state})`);
  const removed =
    (transition === 'verified' && lock.verifiers.length === 0) ||
    (transition === 'verdict' && lock.arbiters.length === 0);
  if (removed || !FROM[transition].includes(state))
    refuse(
      { code: 'ESCROW_STATE', escrowId, state, evidence: transition },
      `${transition} leads nowhere from ${state}${removed ? ': the lock names nobody for it' : ''}`,
    );
}

function checkNames({ escrowId, lock }: LedgerEscrow, evidence: Evidence, { net }: EscrowRules): void {
  const must = (holds: boolean, field: string) => {
    if (!holds)
      refuse(
        { code: 'ESCROW_MISMATCH', escrowId, field },
        `the evidence is for another ${field} than the lock`,
      );
  };
  const { body } = evidence.statement;
  must(sameBytes(body.net, net), 'net');
  must(body.escrowId === escrowId, 'escrowId');
  const isTask = (ref: TaskRef) => refKey(ref) === refKey(lock);
  if (evidence.kind === 'accept') must(isTask(evidence.statement.body), 'task');
  if (evidence.kind !== 'claim' && evidence.kind !== 'verified') return;
  const attestation = evidence.kind === 'claim' ? evidence.statement : evidence.attestation;
  must(sameBytes(attestation.body.net, net), 'net');
  must(attestation.body.escrowId === escrowId, 'escrowId');
  must(isTask(attestation.body), 'task');
  must(attestation.body.worker === lock.worker, 'worker');
  if (evidence.kind === 'verified')
    must(sameBytes(evidence.statement.body.attestation, attestation.digest), 'attestation');
}

/** True when `signers` are `quorum` or more of `named`, and nobody else. */
function isQuorum(signers: readonly string[], named: readonly string[], quorum: number): boolean {
  const distinct = new Set(signers);
  return (
    distinct.size === signers.length && distinct.size >= quorum && signers.every(peer => named.includes(peer))
  );
}

function hasItsSigners({ escrowId, requester, lock }: LedgerEscrow, evidence: Evidence): boolean {
  const { signers } = evidence.statement;
  switch (evidence.kind) {
    case 'accept':
    case 'dispute':
      return isQuorum(signers, [requester], 1);
    case 'cancel':
    case 'claim':
      return isQuorum(signers, [lock.worker], 1);
    case 'mutual':
      return isQuorum(signers, [requester, lock.worker], 2);
    case 'verified':
      return (
        isQuorum(signers, lock.verifiers, lock.verifierQuorum) &&
        isQuorum(evidence.attestation.signers, [lock.worker], 1)
      );
    case 'verdict':
      return isQuorum(signers, drawArbiters(escrowId, lock), lock.arbiterQuorum);
    case 'timeout':
      return signers.length === 0;
  }
}

function checkTime({ escrowId, lock }: LedgerEscrow, transition: Transition, nowMs: number): void {
  const limit = { claim: lock.claimBy, dispute: lock.disputeBy }[transition as string];
  if (limit !== undefined && nowMs > limit)
    refuse(
      { code: 'ESCROW_LATE', escrowId, limit, nowMs },
      `${transition} came ${nowMs - limit} ms too late`,
    );
  const ended = { refund: lock.claimBy, claimTimeout: lock.disputeBy, arbTimeout: lock.verdictBy }[
    transition as string
  ];
  if (ended === undefined || nowMs >= ended + GRACE_MS) return;
  const notBefore = ended + GRACE_MS;
  refuse(
    { code: 'ESCROW_EARLY', escrowId, notBefore, nowMs },
    `${transition} comes ${notBefore - nowMs} ms too early`,
  );
}

function splitPay({ escrowId, lock }: LedgerEscrow, pay: bigint): bigint {
  if (pay > lock.amount)
    refuse(
      { code: 'ESCROW_AMOUNT', escrowId, pay, amount: lock.amount },
      `a split of ${pay} is more than the ${lock.amount} that were locked`,
    );
  return pay;
}

type Outcome = { readonly state: EscrowState; readonly pay: bigint };

function outcomeOf(escrow: LedgerEscrow, evidence: Evidence): Outcome {
  const { lock } = escrow;
  switch (evidence.kind) {
    case 'accept':
    case 'verified':
      return { state: 'PAID', pay: lock.amount };
    case 'cancel':
      return { state: 'REFUNDED', pay: 0n };
    case 'mutual':
    case 'verdict':
      return { state: 'SPLIT', pay: splitPay(escrow, evidence.statement.body.pay) };
    case 'claim':
      return { state: 'CLAIMED', pay: 0n };
    case 'dispute':
      return { state: 'DISPUTED', pay: 0n };
    case 'timeout': {
      const transition = transitionOf(evidence);
      if (transition === 'refund') return { state: 'REFUNDED', pay: 0n };
      if (transition === 'claimTimeout') return { state: 'PAID', pay: lock.amount };
      return { state: 'SPLIT', pay: defaultPay(lock) };
    }
  }
}

/**
 * One step of an escrow: design/ledger.md, "Embedded", both tables. Pure: the same evidence in the same state gives the
 * same result everywhere.
 * @param nowMs the notary's time T; null leaves the rules of time out, for those who check what notaries decided before.
 * @throws CodedError `ESCROW_CLOSED`, `ESCROW_STATE`, `ESCROW_MISMATCH`, `ESCROW_SIGNERS`, `ESCROW_LATE`, `ESCROW_EARLY`, `ESCROW_AMOUNT`.
 */
export function step(
  escrow: LedgerEscrow,
  evidence: Evidence,
  nowMs: number | null,
  rules: EscrowRules,
): StepResult {
  const transition = transitionOf(evidence);
  checkState(escrow, transition);
  checkNames(escrow, evidence, rules);
  if (!hasItsSigners(escrow, evidence)) {
    const { signers } = evidence.statement;
    refuse(
      { code: 'ESCROW_SIGNERS', escrowId: escrow.escrowId, evidence: transition, signers },
      `${transition} is not signed by those who may sign it`,
    );
  }
  if (nowMs !== null) checkTime(escrow, transition, nowMs);
  const { state, pay } = outcomeOf(escrow, evidence);
  const fee = (pay * BigInt(rules.feeBasisPoints)) / 10_000n;
  const next = { ...escrow, state, pay, fee, steps: escrow.steps + 1 };
  if (holdsMoney(next)) return { escrow: next, payments: [] };
  const payments = [
    { account: escrow.lock.worker, amount: pay - fee },
    { account: rules.treasury, amount: fee },
    { account: escrow.requester, amount: escrow.lock.amount - pay },
  ];
  return { escrow: next, payments: payments.filter(({ amount }) => amount > 0n) };
}
