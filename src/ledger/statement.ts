import {
  type CommitteeChange,
  committeeKind,
  type Grant,
  grantKind,
  type LedgerOrder,
  ledgerOrderKind,
  MAX_VALUE_BYTES,
  type Opened,
  open,
  peekKind,
  type Skip,
  seal,
  skipKind,
  timeoutKind,
  toHex,
} from '../wire/index.ts';
import { type Evidence, readEvidence } from './evidence.ts';
import type { ValueKind } from './value-kind.ts';

/** What can be decided, its signatures checked. */
export type Statement =
  | { readonly type: 'order'; readonly order: Opened<LedgerOrder> }
  | { readonly type: 'grant'; readonly grant: Opened<Grant> }
  | { readonly type: 'skip'; readonly skip: Opened<Skip> }
  | { readonly type: 'committee'; readonly committee: Opened<CommitteeChange> }
  | { readonly type: 'evidence'; readonly evidence: Evidence };

/** @throws WireError for bytes that are not what they claim; CodedError `STATEMENT_KIND`. */
export function readStatement(bytes: Uint8Array): Statement {
  const kind = peekKind(bytes, MAX_VALUE_BYTES) ?? 'unknown';
  switch (kind) {
    case 'ledger-order':
      return { type: 'order', order: open(ledgerOrderKind, bytes) };
    case 'grant':
      return { type: 'grant', grant: open(grantKind, bytes) };
    case 'committee':
      return { type: 'committee', committee: open(committeeKind, bytes) };
    case 'skip':
      return { type: 'skip', skip: open(skipKind, bytes) };
    default:
      return { type: 'evidence', evidence: readEvidence(bytes, kind) };
  }
}

/** What a certificate's `value` is for this statement: independent of how many signatures the envelope carries. */
export function digestOf(statement: Statement): Uint8Array {
  if (statement.type === 'order') return statement.order.digest;
  if (statement.type === 'skip') return statement.skip.digest;
  if (statement.type === 'committee') return statement.committee.digest;
  return statement.type === 'grant' ? statement.grant.digest : statement.evidence.statement.digest;
}

export const orderSlot = (account: string, seq: number): string => `A/${account}/${seq}`;
export const grantSlot = ({ invite, use }: Pick<Grant, 'invite' | 'use'>): string => `G/${invite}/${use}`;
export const committeeSlot = (epoch: number): string => `C/${epoch}`;
export const escrowSlot = (escrowId: string, steps: number): string => `E/${escrowId}/${steps}`;

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
