import {
  type Grant,
  grantKind,
  type LedgerOrder,
  ledgerOrderKind,
  MAX_VALUE_BYTES,
  type Opened,
  open,
  peekKind,
} from '../wire/index.ts';
import { type Evidence, readEvidence } from './evidence.ts';

/** What can be decided, its signatures checked. */
export type Statement =
  | { readonly type: 'order'; readonly order: Opened<LedgerOrder> }
  | { readonly type: 'grant'; readonly grant: Opened<Grant> }
  | { readonly type: 'evidence'; readonly evidence: Evidence };

/** @throws WireError for bytes that are not what they claim; CodedError `STATEMENT_KIND`. */
export function readStatement(bytes: Uint8Array): Statement {
  const kind = peekKind(bytes, MAX_VALUE_BYTES) ?? 'unknown';
  switch (kind) {
    case 'ledger-order':
      return { type: 'order', order: open(ledgerOrderKind, bytes) };
    case 'grant':
      return { type: 'grant', grant: open(grantKind, bytes) };
    default:
      return { type: 'evidence', evidence: readEvidence(bytes, kind) };
  }
}

/** What a certificate's `value` is for this statement: independent of how many signatures the envelope carries. */
export function digestOf(statement: Statement): Uint8Array {
  if (statement.type === 'order') return statement.order.digest;
  return statement.type === 'grant' ? statement.grant.digest : statement.evidence.statement.digest;
}

export const orderSlot = (account: string, seq: number): string => `A/${account}/${seq}`;
export const grantSlot = ({ invite, use }: Pick<Grant, 'invite' | 'use'>): string => `G/${invite}/${use}`;
export const escrowSlot = (escrowId: string, steps: number): string => `E/${escrowId}/${steps}`;
