import type { BatchOp } from '../db/index.ts';
import { CodedError, Semaphore } from '../util/index.ts';
import { type Decided, sameBytes } from '../wire/index.ts';
import { type CheckedDecision, type Committee, checkDecided, peekSlot } from './certificates.ts';
import type { LedgerEscrow } from './escrow-lock.ts';
import { escrowOf } from './evidence.ts';
import type { HistoryEntry } from './interface.ts';
import { countKey, META_KEY } from './notary-store.ts';
import type { WalletMeta } from './records.ts';
import { orderSlot } from './statement.ts';
import { type Effect, effectOf } from './wallet-effect.ts';
import { escrowKey, LINE_PREFIX, lineKey, lockKey, slotKey, type WalletStore } from './wallet-store.ts';

export type BookErrorType = { code: 'LEDGER_OTHER_NETWORK' };

/** Entries waiting to be taken in one after the other: a page of the trail, and what came with messages. */
const MAX_ABSORB = 64;

/**
 * An account's own trail: every decided statement that concerns it, each checked and taken in once, and the balance that
 * follows. All changes of one call are one write.
 */
export class WalletBook {
  readonly #store: WalletStore;
  readonly #committee: Committee;
  readonly #account: string;
  /** One at a time: each stands on what the one before wrote. */
  readonly #turn = new Semaphore(1);
  #meta: WalletMeta;

  constructor(store: WalletStore, committee: Committee, account: string) {
    this.#store = store;
    this.#committee = committee;
    this.#account = account;
    this.#meta = {
      net: committee.info.net,
      account,
      cursor: 0,
      lines: 0,
      seq: 0,
      confirmed: 0n,
      locked: 0n,
      incoming: 0n,
    };
  }

  get meta(): WalletMeta {
    return this.#meta;
  }

  /** Reads the state, or begins with the genesis allocation. @throws CodedError `LEDGER_OTHER_NETWORK`. */
  async start(): Promise<void> {
    const meta = await this.#store.meta.get(META_KEY);
    if (!meta) return this.#begin();
    if (meta.account !== this.#account || !sameBytes(meta.net, this.#committee.info.net))
      throw new CodedError<BookErrorType>(
        { code: 'LEDGER_OTHER_NETWORK' },
        'the wallet in this data directory belongs to another network or peer: choose another directory',
      );
    this.#meta = meta;
  }

  async #begin(): Promise<void> {
    const { allocations } = this.#committee.info.genesis;
    const own = allocations.filter(({ account }) => account === this.#account);
    const confirmed = own.reduce((sum, { amount }) => sum + amount, 0n);
    const line = {
      kind: 'genesis',
      change: confirmed,
      counterpart: null,
      taskId: null,
      escrowId: null,
    } as const;
    const lines = confirmed > 0n ? 1 : 0;
    const meta = { ...this.#meta, confirmed, lines };
    const ops = [this.#store.meta.putOp(META_KEY, meta)];
    if (lines) ops.push(this.#store.history.putOp(lineKey(0), { ...line, index: 0, slot: 'genesis' }));
    await this.#store.db.write(ops, { sync: true });
    this.#meta = meta;
  }

  /**
   * Takes decided statements in; what is known already changes nothing, and a step of an escrow that is not known yet waits for
   * the trail. `cursor` moves on with them. True when something changed.
   * @throws CodedError and WireError as `checkDecided`; then nothing of the call is kept.
   */
  absorb(entries: readonly Decided[], cursor?: number): Promise<boolean> {
    return this.#turn.run(async () => {
      let changed = false;
      for (let i = 0; i < entries.length; i += MAX_ABSORB)
        changed = (await this.#absorbSome(entries.slice(i, i + MAX_ABSORB))) || changed;
      if (cursor !== undefined && cursor > this.#meta.cursor) {
        const meta = { ...this.#meta, cursor };
        await this.#store.db.write([this.#store.meta.putOp(META_KEY, meta)]);
        this.#meta = meta;
      }
      return changed;
    });
  }

  async #absorbSome(entries: readonly Decided[]): Promise<boolean> {
    const known = await this.#store.trail.getMany(entries.map(entry => slotKey(peekSlot(entry) ?? '-')));
    const page = new BookPage(this.#store, this.#account, this.#meta);
    for (const [i, entry] of entries.entries()) {
      if (known[i]) continue;
      const checked = checkDecided(entry, this.#committee);
      if (page.has(checked.slot)) continue;
      const effect = effectOf(checked, this.#account, await page.escrowOf(checked), this.#committee);
      if (effect && concerns(checked, effect)) await page.take(checked, effect);
    }
    if (page.ops.length === 0) return false;
    // Synced: an order leaves the orders under way only with its certificate safely here.
    await this.#store.db.write([...page.ops, this.#store.meta.putOp(META_KEY, page.meta)], { sync: true });
    this.#meta = page.meta;
    return true;
  }

  /** The decision of a slot that was taken in. */
  decided(slot: string): Promise<Decided | undefined> {
    return this.#store.trail.get(slotKey(slot));
  }

  async history(limit: number, before?: number): Promise<HistoryEntry[]> {
    const lines: HistoryEntry[] = [];
    const lt = before === undefined ? {} : { lt: lineKey(before) };
    const range = { prefix: LINE_PREFIX, reverse: true, limit, ...lt };
    for await (const [, entry] of this.#store.history.iterate(range)) lines.push(entry);
    return lines;
  }
}

/** False for what has nothing to do with the account: a peer could otherwise fill its disk with the certificates of others. */
function concerns({ statement }: CheckedDecision, { lines, followed, seq }: Effect): boolean {
  return statement.type === 'evidence' || lines.length > 0 || followed.length > 0 || seq !== undefined;
}

/** The changes of one write, seen by the entries that come later in it. */
class BookPage {
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
        (this.#slots.has(slot) || (await this.#store.trail.has(slotKey(slot)))) &&
        other.seq !== seq
      )
        continue;
      this.ops.push(this.#store.locks.putOp(lockKey(ref), { seq, index }));
    }
  }
}
