import type { BatchOp } from '../db/index.ts';
import type { CheckedDecision } from './certificates.ts';
import { escrowOf } from './evidence.ts';
import { countKey } from './notary-store.ts';
import { MAX_CURSORS, type WalletEscrow, type WalletMeta } from './records.ts';
import { orderSlot } from './statement.ts';
import { type Cursor, UNREAD } from './wallet-cursor.ts';
import type { Effect } from './wallet-effect.ts';
import { escrowKey, lineKey, lockKey, slotKey, type WalletStore } from './wallet-store.ts';

const DAY_MS = 86_400_000;

/** Days since 1970, UTC. */
export function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS);
}

/** The changes of one write, seen by the entries that come later in it. */
export class BookPage {
  readonly ops: BatchOp[] = [];
  meta: WalletMeta;
  readonly #store: WalletStore;
  readonly #account: string;
  /** Days since 1970: what is taken in now was spent today. */
  readonly #day: number;
  readonly #slots = new Set<string>();
  readonly #escrows = new Map<string, WalletEscrow | undefined>();

  constructor(store: WalletStore, account: string, meta: WalletMeta, day: number) {
    this.#store = store;
    this.#account = account;
    this.#day = day;
    this.meta = meta;
  }

  has(slot: string): boolean {
    return this.#slots.has(slot);
  }

  moveTo({ peer, at }: Cursor): void {
    const { cursors } = this.meta;
    const others = cursors.filter(cursor => cursor.peer !== peer);
    const before = cursors.find(cursor => cursor.peer === peer);
    if (before && before.at < UNREAD && at <= before.at) return;
    this.meta = { ...this.meta, cursors: [{ peer, at }, ...others].slice(0, MAX_CURSORS) };
  }

  async escrowOf({ statement }: CheckedDecision): Promise<WalletEscrow | undefined> {
    const escrowId = statement.type === 'evidence' ? escrowOf(statement.evidence) : undefined;
    if (escrowId === undefined) return undefined;
    if (this.#escrows.has(escrowId)) return this.#escrows.get(escrowId);
    return this.#store.escrows.get(escrowKey(escrowId));
  }

  async take(checked: CheckedDecision, effect: Effect): Promise<void> {
    const { slot, decided } = checked;
    const { store, meta } = { store: this.#store, meta: this.meta };
    const before = await this.escrowOf(checked);
    // An order that is not under way here was made by another machine with the key, or before this directory was begun.
    const isMade = effect.seq !== undefined && (await store.orders.has(countKey(effect.seq)));
    const today = spentAfter(meta.today, effect, { day: this.#day, isMade, before });
    this.#slots.add(slot);
    this.ops.push(store.trail.putOp(slotKey(slot), decided));
    for (const followed of effect.followed) {
      const day = isMade && followed.requester === this.#account ? this.#day : before?.day;
      const escrow = day === undefined ? followed : { ...followed, day };
      this.#escrows.set(escrow.escrowId, escrow);
      this.ops.push(store.escrows.putOp(escrowKey(escrow.escrowId), escrow));
    }
    for (const escrowId of effect.closed) {
      this.#escrows.set(escrowId, undefined);
      this.ops.push(store.escrows.delOp(escrowKey(escrowId)));
    }
    for (const [i, line] of effect.lines.entries()) {
      const index = meta.lines + i;
      this.ops.push(store.history.putOp(lineKey(index), { ...line, index, slot }));
    }
    if (effect.seq !== undefined) await this.#takeOwn(effect.seq, effect.locks);
    this.meta = {
      ...meta,
      lines: meta.lines + effect.lines.length,
      seq: Math.max(meta.seq, effect.nextSeq ?? 0, (effect.seq ?? -1) + 1),
      confirmed: meta.confirmed + effect.confirmed,
      locked: meta.locked + effect.locked,
      incoming: meta.incoming + effect.incoming,
      ...(today ? { today } : {}),
      ...(effect.nextSeq === undefined ? {} : { isResumed: true as const }),
    };
  }

  /** Our own order is no longer under way, and its locks are findable: the first that was decided for an execution stays its lock. */
  async #takeOwn(seq: number, locks: Effect['locks']): Promise<void> {
    this.ops.push(this.#store.orders.delOp(countKey(seq)));
    const before = await this.#store.locks.getMany(locks.map(({ ref }) => lockKey(ref)));
    for (const [i, { ref, index }] of locks.entries()) {
      const other = before[i];
      const slot = other && orderSlot(this.#account, other.seq);
      if (
        slot &&
        (this.#slots.has(slot) || (await this.#store.known.has(slotKey(slot)))) &&
        other.seq !== seq
      )
        continue;
      this.ops.push(this.#store.locks.putOp(lockKey(ref), { seq, index }));
    }
  }
}

type Today = WalletMeta['today'];

/** The day's sum after an effect: what an order of this node takes, less what comes back of a lock that it made on the same day. */
function spentAfter(
  before: Today,
  { lines }: Effect,
  { day, isMade, before: escrow }: { day: number; isMade: boolean; before: WalletEscrow | undefined },
): Today {
  const taken = isMade ? lines.reduce((sum, { change }) => sum + (change < 0n ? -change : 0n), 0n) : 0n;
  const isOfToday = escrow?.day === day;
  const back = isOfToday ? lines.reduce((sum, line) => sum + backOf(line, escrow), 0n) : 0n;
  if (taken === 0n && back === 0n) return before;
  const spent = (before?.day === day ? before.spent : 0n) + taken - back;
  return { day, spent: spent > 0n ? spent : 0n };
}

function backOf({ kind, change, escrowId }: Effect['lines'][number], escrow: WalletEscrow): bigint {
  return escrowId === escrow.escrowId && kind !== 'fee' ? change : 0n;
}
