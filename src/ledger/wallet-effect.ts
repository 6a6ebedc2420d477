import { escrowIdOf, type LedgerOrder, type Opened, type Standing, type TaskRef } from '../wire/index.ts';
import { type CheckedDecision, replayStep, rulesOf } from './certificates.ts';
import type { Committee } from './committee.ts';
import { holdsMoney, type LedgerEscrow, openEscrow } from './escrow-lock.ts';
import type { Evidence } from './evidence.ts';
import type { HistoryEntry } from './interface.ts';
import { purseOf } from './invites.ts';

export type Line = Omit<HistoryEntry, 'index' | 'slot'>;

/** What one decided statement changes for one account. */
export interface Effect {
  readonly confirmed: bigint;
  readonly locked: bigint;
  readonly incoming: bigint;
  /** The number of our order, if it was one. */
  readonly seq?: number;
  /** The number of our next order, if that is all that is told. */
  readonly nextSeq?: number;
  /** Escrows to follow from now on, as they are now. */
  readonly followed: readonly LedgerEscrow[];
  readonly closed: readonly string[];
  /** Locks of our own. */
  readonly locks: readonly { readonly ref: TaskRef; readonly index: number }[];
  readonly lines: readonly Line[];
}

const NOTHING: Effect = {
  confirmed: 0n,
  locked: 0n,
  incoming: 0n,
  followed: [],
  closed: [],
  locks: [],
  lines: [],
};

function line(
  kind: Line['kind'],
  change: bigint,
  counterpart: string,
  escrow?: Pick<LedgerEscrow, 'escrowId' | 'lock'>,
): Line {
  return {
    kind,
    change,
    counterpart,
    taskId: escrow?.lock.taskId ?? null,
    escrowId: escrow?.escrowId ?? null,
  };
}

function add(a: Effect, b: Partial<Effect>): Effect {
  return {
    ...a,
    confirmed: a.confirmed + (b.confirmed ?? 0n),
    locked: a.locked + (b.locked ?? 0n),
    incoming: a.incoming + (b.incoming ?? 0n),
    followed: [...a.followed, ...(b.followed ?? [])],
    locks: [...a.locks, ...(b.locks ?? [])],
    lines: [...a.lines, ...(b.lines ?? [])],
  };
}

function operationEffect(
  order: Opened<LedgerOrder>,
  index: number,
  account: string,
  followsAll: boolean,
): Partial<Effect> {
  const op = order.body.ops[index]!;
  const owner = order.body.account;
  const isOwn = owner === account;
  const { amount } = op;
  if (op.op === 'transfer') {
    const received = op.to === account ? amount : 0n;
    const lines = [
      ...(isOwn ? [line('transfer', -amount, op.to)] : []),
      ...(received > 0n ? [line('transfer', amount, owner)] : []),
    ];
    return { confirmed: received - (isOwn ? amount : 0n), lines };
  }
  const isWorker = op.worker === account;
  if (!isOwn && !isWorker && !followsAll) return {};
  const escrow = openEscrow(escrowIdOf(order, index), owner, op);
  if (isOwn)
    return {
      confirmed: -amount,
      locked: amount,
      followed: [escrow],
      locks: [{ ref: op, index }],
      lines: [line('lock', -amount, op.worker, escrow)],
    };
  return {
    incoming: isWorker ? amount : 0n,
    followed: [escrow],
    lines: isWorker ? [line('lock', 0n, owner, escrow)] : [],
  };
}

function orderEffect(order: Opened<LedgerOrder>, account: string, { info }: Committee): Effect {
  const followsAll = info.genesis.treasury === account && info.genesis.feeBasisPoints > 0;
  const own = order.body.account === account ? { seq: order.body.seq } : {};
  return order.body.ops.reduce<Effect>(
    (effect, _, index) => add(effect, operationEffect(order, index, account, followsAll)),
    { ...NOTHING, ...own },
  );
}

/** The effect of a step on an escrow that we follow. @throws CodedError when the evidence does not fit the lock. */
function stepEffect(
  before: LedgerEscrow,
  slot: string,
  evidence: Evidence,
  account: string,
  { info }: Committee,
): Effect {
  // A step that came after a later one: what it says is known.
  if (Number(slot.split('/')[2]) < before.steps) return NOTHING;
  const { escrow } = replayStep(before, slot, evidence, rulesOf(info));
  const { requester, lock, pay, fee } = escrow;
  const isParty = requester === account || lock.worker === account;
  if (holdsMoney(escrow)) {
    const other = requester === account ? lock.worker : requester;
    return { ...NOTHING, followed: [escrow], lines: isParty ? [line('step', 0n, other, escrow)] : [] };
  }
  const kind = ({ PAID: 'paid', REFUNDED: 'refunded' } as const)[escrow.state as string] ?? 'split';
  let effect: Effect = { ...NOTHING, closed: [escrow.escrowId] };
  if (requester === account) {
    const back = lock.amount - pay;
    const lines = [line(kind, back, lock.worker, escrow)];
    effect = add(effect, { confirmed: back, locked: -lock.amount, lines });
  }
  if (lock.worker === account) {
    const lines = [line(kind, pay - fee, requester, escrow)];
    effect = add(effect, { confirmed: pay - fee, incoming: -lock.amount, lines });
  }
  if (info.genesis.treasury === account && fee > 0n)
    effect = add(effect, { confirmed: fee, lines: [line('fee', fee, lock.worker, escrow)] });
  return effect;
}

/** What an account has by its entries so far. */
export interface Sums {
  readonly confirmed: bigint;
  readonly locked: bigint;
  readonly incoming: bigint;
}

/** Whatever the entries before it came to, from here on it is this. */
function standingEffect(standing: Standing, account: string, sums: Sums): Effect {
  if (standing.account !== account) return NOTHING;
  const followed = standing.escrows.map(escrow => ({ ...escrow, pay: 0n, fee: 0n }));
  const sumOf = (own: (escrow: LedgerEscrow) => boolean) =>
    followed.filter(own).reduce((sum, { lock }) => sum + lock.amount, 0n);
  const confirmed = standing.balance - sums.confirmed;
  return {
    confirmed,
    locked: sumOf(({ requester }) => requester === account) - sums.locked,
    incoming: sumOf(({ lock }) => lock.worker === account) - sums.incoming,
    nextSeq: standing.seq,
    followed,
    closed: [],
    locks: [],
    lines: [{ kind: 'genesis', change: confirmed, counterpart: null, taskId: null, escrowId: null }],
  };
}

/**
 * What a checked decision means for `account`. `escrow` is the escrow that a step is about, as it was known before; without it a
 * step means nothing yet (undefined).
 */
export function effectOf(
  { slot, statement }: CheckedDecision,
  account: string,
  escrow: LedgerEscrow | undefined,
  committee: Committee,
  sums: Sums,
): Effect | undefined {
  if (statement.type === 'standing') return standingEffect(statement.standing.body, account, sums);
  if (statement.type === 'order') return orderEffect(statement.order, account, committee);
  if (statement.type === 'evidence')
    return escrow && stepEffect(escrow, slot, statement.evidence, account, committee);
  if (statement.type === 'skip') {
    const { account: owner, seq } = statement.skip.body;
    return owner === account ? { ...NOTHING, seq } : NOTHING;
  }
  const { admin } = committee.info.genesis;
  if (statement.type === 'redeem') {
    const { grant } = statement.invite.body;
    if (statement.redeem.body.account !== account) return NOTHING;
    return { ...NOTHING, confirmed: grant, lines: [line('grant', grant, admin)] };
  }
  if (statement.type === 'revoke') {
    const { invite, amount } = statement.revoke.body;
    if (admin !== account) return NOTHING;
    return { ...NOTHING, confirmed: amount, lines: [line('transfer', amount, purseOf(invite))] };
  }
  if (statement.type === 'removal' || statement.type === 'committee') return NOTHING;
  const { amount, account: to } = statement.grant.body;
  if (to === account) return { ...NOTHING, confirmed: amount, lines: [line('grant', amount, admin)] };
  if (admin === account) return { ...NOTHING, confirmed: -amount, lines: [line('grant', -amount, to)] };
  return NOTHING;
}
