import { CodedError } from '../util/index.ts';
import { type CommitteeChange, type GenesisInfo, type Opened, type Skip, sameBytes } from '../wire/index.ts';
import { type Account, type AccountResult, applyGrant, applyOrder, checkChange } from './accounts.ts';
import { rulesOf } from './certificates.ts';
import { type Payment, step } from './escrow.ts';
import { holdsMoney } from './escrow-lock.ts';
import { type Evidence, escrowOf, type Signed } from './evidence.ts';
import type { StoredAccount, StoredEscrow, StoredSlot } from './records.ts';
import { committeeSlot, digestOf, escrowSlot, grantSlot, orderSlot, type Statement } from './statement.ts';

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
  if (statement.type === 'grant') {
    const { body } = statement.grant;
    return { accounts: [genesis.admin, body.account], escrows: [], slots: [grantSlot(body)] };
  }
  if (statement.type === 'committee')
    return { accounts: [], escrows: [], slots: [committeeSlot(statement.committee.body.epoch)] };
  if (statement.type === 'skip') {
    const { account, seq } = statement.skip.body;
    return { accounts: [account], escrows: [], slots: [orderSlot(account, seq)] };
  }
  const { account, seq, ops } = statement.order.body;
  const others = ops.map(op => (op.op === 'lock' ? op.worker : op.to));
  return { accounts: [account, genesis.treasury, ...others], escrows: [], slots: [orderSlot(account, seq)] };
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
    accounts.set(account, { balance: before.balance + amount, seq: before.seq });
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

function decideSkip({ body }: Signed<Skip>, book: Book): Decision {
  const { account: id, seq } = body;
  const { balance, seq: expected } = book.account(id);
  if (seq !== expected)
    throw new CodedError<DecideErrorType>(
      { code: 'ORDER_SEQ', expected, seq },
      `order ${seq} where ${expected} comes next`,
    );
  const accounts = new Map([[id, { balance, seq: seq + 1 }]]);
  return { slot: orderSlot(id, seq), accounts, escrows: [], concerned: [id] };
}

/** A change of the committee moves no money. That its epoch comes next is left out with the rules of time: others' decisions come in any order. */
function decideChange(
  change: Opened<CommitteeChange>,
  nowMs: number | null,
  book: Book,
  info: GenesisInfo,
): Decision | Known {
  const { epoch } = change.body;
  const slot = committeeSlot(epoch);
  const decided = known(slot, book.slot(slot), change.digest);
  if (decided) return decided;
  checkChange(change, info);
  const expected = book.epoch + 1;
  if (nowMs !== null && epoch !== expected)
    throw new CodedError<DecideErrorType>(
      { code: 'EPOCH_NEXT', expected, epoch },
      `epoch ${epoch} where ${expected} comes next`,
    );
  return { slot, accounts: new Map(), escrows: [], concerned: [] };
}

/**
 * What a statement does to the ledger as `book` shows it. Pure: nothing is changed here.
 * @param nowMs the notary's time T; null leaves the rules of time out, for what others decided.
 * @throws CodedError `ESCROW_UNKNOWN`, `ORDER_SEQ`, `EPOCH_NEXT` and those of `applyOrder`, `applyGrant` and `step`.
 */
export function decide(
  statement: Statement,
  nowMs: number | null,
  book: Book,
  info: GenesisInfo,
): Decision | Known {
  const digest = digestOf(statement);
  if (statement.type === 'evidence') return decideEvidence(statement.evidence, nowMs, book, info);
  if (statement.type === 'grant') {
    const { grant } = statement;
    const slot = grantSlot(grant.body);
    const decided = known(slot, book.slot(slot), digest);
    if (decided) return decided;
    const { admin } = info.genesis;
    const accounts = paid(book, admin, applyGrant(book.account(admin), grant, info));
    return { slot, accounts, escrows: [], concerned: [admin, grant.body.account] };
  }
  if (statement.type === 'committee') return decideChange(statement.committee, nowMs, book, info);
  const { account, seq } = statement.type === 'skip' ? statement.skip.body : statement.order.body;
  const slot = orderSlot(account, seq);
  const decided = known(slot, book.slot(slot), digest);
  if (decided) return decided;
  if (statement.type === 'skip') return decideSkip(statement.skip, book);
  const { order } = statement;
  const { ops } = order.body;
  const result = applyOrder(book.account(account), order, info);
  const others = ops.map(op => (op.op === 'lock' ? op.worker : op.to));
  const treasury = result.escrows.length > 0 ? treasuryOf(info.genesis) : [];
  return {
    slot,
    accounts: paid(book, account, result),
    escrows: result.escrows.map(escrow => ({ escrow, order: slot, digests: [] })),
    concerned: [...new Set([account, ...others, ...treasury])],
  };
}
