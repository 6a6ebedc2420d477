import { CodedError } from '../util/index.ts';
import {
  type CommitteeChange,
  type GenesisInfo,
  type LedgerOrder,
  type Opened,
  type Removal,
  type Revoke,
  type Skip,
  sameBytes,
} from '../wire/index.ts';
import { type Account, type AccountResult, applyGrant, applyOrder, checkChange } from './accounts.ts';
import { rulesOf } from './certificates.ts';
import { type Payment, step } from './escrow.ts';
import { holdsMoney } from './escrow-lock.ts';
import { type Evidence, escrowOf, type Signed } from './evidence.ts';
import { applyRedeem, applyRemoval, applyRevoke, MEMBERS, purseOf, ticketOf } from './invites.ts';
import type { StoredAccount, StoredEscrow, StoredSlot } from './records.ts';
import { digestOf, escrowSlot, type Statement, slotOf } from './statement.ts';

/** The records that a decision looks at, loaded before. */
export interface Book {
  /** The last epoch that this notary has or had a part in. */
  readonly epoch: number;
  account(id: string): StoredAccount;
  escrow(id: string): StoredEscrow | undefined;
  slot(name: string): StoredSlot | undefined;
}

/** What a decided statement changes. */
export interface Decision {
  readonly slot: string;
  readonly accounts: ReadonlyMap<string, Account>;
  readonly escrows: readonly StoredEscrow[];
  /** Whose trails it goes to, each once. */
  readonly concerned: readonly string[];
}

/** A slot that was decided before: for the same statement, or for another one that shuts this one out. */
export interface Known {
  readonly slot: string;
  readonly same: boolean;
}

export type DecideErrorType =
  | { code: 'ESCROW_UNKNOWN'; escrowId: string }
  | { code: 'ORDER_SEQ'; expected: number; seq: number }
  | { code: 'EPOCH_NEXT'; expected: number; epoch: number };

/** What a statement needs from disk before it can be decided; an escrow's own accounts come with the escrow. */
export function needsOf(statement: Statement, { genesis }: GenesisInfo) {
  if (statement.type === 'evidence') {
    const escrowId = escrowOf(statement.evidence);
    return { accounts: [], escrows: escrowId === undefined ? [] : [escrowId], slots: [] };
  }
  const slots = [slotOf(statement)];
  switch (statement.type) {
    case 'grant':
      return { accounts: [genesis.admin, statement.grant.body.account], escrows: [], slots };
    case 'redeem': {
      const { account } = statement.redeem.body;
      return { accounts: admissionOf(statement.invite.body.id, account), escrows: [], slots };
    }
    case 'revoke':
      return { accounts: [genesis.admin, purseOf(statement.revoke.body.invite)], escrows: [], slots };
    case 'removal': {
      const { invite, account } = statement.removal.body;
      return { accounts: admissionOf(invite, account), escrows: [], slots };
    }
    case 'skip':
      return { accounts: [statement.skip.body.account], escrows: [], slots };
    case 'committee':
      return { accounts: [], escrows: [], slots };
    case 'order': {
      const { account, ops } = statement.order.body;
      const others = ops.map(op => (op.op === 'lock' ? op.worker : op.to));
      return { accounts: [account, genesis.treasury, ...others], escrows: [], slots };
    }
  }
}

/** The records that an admission is about. */
function admissionOf(invite: string, account: string): string[] {
  return [purseOf(invite), ticketOf(invite, account), account, MEMBERS];
}

export function partiesOf({ escrow }: StoredEscrow, { genesis }: GenesisInfo): string[] {
  return [...new Set([escrow.requester, escrow.lock.worker, ...treasuryOf(genesis)])];
}

/** The treasury follows every escrow that it may take a fee from, so that its trail proves what it got. */
function treasuryOf({ treasury, feeBasisPoints }: GenesisInfo['genesis']): string[] {
  return feeBasisPoints > 0 ? [treasury] : [];
}

function pay(book: Book, accounts: Map<string, Account>, payments: readonly Payment[]): void {
  for (const { account, amount } of payments) {
    const before = accounts.get(account) ?? book.account(account);
    accounts.set(account, { ...before, balance: before.balance + amount });
  }
}

function paid(book: Book, payer: string, result: AccountResult): Map<string, Account> {
  const accounts = new Map([[payer, result.account]]);
  pay(book, accounts, result.payments);
  return accounts;
}

function known(slot: string, stored: StoredSlot | undefined, digest: Uint8Array): Known | undefined {
  return stored && { slot, same: sameBytes(stored.digest, digest) };
}

function decideEvidence(
  evidence: Evidence,
  nowMs: number | null,
  book: Book,
  info: GenesisInfo,
): Decision | Known {
  const escrowId = escrowOf(evidence) ?? '';
  const stored = book.escrow(escrowId);
  if (!stored)
    throw new CodedError<DecideErrorType>(
      { code: 'ESCROW_UNKNOWN', escrowId },
      `no lock made an escrow ${escrowId || 'without a name'}`,
    );
  const { digest } = evidence.statement;
  const before = stored.digests.findIndex(other => sameBytes(other, digest));
  if (before >= 0) return { slot: escrowSlot(escrowId, before), same: true };
  if (!holdsMoney(stored.escrow))
    return { slot: escrowSlot(escrowId, stored.digests.length - 1), same: false };
  const { escrow, payments } = step(stored.escrow, evidence, nowMs, rulesOf(info));
  const accounts = new Map<string, Account>();
  pay(book, accounts, payments);
  return {
    slot: escrowSlot(escrowId, stored.escrow.steps),
    accounts,
    escrows: [{ ...stored, escrow, digests: [...stored.digests, digest] }],
    concerned: partiesOf(stored, info),
  };
}

/** What a statement changes beside its own slot. */
type Changes = Pick<Decision, 'accounts' | 'concerned'> & Partial<Pick<Decision, 'escrows'>>;

function decideSkip({ body }: Signed<Skip>, book: Book): Changes {
  const { account: id, seq } = body;
  const before = book.account(id);
  const expected = before.seq;
  if (seq !== expected)
    throw new CodedError<DecideErrorType>(
      { code: 'ORDER_SEQ', expected, seq },
      `order ${seq} where ${expected} comes next`,
    );
  return { accounts: new Map([[id, { ...before, seq: seq + 1 }]]), concerned: [id] };
}

function decideOrder(order: Opened<LedgerOrder>, slot: string, book: Book, info: GenesisInfo): Changes {
  const { account, ops } = order.body;
  const result = applyOrder(book.account(account), order, info);
  const others = ops.map(op => (op.op === 'lock' ? op.worker : op.to));
  const treasury = result.escrows.length > 0 ? treasuryOf(info.genesis) : [];
  return {
    accounts: paid(book, account, result),
    escrows: result.escrows.map(escrow => ({ escrow, order: slot, digests: [] })),
    concerned: [...new Set([account, ...others, ...treasury])],
  };
}

function decideRedeem(
  { redeem, invite }: Extract<Statement, { type: 'redeem' }>,
  nowMs: number | null,
  book: Book,
  info: GenesisInfo,
): Changes {
  const { account } = redeem.body;
  const [purse, ticket] = [purseOf(invite.body.id), ticketOf(invite.body.id, account)];
  const before = { purse: book.account(purse), ticket: book.account(ticket), account: book.account(account) };
  const after = applyRedeem(before, redeem, invite, nowMs, info);
  const accounts = new Map([
    [purse, after.purse],
    [ticket, after.ticket],
    [account, after.account],
  ]);
  return { accounts, concerned: [account, MEMBERS] };
}

function decideRevoke(revoke: Opened<Revoke>, book: Book, info: GenesisInfo): Changes {
  const { admin } = info.genesis;
  const purse = purseOf(revoke.body.invite);
  const after = applyRevoke({ purse: book.account(purse), admin: book.account(admin) }, revoke, info);
  return {
    accounts: new Map([
      [purse, after.purse],
      [admin, after.admin],
    ]),
    concerned: [admin],
  };
}

function decideRemoval(removal: Opened<Removal>, book: Book, info: GenesisInfo): Changes {
  const { invite, account } = removal.body;
  const before = { ticket: book.account(ticketOf(invite, account)), account: book.account(account) };
  return { accounts: new Map([[account, applyRemoval(before, removal, info)]]), concerned: [MEMBERS] };
}

/** A change of the committee moves no money. That its epoch comes next is left out with the rules of time: others' decisions come in any order. */
function decideChange(
  change: Opened<CommitteeChange>,
  nowMs: number | null,
  book: Book,
  info: GenesisInfo,
): Changes {
  const { epoch } = change.body;
  checkChange(change, info);
  const expected = book.epoch + 1;
  if (nowMs !== null && epoch !== expected)
    throw new CodedError<DecideErrorType>(
      { code: 'EPOCH_NEXT', expected, epoch },
      `epoch ${epoch} where ${expected} comes next`,
    );
  return { accounts: new Map(), concerned: [] };
}

function changesOf(
  statement: Exclude<Statement, { type: 'evidence' }>,
  slot: string,
  nowMs: number | null,
  book: Book,
  info: GenesisInfo,
): Changes {
  switch (statement.type) {
    case 'order':
      return decideOrder(statement.order, slot, book, info);
    case 'skip':
      return decideSkip(statement.skip, book);
    case 'redeem':
      return decideRedeem(statement, nowMs, book, info);
    case 'revoke':
      return decideRevoke(statement.revoke, book, info);
    case 'removal':
      return decideRemoval(statement.removal, book, info);
    case 'committee':
      return decideChange(statement.committee, nowMs, book, info);
    case 'grant': {
      const { grant } = statement;
      const { admin } = info.genesis;
      const accounts = paid(book, admin, applyGrant(book.account(admin), grant, info));
      return { accounts, concerned: [admin, grant.body.account] };
    }
  }
}

/**
 * What a statement does to the ledger as `book` shows it. Pure: nothing is changed here.
 * @param nowMs the notary's time T; null leaves the rules of time out, for what others decided.
 * @throws CodedError `ESCROW_UNKNOWN`, `ORDER_SEQ`, `EPOCH_NEXT` and those of `applyOrder`, `applyGrant`, `applyRedeem`, `applyRevoke`, `applyRemoval` and `step`.
 */
export function decide(
  statement: Statement,
  nowMs: number | null,
  book: Book,
  info: GenesisInfo,
): Decision | Known {
  if (statement.type === 'evidence') return decideEvidence(statement.evidence, nowMs, book, info);
  const slot = slotOf(statement);
  return (
    known(slot, book.slot(slot), digestOf(statement)) ?? {
      slot,
      escrows: [],
      ...changesOf(statement, slot, nowMs, book, info),
    }
  );
}
