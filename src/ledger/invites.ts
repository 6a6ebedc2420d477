import { CodedError } from '../util/index.ts';
import type { GenesisInfo, Invite, Opened, Redeem, Removal, Revoke } from '../wire/index.ts';
import { type Account, checkOrigin, spend } from './accounts.ts';

/** Whose trail the decisions about membership make. It is nobody's account. */
export const MEMBERS = 'members';

/** The account of what was set aside for an invite; its number is that of the next use. */
export const purseOf = (invite: string): string => `G/${invite}`;

/** A record beside the accounts, of number use + 1 once `account` has redeemed the invite. */
export const ticketOf = (invite: string, account: string): string => `G/${invite}/${account}`;

export type InviteErrorType =
  | { code: 'INVITE_USE'; expected: number; seq: number }
  | { code: 'INVITE_EXPIRED'; expires: number }
  | { code: 'INVITE_EXHAUSTED'; uses: number }
  | { code: 'INVITE_REVOKED' }
  | { code: 'INVITE_REDEEMED'; account: string }
  | { code: 'MEMBER_ALREADY'; account: string }
  | { code: 'MEMBER_UNKNOWN'; account: string };

function refuse(type: InviteErrorType, message: string): never {
  throw new CodedError(type, message);
}

export function exhausted(uses: number): never {
  refuse(
    { code: 'INVITE_EXHAUSTED', uses },
    'the invite was used as often as it may be: ask for another one',
  );
}

export function revoked(): never {
  refuse({ code: 'INVITE_REVOKED' }, 'the invite was revoked by the network’s admin: ask for another one');
}

export function redeemed(account: string): never {
  refuse(
    { code: 'INVITE_REDEEMED', account },
    'this account has redeemed the invite before: ask for another one',
  );
}

export function memberAlready(account: string): never {
  refuse({ code: 'MEMBER_ALREADY', account }, 'this account is a member: it needs no invite');
}

export function memberUnknown(account: string): never {
  refuse({ code: 'MEMBER_UNKNOWN', account }, `${account} is no member by an invite: nothing to remove`);
}

/** A member by nature: the network's admin, and the notaries that it named. */
export function isFounder(account: string, { genesis }: GenesisInfo): boolean {
  return account === genesis.admin || genesis.notaries.includes(account);
}

/** True for an account that does and gets unpaid work. */
export function isMember(account: string, { memberships = 0 }: Account, info: GenesisInfo): boolean {
  return isFounder(account, info) || memberships > 0;
}

/** All that makes a redemption valid whatever the ledger. @throws CodedError `STATEMENT_NETWORK`, `STATEMENT_SIGNER`, `INVITE_EXHAUSTED`. */
export function checkRedeem(redeem: Opened<Redeem>, invite: Opened<Invite>, info: GenesisInfo): void {
  const { id, uses } = invite.body;
  checkOrigin('invite', invite, [info.genesis.admin], info);
  checkOrigin('redemption', redeem, [redeem.body.account, id], info);
  if (redeem.body.use >= uses) exhausted(uses);
}

function requireNext({ seq: expected }: Account, use: number): void {
  if (use !== expected)
    refuse({ code: 'INVITE_USE', expected, seq: use }, `use ${use} where ${expected} comes next`);
}

/** What a redemption looks at, and changes. */
export interface Admission {
  readonly purse: Account;
  readonly ticket: Account;
  readonly account: Account;
}

/**
 * A use of an invite: its grant out of what was set aside, and membership.
 * @param nowMs the notary's time T; null for what others decided: time, and memberships by other invites, are left out.
 * @throws CodedError `INVITE_REDEEMED`, `INVITE_REVOKED`, `INVITE_USE`, `MEMBER_ALREADY`, `INVITE_EXPIRED`, `FUNDS_INSUFFICIENT`, and those of
 * `checkRedeem`.
 */
export function applyRedeem(
  { purse, ticket, account }: Admission,
  redeem: Opened<Redeem>,
  invite: Opened<Invite>,
  nowMs: number | null,
  info: GenesisInfo,
): Admission {
  checkRedeem(redeem, invite, info);
  const { use, account: name } = redeem.body;
  const { grant, expires } = invite.body;
  if (ticket.seq > 0) redeemed(name);
  if (purse.revoked) revoked();
  requireNext(purse, use);
  if (nowMs !== null && isMember(name, account, info)) memberAlready(name);
  if (nowMs !== null && nowMs > expires)
    refuse(
      { code: 'INVITE_EXPIRED', expires },
      `the invite ended at ${new Date(expires).toISOString()}: ask for another one`,
    );
  return {
    purse: { ...purse, balance: spend(purse.balance, grant), seq: use + 1 },
    ticket: { ...ticket, seq: use + 1 },
    account: {
      ...account,
      balance: account.balance + grant,
      memberships: (account.memberships ?? 0) + 1,
    },
  };
}

/** The end of an invite: what is asked back of its purse goes to the admin. @throws CodedError `INVITE_USE`, `FUNDS_INSUFFICIENT`, and those of `checkOrigin`. */
export function applyRevoke(
  { purse, admin }: { readonly purse: Account; readonly admin: Account },
  revoke: Opened<Revoke>,
  info: GenesisInfo,
): { purse: Account; admin: Account } {
  checkOrigin('revocation', revoke, [info.genesis.admin], info);
  const { use, amount } = revoke.body;
  requireNext(purse, use);
  return {
    purse: { ...purse, balance: spend(purse.balance, amount), seq: use + 1, revoked: true },
    admin: { ...admin, balance: admin.balance + amount },
  };
}

/** The end of a membership that a use of an invite gave. @throws CodedError `MEMBER_UNKNOWN`, and those of `checkOrigin`. */
export function applyRemoval(
  { ticket, account }: Pick<Admission, 'ticket' | 'account'>,
  removal: Opened<Removal>,
  info: GenesisInfo,
): Account {
  checkOrigin('removal', removal, [info.genesis.admin], info);
  const { use, account: name } = removal.body;
  if (ticket.seq !== use + 1) memberUnknown(name);
  return { ...account, memberships: (account.memberships ?? 0) - 1 };
}
