import type { BatchOp } from '../db/index.ts';
import type { CheckedDecision } from './certificates.ts';
import type { LedgerEscrow } from './escrow-lock.ts';
import { escrowOf } from './evidence.ts';
import { countKey } from './notary-store.ts';
import type { WalletMeta } from './records.ts';
import { orderSlot } from './statement.ts';
import type { Cursor } from './wallet-cursor.ts';
import type { Effect } from './wallet-effect.ts';
import { escrowKey, lineKey, lockKey, slotKey, type WalletStore } from './wallet-store.ts';

/** The changes of one write, seen by the entries that come later in it. */
export class BookPage {
  readonly ops: BatchOp[] = [];
  meta: WalletMeta;
  readonly #store: WalletStore;
  readonly #account: string;
  readonly #slots = new Set<string>();
  readonly #escrows = new Map<string, LedgerEscrow | undefined>();

  constructor(store: WalletStore, account: string, meta: WalletMeta) {
    this.#store = store;
    this.#account = account;
    this.meta = meta;
  }

  has(slot: string): boolean {
    return this.#slots.has(slot);
  }

  moveTo({ source, at }: Cursor): void {
    if (source === 0) {
      if (at > this.meta.cursor) this.meta = { ...this.meta, cursor: at };
      return;
    }
    const others = [...(this.meta.others ?? [])];
    while (others.length < source) others.push(0);
    if (at <= others[source - 1]!) return;
    others[source - 1] = at;
    this.meta = { ...this.meta, others };
  }

  async escrowOf({ statement }: CheckedDecision): Promise<LedgerEscrow | undefined> {
    const escrowId = statement.type === 'evidence' ? escrowOf(statement.evidence) : undefined;
    if (escrowId === undefined) return undefined;
    if (this.#escrows.has(escrowId)) return this.#escrows.get(escrowId);
    return this.#store.escrows.get(escrowKey(escrowId));
  }

  async take({ slot, decided }: CheckedDecision, effect: Effect): Promise<void> {
    const { store, meta } = { store: this.#store, meta: this.meta };
    this.#slots.add(slot);
    this.ops.push(store.trail.putOp(slotKey(slot), decided));
    for (const escrow of effect.followed) {
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
      seq: Math.max(meta.seq, (effect.seq ?? -1) + 1),
      confirmed: meta.confirmed + effect.confirmed,
      locked: meta.locked + effect.locked,
      incoming: meta.incoming + effect.incoming,
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
