import { CodedError } from '../util/index.ts';
import {
  type Certificate,
  certificateKind,
  type Decided,
  decodeCanonical,
  escrowIdOf,
  type Funds,
  fundsKind,
  type GenesisInfo,
  type LedgerOrder,
  type Opened,
  open,
  refKey,
  sameBytes,
  type TaskRef,
} from '../wire/index.ts';
import { checkChange, checkGrant, checkOrder, checkOrigin } from './accounts.ts';
import { type Committee, committeeAt } from './committee.ts';
import { type EscrowRules, type StepResult, step } from './escrow.ts';
import { type EscrowState, holdsMoney, openEscrow } from './escrow-lock.ts';
import type { Evidence } from './evidence.ts';
import type { Closing, Escrow, Standing } from './interface.ts';
import { checkRedeem } from './invites.ts';
import {
  digestOf,
  escrowSlot,
  readTrailStatement,
  type Statement,
  slotOf,
  standingSlot,
  type TrailStatement,
} from './statement.ts';

export type CertificateErrorType =
  | { code: 'CERTIFICATE_INVALID'; reason: string }
  | { code: 'LOCK_NOT_FOUND'; slot: string }
  | { code: 'STEP_NOT_CLOSING'; slot: string };

function invalid(reason: string): never {
  throw new CodedError<CertificateErrorType>(
    { code: 'CERTIFICATE_INVALID', reason },
    `certificate: ${reason}`,
  );
}

export function rulesOf({ genesis, net }: GenesisInfo): EscrowRules {
  return { net, treasury: genesis.treasury, feeBasisPoints: genesis.feeBasisPoints };
}

/** A decided slot whose certificate and statement were checked. */
export interface CheckedDecision {
  readonly slot: string;
  readonly epoch: number;
  readonly statement: TrailStatement;
  readonly decided: Decided;
  readonly certificate: Opened<Certificate>;
}

/** Network and quorum of a certificate, or of the votes for one, by the committee of its epoch. @throws CodedError `CERTIFICATE_INVALID`. */
export function checkCertificate(
  { body, signers }: Pick<Opened<Certificate>, 'body' | 'signers'>,
  committee: Committee,
): void {
  if (!sameBytes(body.net, committee.info.net)) invalid('belongs to another network');
  const signed = committeeAt(body.epoch, committee);
  if (!signed) invalid(`of epoch ${body.epoch}, where ${committee.epoch} is the last that is known`);
  checkQuorum(signers, signed);
}

function checkQuorum(signers: readonly string[], { keys, quorum }: Committee): void {
  if (!signers.every(peer => keys.includes(peer))) invalid('signed by one who is no notary');
  if (signers.length < quorum) invalid(`has ${signers.length} of ${quorum} signatures`);
}

/** What makes a statement valid whatever the ledger. @throws CodedError as `checkDecided`. */
function checkStatement(statement: Exclude<Statement, { type: 'evidence' }>, info: GenesisInfo): void {
  switch (statement.type) {
    case 'order':
      checkOrder(statement.order, info);
      break;
    case 'grant':
      checkGrant(statement.grant, info);
      break;
    case 'redeem':
      checkRedeem(statement.redeem, statement.invite, info);
      break;
    case 'revoke':
      checkOrigin('revocation', statement.revoke, [info.genesis.admin], info);
      break;
    case 'removal':
      checkOrigin('removal', statement.removal, [info.genesis.admin], info);
      break;
    case 'committee':
      checkChange(statement.committee, info);
      break;
    case 'skip':
      if (!sameBytes(statement.skip.body.net, info.net)) invalid('belongs to another network');
  }
}

/** True when `slot` is one that `statement` can decide; its own rules without state are checked on the way. */
function checkSlot(slot: string, statement: TrailStatement, { info }: Committee): boolean {
  if (statement.type === 'standing') {
    const { net, account, at } = statement.standing.body;
    return sameBytes(net, info.net) && slot === standingSlot(account, at);
  }
  if (statement.type !== 'evidence') {
    checkStatement(statement, info);
    return slot === slotOf(statement);
  }
  const { net, escrowId } = statement.evidence.statement.body;
  return (
    sameBytes(net, info.net) &&
    escrowId !== null &&
    /^E\/.{64}\/[012]$/.test(slot) &&
    slot.split('/')[1] === escrowId
  );
}

/**
 * Checks a certificate's quorum, and that it decides the statement beside it. For a step of an escrow, whether the evidence fits
 * the lock is left to `readClosing` and `replayStep`, which know the lock.
 * @throws CodedError `CERTIFICATE_INVALID`, `STATEMENT_KIND`, those of `checkOrder`, `checkGrant` and `checkChange`; WireError.
 */
export function checkDecided(decided: Decided, committee: Committee): CheckedDecision {
  const certificate = open(certificateKind, decided.certificate);
  checkCertificate(certificate, committee);
  const statement = readTrailStatement(decided.value);
  checkDecides(certificate.body, statement, committee);
  const { slot, epoch } = certificate.body;
  return { slot, epoch, statement, decided, certificate };
}

/** That a certificate decides `statement`, and in a slot of it. @throws as `checkDecided`. */
export function checkDecides(
  { slot, value }: Certificate,
  statement: TrailStatement,
  committee: Committee,
): void {
  if (!sameBytes(digestOf(statement), value)) invalid('decides another statement');
  if (!checkSlot(slot, statement, committee)) invalid('its slot is not that of its statement');
}

/** Of the longest slot: G/, two names of 64 and what is between. */
const MAX_SLOT_LENGTH = 131;

/** What a certificate claims, unchecked. */
function peek({ certificate }: Decided): { slot?: unknown; epoch?: unknown } {
  try {
    const { body } = decodeCanonical(certificate, certificateKind.maxBytes, 'certificate') as {
      body: Uint8Array;
    };
    return decodeCanonical(body, certificateKind.maxBytes, 'certificate') as object;
  } catch {
    return {};
  }
}

/** The slot that a certificate claims to decide, unchecked: to skip what is known without the cost of signatures. */
export function peekSlot(decided: Decided): string | undefined {
  const { slot } = peek(decided);
  return typeof slot === 'string' && slot.length <= MAX_SLOT_LENGTH ? slot : undefined;
}

/** The epoch that a certificate claims to be of, unchecked. */
export function peekEpoch(decided: Decided): number | undefined {
  const { epoch } = peek(decided);
  return typeof epoch === 'number' ? epoch : undefined;
}

function lockAt(order: Opened<LedgerOrder>, ref: TaskRef | number): number {
  if (typeof ref === 'number') return order.body.ops[ref]?.op === 'lock' ? ref : -1;
  return order.body.ops.findIndex(op => op.op === 'lock' && refKey(op) === refKey(ref));
}

/**
 * The certified lock of an execution, or of an operation's index.
 * @throws CodedError `LOCK_NOT_FOUND` and those of `checkDecided`.
 */
export function readLock(decided: Decided, ref: TaskRef | number, committee: Committee): Escrow {
  const { slot, statement } = checkDecided(decided, committee);
  const index = statement.type === 'order' ? lockAt(statement.order, ref) : -1;
  const op = statement.type === 'order' ? statement.order.body.ops[index] : undefined;
  if (statement.type !== 'order' || op?.op !== 'lock')
    throw new CodedError<CertificateErrorType>(
      { code: 'LOCK_NOT_FOUND', slot },
      `${slot} holds no such lock`,
    );
  const { order } = statement;
  return { escrowId: escrowIdOf(order, index), lock: op, requester: order.body.account, decided };
}

const STATES: readonly EscrowState[] = ['OPEN', 'CLAIMED', 'DISPUTED'];

/** Runs a decided step again. The step's number in its slot names the state that it left: 0 OPEN, 1 CLAIMED, 2 DISPUTED. */
export function replayStep(
  { escrowId, requester, lock }: Pick<Escrow, 'escrowId' | 'requester' | 'lock'>,
  slot: string,
  evidence: Evidence,
  rules: EscrowRules,
): StepResult {
  const steps = STATES.findIndex((_, number) => slot === escrowSlot(escrowId, number));
  const state = STATES[steps];
  if (state === undefined) invalid('is about another escrow');
  return step({ ...openEscrow(escrowId, requester, lock), state, steps }, evidence, null, rules);
}

/** The closing that a checked step makes of `escrow`; undefined for a claim or a dispute. Errors as `readClosing`. */
export function closingOf(
  { slot, statement, decided }: CheckedDecision,
  escrow: Pick<Escrow, 'escrowId' | 'requester' | 'lock'>,
  { info }: Committee,
): Closing | undefined {
  if (statement.type !== 'evidence') invalid('is no step of an escrow');
  const { escrow: next } = replayStep(escrow, slot, statement.evidence, rulesOf(info));
  if (holdsMoney(next)) return undefined;
  const outcome = ({ PAID: 'paid', REFUNDED: 'refunded' } as const)[next.state as string] ?? 'split';
  return { outcome, pay: next.pay, fee: next.fee, decided };
}

/** How `escrow` stands by checked decisions about it; others than its steps are passed over. Errors as `readClosing`. */
export function standingOf(
  decisions: readonly CheckedDecision[],
  escrow: Pick<Escrow, 'escrowId' | 'requester' | 'lock'>,
  committee: Committee,
): Standing {
  const steps = decisions.flatMap(decision => {
    const { statement, decided } = decision;
    if (statement.type !== 'evidence') return [];
    return [{ kind: statement.evidence.kind, decided, closing: closingOf(decision, escrow, committee) }];
  });
  const stepOf = (wanted: Evidence['kind']) => steps.find(({ kind }) => kind === wanted)?.decided;
  const closing = steps.find(step => step.closing)?.closing;
  return { claim: stepOf('claim'), dispute: stepOf('dispute'), closing };
}

/**
 * How a certified step closed the escrow. The evidence is checked against the lock again; the rules of time are what the
 * notaries vouch for.
 * @throws CodedError `STEP_NOT_CLOSING` for a claim or a dispute, `CERTIFICATE_INVALID`, those of `step` and `checkDecided`.
 */
export function readClosing(
  decided: Decided,
  escrow: Pick<Escrow, 'escrowId' | 'requester' | 'lock'>,
  committee: Committee,
): Closing {
  const checked = checkDecided(decided, committee);
  const closing = closingOf(checked, escrow, committee);
  if (closing) return closing;
  const { slot } = checked;
  throw new CodedError<CertificateErrorType>(
    { code: 'STEP_NOT_CLOSING', slot },
    `${slot} leaves the escrow open: the step that closes it is a later one`,
  );
}

/**
 * A balance as a quorum of notaries signed it. How old it may be is the reader's business (`at`).
 * @throws CodedError `CERTIFICATE_INVALID`; WireError.
 */
export function checkFunds(bytes: Uint8Array, committee: Committee): Funds {
  const { body, signers } = open(fundsKind, bytes);
  if (!sameBytes(body.net, committee.info.net)) invalid('belongs to another network');
  checkQuorum(signers, committee);
  return body;
}
