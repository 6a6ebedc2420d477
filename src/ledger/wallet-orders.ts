import {
  type Abortable,
  type Clock,
  codeOf,
  hasCode,
  type Logger,
  messageOf,
  raceSignal,
  sleep,
} from '../util/index.ts';
import {
  type Decided,
  type LedgerOp,
  type LedgerOrder,
  ledgerOrderKind,
  MAX_OPS,
  type Opened,
  open,
  type Signer,
  sameBytes,
  seal,
  type TaskRef,
} from '../wire/index.ts';
import { spend } from './accounts.ts';
import { isPassing, type LedgerClient, refused } from './client.ts';
import type { Committees } from './committees.ts';
import type { Escrow } from './interface.ts';
import {
  answerAll,
  checkAndAnswer,
  fitting,
  type Ordered,
  type Pending,
  pend,
  queueFull,
  rejectAll,
  type SendNote,
  stopped,
  sumOf,
  type UnderWay,
} from './pending-op.ts';
import { digestOf, orderSlot, readStatement } from './statement.ts';
import type { WalletBook } from './wallet-book.ts';
import { WalletLimit } from './wallet-limit.ts';
import { lockKey, type WalletStore } from './wallet-store.ts';
import { decidedLock, namesOf, orderOps } from './wallet-written.ts';

/** Operations that wait for an order: 64 full orders. More is a caller that does not wait for its answers. */
const MAX_GATHERED = 64 * MAX_OPS;
/** An order that the notary refuses stays the next of its account: asked again this often, in case the reason passes. */
const REFUSED_RETRY_MS = 15_000;

export interface OrderComponents {
  readonly store: WalletStore;
  readonly book: WalletBook;
  readonly client: LedgerClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signer: Signer;
  readonly perDay: bigint | null;
  readonly committees: Committees;
  /** Brings the book up to date with the notaries. */
  readonly sync: (options: Abortable) => Promise<void>;
  readonly changed: () => void;
}

/**
 * Gathers operations into orders, one order under way at a time. An order is on disk before it is sent, is sent again byte for byte
 * until its slot is decided, and its number is never given to another.
 */
export class WalletOrders {
  readonly #parts: OrderComponents;
  readonly limit: WalletLimit;
  #gathered: Pending[] = [];
  /** Taken out of those, and not on disk yet. */
  #forming: readonly Pending[] = [];
  #underWay: UnderWay | undefined;
  /** Those among all of those that are asked for again, by `namesOf`. */
  readonly #named = new Map<string, Pending>();
  /** Units in all of those. */
  #units = { all: 0n, locks: 0n };
  #running: Promise<void> | undefined;
  #refusal: string | null = null;
  #signal: AbortSignal | undefined;

  constructor(parts: OrderComponents) {
    this.#parts = parts;
    this.limit = new WalletLimit({ ...parts, reserved: () => this.reserved().all }, parts.perDay);
  }

  /** Why the notaries refuse the order under way; null while they do not. */
  get refusal(): string | null {
    return this.#refusal;
  }

  /** Takes up the order that was under way when the process ended. Works until `signal`. */
  async start(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    for await (const [, { value, sends = [] }] of this.#parts.store.orders.iterate({ limit: 1 })) {
      const order = open(ledgerOrderKind, value);
      const pending = order.body.ops.map((op, index) =>
        pend(
          op,
          sends.find(send => send.index === index),
        ),
      );
      for (const item of pending) item.isOrdered = true;
      this.#underWay = { order, pending };
      this.#enlist(pending);
    }
    this.#wake();
  }

  async stop(): Promise<void> {
    await this.#running;
  }

  /** Units in operations on their way that no certificate has taken from the account yet: all, and those of locks. */
  reserved(): { all: bigint; locks: bigint } {
    const underWay = this.#underWay;
    if (!underWay || underWay.order.body.seq >= this.#parts.book.meta.seq) return this.#units;
    const taken = sumOf(underWay.pending);
    return { all: this.#units.all - taken.all, locks: this.#units.locks - taken.locks };
  }

  free(): bigint {
    const free = this.#parts.book.meta.confirmed - this.reserved().all;
    return free > 0n ? free : 0n;
  }

  /** The lock of `ref` on its way, waited for; undefined where there is none. */
  pendingLock(ref: TaskRef, { signal }: Abortable): Promise<Escrow> | undefined {
    const pending = this.#named.get(lockKey(ref));
    return pending && this.wait(pending, signal).then(({ escrow }) => escrow!);
  }

  /** What is on its way by this name (`namesOf`). */
  find(name: string): Pending | undefined {
    return this.#named.get(name);
  }

  /** Gathers an operation for the next order. @throws CodedError `AMOUNT_SMALL`, `FUNDS_INSUFFICIENT`, `DAY_LIMIT`, `QUEUE_FULL`, `LEDGER_STOPPED`. */
  place(op: LedgerOp, send?: SendNote): Pending {
    if (!this.#signal || this.#signal.aborted) throw stopped();
    if (this.#gathered.length >= MAX_GATHERED) throw queueFull(MAX_GATHERED);
    this.limit.require(op.amount);
    spend(this.free(), op.amount);
    const pending = pend(op, send);
    this.#gathered.push(pending);
    this.#enlist([pending]);
    this.#parts.changed();
    this.#wake();
    return pending;
  }

  /** For its certificate. Before it is in an order, the signal takes it back. @throws CodedError `LEDGER_REFUSED`, `LEDGER_STOPPED`. */
  async wait(pending: Pending, signal: AbortSignal | undefined): Promise<Ordered> {
    pending.waiting++;
    try {
      return await raceSignal(pending.done.promise, signal);
    } finally {
      pending.waiting--;
      const index = pending.waiting === 0 ? this.#gathered.indexOf(pending) : -1;
      if (index >= 0) this.#strike(this.#gathered.splice(index, 1));
    }
  }

  #enlist(pending: readonly Pending[]): void {
    const { all, locks } = sumOf(pending);
    this.#units = { all: this.#units.all + all, locks: this.#units.locks + locks };
    for (const item of pending) for (const name of namesOf(item)) this.#named.set(name, item);
  }

  #strike(pending: readonly Pending[]): void {
    const { all, locks } = sumOf(pending);
    this.#units = { all: this.#units.all - all, locks: this.#units.locks - locks };
    for (const item of pending)
      for (const name of namesOf(item)) if (this.#named.get(name) === item) this.#named.delete(name);
  }

  #wake(): void {
    this.#running ??= this.#run(this.#signal!);
  }

  /** Never rejects: what goes wrong reaches those who wait. */
  async #run(signal: AbortSignal): Promise<void> {
    try {
      // Lets callers of the same moment join the first order.
      await Promise.resolve();
      while (this.#underWay || this.#gathered.length > 0) {
        this.#underWay ??= await this.#form();
        if (this.#underWay) await this.#carry(this.#underWay, signal);
      }
    } catch (error) {
      if (!signal.aborted) this.#parts.logger.error({ reason: messageOf(error) }, 'payments stopped');
      const left = [...(this.#underWay?.pending ?? []), ...this.#forming, ...this.#gathered.splice(0)];
      this.#forming = [];
      // The order under way is on disk: it is taken up at the next start.
      const isOver = signal.aborted;
      this.#strike(isOver ? left : left.filter(item => !this.#underWay?.pending.includes(item)));
      if (isOver) this.#underWay = undefined;
      rejectAll(left, isOver ? stopped() : error);
    }
    this.#running = undefined;
  }

  /** Writes the next order with its locks' keys, synced, and only then gives it out. */
  async #form(): Promise<UnderWay | undefined> {
    const { store, book, signer, committees } = this.#parts;
    this.#forming = this.#gathered.splice(0, fitting(this.#gathered));
    for (const item of this.#forming) item.isOrdered = true;
    const fresh = await this.#withoutDecided(this.#forming);
    const { seq } = book.meta;
    if (fresh.length > 0) {
      const order = seal(
        ledgerOrderKind,
        { net: committees.current.info.net, account: signer.peer, seq, ops: fresh.map(({ op }) => op) },
        signer,
      );
      await store.db.write(orderOps(store, order, fresh), { sync: true });
      this.#underWay = { order, pending: fresh };
    }
    this.#forming = [];
    return this.#underWay;
  }

  /** Leaves out locks that another order of ours made meanwhile, and answers them with it. */
  async #withoutDecided(pending: readonly Pending[]): Promise<Pending[]> {
    const made = await Promise.all(
      pending.map(({ op }) => (op.op === 'lock' ? decidedLock(this.#parts, op) : undefined)),
    );
    for (const [i, escrow] of made.entries()) {
      if (!escrow) continue;
      this.#strike([pending[i]!]);
      pending[i]!.done.resolve({ decided: escrow.decided, escrow });
    }
    return pending.filter((_, i) => !made[i]);
  }

  /** Sends the order until its slot is decided: the first time without a look at the book, where it cannot be yet. */
  async #carry(underWay: UnderWay, signal: AbortSignal): Promise<void> {
    const { book, signer, changed, client, clock } = this.#parts;
    const slot = orderSlot(signer.peer, underWay.order.body.seq);
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted();
      const decided = attempt > 0 ? await book.decided(slot) : undefined;
      if (decided) {
        this.#settle(decided, underWay);
        return changed();
      }
      const progress = await this.#attempt(underWay, signal);
      if (progress === 'passing') await client.pause(attempt, signal);
      if (progress === 'refused') await sleep(REFUSED_RETRY_MS, { signal, clock });
    }
  }

  /** One sending. `done`: the slot's decision was taken in. */
  async #attempt({ order, pending }: UnderWay, signal: AbortSignal): Promise<'done' | 'passing' | 'refused'> {
    const { book, client, sync, logger, committees } = this.#parts;
    try {
      const request = { type: 'submit' as const, values: [order.bytes] };
      const [outcome] = (await client.request(request, 'outcomes', { signal })).outcomes;
      if (!outcome) return 'passing';
      if (outcome.ok || outcome.code === 'SLOT_DECIDED') {
        if (outcome.ok) await book.absorb([checkAndAnswer({ order, pending }, outcome.decided, committees)]);
        else await sync({ signal });
        return (await book.decided(orderSlot(order.body.account, order.body.seq))) ? 'done' : 'passing';
      }
      if (isPassing(outcome.code)) return 'passing';
      this.#refuse(outcome.code, outcome.message, order, pending);
      return 'refused';
    } catch (error) {
      signal.throwIfAborted();
      if (codeOf(error).startsWith('DB_')) throw error;
      if (hasCode(error, 'LEDGER_UNREACHABLE')) return 'passing';
      logger.warn({ code: codeOf(error), reason: messageOf(error) }, 'an order could not be sent');
      return 'refused';
    }
  }

  /** The slot is decided: for this order, or (another machine with our key, a lost race) for another or none, and then its operations wait for the next. */
  #settle(decided: Decided, { order, pending }: UnderWay): void {
    this.#refusal = null;
    this.#underWay = undefined;
    if (!sameBytes(digestOf(readStatement(decided.value)), order.digest)) {
      for (const item of pending) item.isOrdered = false;
      this.#gathered.unshift(...pending);
      return;
    }
    this.#strike(pending);
    answerAll(pending, order, decided);
  }

  #refuse(code: string, message: string, order: Opened<LedgerOrder>, pending: readonly Pending[]): void {
    this.#refusal = `the notary refuses order ${order.body.seq}: ${message}`;
    this.#parts.logger.warn({ code, message }, 'the notary refuses an order');
    // Short of funds passes when money comes; for the rest, those who wait should know.
    if (code !== 'FUNDS_INSUFFICIENT') rejectAll(pending, refused(code, message));
  }
}
