import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import {
  type CommitteeChange,
  committeeKind,
  type Grant,
  grantKind,
  type Invite,
  inviteKind,
  type LedgerOrder,
  ledgerOrderKind,
  MAX_VALUE_BYTES,
  type Opened,
  open,
  peekKind,
  type Redeem,
  type Removal,
  type Revoke,
  redeemKind,
  removalKind,
  revokeKind,
  type Skip,
  type Standing,
  seal,
  skipKind,
  standingKind,
  timeoutKind,
  toHex,
} from '../wire/index.ts';
import { type Evidence, readEvidence } from './evidence.ts';
import type { ValueKind } from './value-kind.ts';

/** What can be decided, its signatures checked. */
export type Statement =
  | { readonly type: 'order'; readonly order: Opened<LedgerOrder> }
  | { readonly type: 'grant'; readonly grant: Opened<Grant> }
  | { readonly type: 'redeem'; readonly redeem: Opened<Redeem>; readonly invite: Opened<Invite> }
  | { readonly type: 'revoke'; readonly revoke: Opened<Revoke> }
  | { readonly type: 'removal'; readonly removal: Opened<Removal> }
  | { readonly type: 'skip'; readonly skip: Opened<Skip> }
  | { readonly type: 'committee'; readonly committee: Opened<CommitteeChange> }
  | { readonly type: 'evidence'; readonly evidence: Evidence };

/** What a trail can hold: what was decided, or where its account stands. */
export type TrailStatement = Statement | { readonly type: 'standing'; readonly standing: Opened<Standing> };

/** @throws as `readStatement`. */
export function readTrailStatement(bytes: Uint8Array): TrailStatement {
  return peekKind(bytes, MAX_VALUE_BYTES) === standingKind.name
    ? { type: 'standing', standing: open(standingKind, bytes) }
    : readStatement(bytes);
}

/** Statements that were opened, by the hash of their bytes: one is read at several steps of its way, and by wallet and notary of one node. All within a moment: those of a few full batches are enough, and each takes some times its bytes. */
const known = new LRUCache<string, Statement>({ max: 512, maxSize: 1024 * 1024 });

/** @throws WireError for bytes that are not what they claim; CodedError `STATEMENT_KIND`. */
export function readStatement(bytes: Uint8Array): Statement {
  const name = hash('sha256', bytes, 'base64');
  const found = known.get(name);
  if (found) return found;
  const statement = openStatement(bytes);
  known.set(name, statement, { size: bytes.length });
  return statement;
}

function openStatement(bytes: Uint8Array): Statement {
  const kind = peekKind(bytes, MAX_VALUE_BYTES) ?? 'unknown';
  switch (kind) {
    case 'ledger-order':
      return { type: 'order', order: open(ledgerOrderKind, bytes) };
    case 'grant':
      return { type: 'grant', grant: open(grantKind, bytes) };
    case 'committee':
      return { type: 'committee', committee: open(committeeKind, bytes) };
    case 'redeem': {
      const redeem = open(redeemKind, bytes);
      return { type: 'redeem', redeem, invite: open(inviteKind, redeem.body.invite) };
    }
    case 'revoke':
      return { type: 'revoke', revoke: open(revokeKind, bytes) };
    case 'removal':
      return { type: 'removal', removal: open(removalKind, bytes) };
    case 'skip':
      return { type: 'skip', skip: open(skipKind, bytes) };
    default:
      return { type: 'evidence', evidence: readEvidence(bytes, kind) };
  }
}

/** What a certificate's `value` is for this statement: independent of how many signatures the envelope carries. */
export function digestOf(statement: TrailStatement): Uint8Array {
  switch (statement.type) {
    case 'standing':
      return statement.standing.digest;
    case 'order':
      return statement.order.digest;
    case 'grant':
      return statement.grant.digest;
    case 'redeem':
      return statement.redeem.digest;
    case 'revoke':
      return statement.revoke.digest;
    case 'removal':
      return statement.removal.digest;
    case 'skip':
      return statement.skip.digest;
    case 'committee':
      return statement.committee.digest;
    case 'evidence':
      return statement.evidence.statement.digest;
  }
}

export const orderSlot = (account: string, seq: number): string => `A/${account}/${seq}`;
export const grantSlot = ({ invite, use }: Pick<Grant, 'invite' | 'use'>): string => `G/${invite}/${use}`;
export const useSlot = (invite: string, use: number): string => `G/${invite}/${use}`;
export const removalSlot = ({ invite, use }: Pick<Removal, 'invite' | 'use'>): string => `R/${invite}/${use}`;
export const committeeSlot = (epoch: number): string => `C/${epoch}`;
export const escrowSlot = (escrowId: string, steps: number): string => `E/${escrowId}/${steps}`;
export const standingSlot = (account: string, at: number): string => `S/${account}/${at}`;
/** Of all steps that an escrow can have. */
export const escrowSlots = (escrowId: string): string[] => [0, 1, 2].map(step => escrowSlot(escrowId, step));

/** The one slot that a statement can decide; which step of an escrow evidence is for, the escrow says. */
export function slotOf(statement: Exclude<Statement, { type: 'evidence' }>): string {
  switch (statement.type) {
    case 'order':
      return orderSlot(statement.order.body.account, statement.order.body.seq);
    case 'skip':
      return orderSlot(statement.skip.body.account, statement.skip.body.seq);
    case 'grant':
      return grantSlot(statement.grant.body);
    case 'redeem':
      return useSlot(statement.invite.body.id, statement.redeem.body.use);
    case 'revoke':
      return useSlot(statement.revoke.body.invite, statement.revoke.body.use);
    case 'removal':
      return removalSlot(statement.removal.body);
    case 'committee':
      return committeeSlot(statement.committee.body.epoch);
  }
}

/** A statement as several notaries handle it: opened once, beside its bytes and its digest as hex. */
export interface Stated {
  readonly statement: Statement;
  readonly value: Uint8Array;
  readonly digest: string;
}

/** @throws as `readStatement`. */
export function stated(value: Uint8Array): Stated {
  const statement = readStatement(value);
  return { statement, value, digest: toHex(digestOf(statement)) };
}

export function kindOf(statement: Statement): ValueKind {
  return statement.type === 'evidence' ? statement.evidence.kind : statement.type;
}

/** That the number `seq` of `account` comes to nothing. */
export function skipOf(net: Uint8Array, account: string, seq: number): Stated {
  const skip = seal(skipKind, { net, account, seq });
  return { statement: { type: 'skip', skip }, value: skip.bytes, digest: toHex(skip.digest) };
}

/** That the time of an escrow's step is over. */
export function timeoutOf(
  net: Uint8Array,
  escrowId: string,
  step: 'refund' | 'claim' | 'arbitration',
): Stated {
  const statement = seal(timeoutKind, { net, escrowId, step });
  return {
    statement: { type: 'evidence', evidence: { kind: 'timeout', statement } },
    value: statement.bytes,
    digest: toHex(statement.digest),
  };
}
