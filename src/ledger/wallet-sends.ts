import { type Clock, CodedError, raceSignal } from '../util/index.ts';
import { type Decided, type LedgerOp, sameBytes, transferSchema } from '../wire/index.ts';
import type { TransferOptions } from './interface.ts';
import { MAX_SEND_KEY, type WalletSend } from './records.ts';
import { digestOf, orderSlot, readStatement } from './statement.ts';
import type { WalletBook } from './wallet-book.ts';
import type { WalletFunds } from './wallet-funds.ts';
import { parsePayment } from './wallet-input.ts';
import type { WalletOrders } from './wallet-orders.ts';
import { pairKey, sendKey, type WalletStore } from './wallet-store.ts';

/** The same amount to the same peer within this time may be a command that was repeated by mistake. */
export const REPEAT_MS = 600_000;

const SEND_KEY = new RegExp(`^[\\x21-\\x7e]{1,${MAX_SEND_KEY}}$`);

export type SendErrorType =
  | { code: 'SEND_REPEATED'; at: number }
  | { code: 'SEND_PENDING' }
  | { code: 'SEND_TO_SELF' }
  | { code: 'SEND_KEY_INVALID' }
  | { code: 'IDEMPOTENCY_CONFLICT'; to: string; amount: bigint };

export interface SendComponents {
  readonly store: WalletStore;
  readonly book: WalletBook;
  readonly orders: WalletOrders;
  readonly clock: Clock;
  readonly funds: WalletFunds;
}

/** Transfers that a user asks for: each key is paid once, over restarts too, and a repetition by mistake is held up. */
export class WalletSends {
  readonly #parts: SendComponents;
  /** Calls between their first look and their place in the orders, by key or by peer and amount. */
  readonly #entering = new Map<string, Promise<unknown>>();

  constructor(parts: SendComponents) {
    this.#parts = parts;
  }

  /** Errors as `Settlement.transfer`. */
  async transfer(
    to: string,
    amount: bigint,
    { signal, key: given, guarded = false }: TransferOptions,
  ): Promise<Decided> {
    const op = parsePayment(transferSchema, { op: 'transfer', to, amount });
    const { book, orders } = this.#parts;
    const key = given ?? null;
    if (to === book.account)
      throw new CodedError<SendErrorType>(
        { code: 'SEND_TO_SELF' },
        'this is the account of the node itself: name another peer',
      );
    if (key !== null && !SEND_KEY.test(key))
      throw new CodedError<SendErrorType>(
        { code: 'SEND_KEY_INVALID' },
        `a key has 1 to ${MAX_SEND_KEY} visible ASCII characters`,
      );
    const name = key === null ? pairKey(to, amount) : sendKey(key);
    const found = await this.#inTurn(name, signal, async () => {
      const before = key === null ? undefined : await this.#before(key, op);
      if (before) return before;
      if (key === null && guarded) await this.#requireFirst(name);
      await this.#parts.funds.look(amount, { signal });
      return orders.place(op, { key, at: this.#parts.clock.now() });
    });
    if ('certificate' in found) return found;
    try {
      return (await orders.wait(found, signal)).decided;
    } catch (error) {
      if (!signal?.aborted || !found.isOrdered) throw error;
      throw new CodedError<SendErrorType>(
        { code: 'SEND_PENDING' },
        'the transfer is signed and on its way: it goes through when a notary answers, and cannot be taken back',
      );
    }
  }

  /** One at a time by `name`: of two calls at once the second finds what the first has placed. */
  async #inTurn<T>(name: string, signal: AbortSignal | undefined, fn: () => Promise<T>): Promise<T> {
    for (let other = this.#entering.get(name); other; other = this.#entering.get(name))
      await raceSignal(Promise.allSettled([other]), signal);
    const own = fn().finally(() => this.#entering.delete(name));
    this.#entering.set(name, own);
    return own;
  }

  /** What became of an earlier transfer with this key: its certificate, or itself while it is on its way. */
  async #before(key: string, op: Extract<LedgerOp, { op: 'transfer' }>) {
    const { store, orders } = this.#parts;
    const name = sendKey(key);
    const pending = orders.find(name);
    if (pending) return requireSame(pending.op, op) && pending;
    const record = await store.sends.get(name);
    const decided = record && (await this.#decided(record));
    return decided && requireSame({ ...op, to: record.to, amount: record.amount }, op) && decided;
  }

  /** The certificate of the order that a transfer was in; undefined where another order took its number. */
  async #decided({ seq, order }: WalletSend): Promise<Decided | undefined> {
    const { book } = this.#parts;
    const decided = await book.decided(orderSlot(book.account, seq));
    return decided && sameBytes(digestOf(readStatement(decided.value)), order) ? decided : undefined;
  }

  async #requireFirst(pair: string): Promise<void> {
    const { store, orders, clock } = this.#parts;
    const pending = orders.find(pair);
    const record = pending ? undefined : await store.sends.get(pair);
    const at = pending?.send?.at ?? (record && (await this.#decided(record)) ? record.at : undefined);
    // A clock that was set back makes every record look young or of the future: asked about once more is the safe side.
    if (at === undefined || clock.now() - at >= REPEAT_MS) return;
    throw new CodedError<SendErrorType>(
      { code: 'SEND_REPEATED', at },
      `the same amount went to the same peer at ${new Date(at).toISOString()}${pending ? ', and is on its way' : ''}: say "again" if you mean it twice`,
    );
  }
}

/** @throws CodedError `IDEMPOTENCY_CONFLICT`. */
function requireSame(before: LedgerOp, now: Extract<LedgerOp, { op: 'transfer' }>): true {
  if (before.op === 'transfer' && before.to === now.to && before.amount === now.amount) return true;
  throw new CodedError<SendErrorType>(
    { code: 'IDEMPOTENCY_CONFLICT', to: now.to, amount: now.amount },
    'this Idempotency-Key was used for another transfer; choose a new key',
  );
}
