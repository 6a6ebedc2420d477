import { CodedError } from '../util/index.ts';
import {
  type CommitteeChange,
  escrowIdOf,
  type GenesisInfo,
  type Grant,
  isPeerText,
  type LedgerOrder,
  type Opened,
  sameBytes,
} from '../wire/index.ts';
import type { Payment } from './escrow.ts';
import { type LedgerEscrow, openEscrow } from './escrow-lock.ts';

/** An account: what it can spend, and the number of its next order. */
export interface Account {
  readonly balance: bigint;
  readonly seq: number;
  /** How many uses of invites make it a member now. */
  readonly memberships?: number | undefined;
  /** Of the purse of an invite: nobody redeems it any more. */
  readonly revoked?: boolean | undefined;
}

export const EMPTY_ACCOUNT: Account = { balance: 0n, seq: 0 };

/** The invite that every member of an open network redeems, once for each account. */
export const OPEN_INVITE = 'open';

/** What a statement about an account does: the paying account as it is then, what others get, and new escrows. */
export interface AccountResult {
  readonly account: Account;
  readonly payments: readonly Payment[];
  readonly escrows: readonly LedgerEscrow[];
}

export type AccountErrorType =
  | { code: 'STATEMENT_NETWORK'; what: string }
  | { code: 'STATEMENT_SIGNER'; what: string; signers: readonly string[] }
  | { code: 'ORDER_SEQ'; expected: number; seq: number }
  | { code: 'FUNDS_INSUFFICIENT'; needed: bigint; free: bigint }
  | { code: 'AMOUNT_SMALL'; amount: bigint; least: bigint }
  | { code: 'GRANT_TERMS'; field: string };

function refuse(type: AccountErrorType, message: string): never {
  throw new CodedError(type, message);
}

/** Of this network, and signed by all of `parties` and nobody else. @throws CodedError `STATEMENT_NETWORK`, `STATEMENT_SIGNER`. */
export function checkOrigin(
  what: string,
  { body, signers }: Opened<{ net: Uint8Array }>,
  parties: readonly string[],
  { net }: GenesisInfo,
): void {
  if (!sameBytes(body.net, net))
    refuse({ code: 'STATEMENT_NETWORK', what }, `the ${what} belongs to another network`);
  if (signers.length !== parties.length || !parties.every(party => signers.includes(party)))
    refuse(
      { code: 'STATEMENT_SIGNER', what, signers },
      `the ${what} is not signed by ${parties.join(' and ')} alone`,
    );
}

/** What is left of `balance` after `needed`. @throws CodedError `FUNDS_INSUFFICIENT { needed, free }`. */
export function spend(balance: bigint, needed: bigint): bigint {
  if (balance < needed)
    refuse(
      { code: 'FUNDS_INSUFFICIENT', needed, free: balance },
      `${needed} units of 1e-8 are needed and ${balance} are free`,
    );
  return balance - needed;
}

/** That an operation moves what the network asks at least. @throws CodedError `AMOUNT_SMALL { amount, least }`. */
export function requireAmount(amount: bigint, { genesis }: GenesisInfo): void {
  const { minAmount: least } = genesis;
  if (amount < least)
    refuse(
      { code: 'AMOUNT_SMALL', amount, least },
      `a lock or transfer of this network moves ${least} units of 1e-8 at least, not ${amount}`,
    );
}

/** All that makes an order valid whatever the balance: network, signer, amounts, terms of its locks. */
export function checkOrder(order: Opened<LedgerOrder>, info: GenesisInfo): LedgerEscrow[] {
  checkOrigin('order', order, [order.body.account], info);
  for (const { amount } of order.body.ops) requireAmount(amount, info);
  return order.body.ops.flatMap((op, index) =>
    op.op === 'lock' ? [openEscrow(escrowIdOf(order, index), order.body.account, op)] : [],
  );
}

/**
 * An owner's order on its account: all operations or none.
 * @throws CodedError `STATEMENT_NETWORK`, `STATEMENT_SIGNER`, `ORDER_SEQ`, `AMOUNT_SMALL`, `FUNDS_INSUFFICIENT`, `LOCK_TERMS`.
 */
export function applyOrder(account: Account, order: Opened<LedgerOrder>, info: GenesisInfo): AccountResult {
  const escrows = checkOrder(order, info);
  const { seq, ops } = order.body;
  if (seq !== account.seq)
    refuse({ code: 'ORDER_SEQ', expected: account.seq, seq }, `order ${seq} where ${account.seq} comes next`);
  const needed = ops.reduce((sum, { amount }) => sum + amount, 0n);
  const balance = spend(account.balance, needed);
  const payments = ops.flatMap(op => (op.op === 'transfer' ? [{ account: op.to, amount: op.amount }] : []));
  return { account: { ...account, balance, seq: seq + 1 }, payments, escrows };
}

/** All that makes a grant valid whatever the balance. @throws CodedError `STATEMENT_NETWORK`, `STATEMENT_SIGNER`, `GRANT_TERMS`. */
export function checkGrant(grant: Opened<Grant>, info: GenesisInfo): void {
  const { admin, membership, openGrant } = info.genesis;
  checkOrigin('grant', grant, [admin], info);
  const { account, invite, use, amount } = grant.body;
  if (account === admin)
    refuse({ code: 'GRANT_TERMS', field: 'account' }, 'the admin grants nothing to itself');
  if (isPeerText(invite))
    refuse({ code: 'GRANT_TERMS', field: 'invite' }, 'what an invite gives is redeemed with its own key');
  if (invite !== OPEN_INVITE) return;
  if (membership !== 'open')
    refuse(
      { code: 'GRANT_TERMS', field: 'invite' },
      'this network is not open: it has no grant without an invite',
    );
  if (use !== account) refuse({ code: 'GRANT_TERMS', field: 'use' }, 'an open grant is one for each account');
  if (amount !== openGrant)
    refuse({ code: 'GRANT_TERMS', field: 'amount' }, `an open grant of this network is ${openGrant}`);
}

/** That the admin has signed a change of the committee. @throws CodedError `STATEMENT_NETWORK`, `STATEMENT_SIGNER`. */
export function checkChange(change: Opened<CommitteeChange>, info: GenesisInfo): void {
  checkOrigin('committee', change, [info.genesis.admin], info);
}

/**
 * A grant out of the admin's account. That its slot is used once is the notary's business.
 * @throws CodedError `STATEMENT_NETWORK`, `STATEMENT_SIGNER`, `GRANT_TERMS`, `FUNDS_INSUFFICIENT`.
 */
export function applyGrant(admin: Account, grant: Opened<Grant>, info: GenesisInfo): AccountResult {
  checkGrant(grant, info);
  const { account, amount } = grant.body;
  const balance = spend(admin.balance, amount);
  return { account: { ...admin, balance }, payments: [{ account, amount }], escrows: [] };
}
