import type { BatchOp } from '../db/index.ts';
import { type LedgerOrder, type Opened, refKey, type TaskRef } from '../wire/index.ts';
import { readLock } from './certificates.ts';
import type { Committees } from './committees.ts';
import type { Escrow } from './interface.ts';
import { countKey } from './notary-store.ts';
import type { Pending } from './pending-op.ts';
import { orderSlot, readStatement } from './statement.ts';
import type { WalletBook } from './wallet-book.ts';
import { lockKey, pairKey, sendKey, type WalletStore } from './wallet-store.ts';

/** By what an operation is asked for again: a lock by its execution, a user's transfer by its key, and by peer and amount. */
export function namesOf({ op, send }: Pick<Pending, 'op' | 'send'>): string[] {
  if (op.op === 'lock') return [lockKey(op)];
  if (!send) return [];
  return [pairKey(op.to, op.amount), ...(send.key === null ? [] : [sendKey(send.key)])];
}

/** What is written before an order is given out: itself, and where each of its locks and transfers is to be found. */
export function orderOps(
  store: WalletStore,
  order: Opened<LedgerOrder>,
  pending: readonly Pending[],
): BatchOp[] {
  const { seq } = order.body;
  const sends = pending.flatMap(({ send }, index) => (send ? [{ ...send, index }] : []));
  const ops = [
    store.orders.putOp(countKey(seq), { value: order.bytes, ...(sends.length > 0 ? { sends } : {}) }),
  ];
  for (const [index, { op, send }] of pending.entries()) {
    if (op.op === 'lock') ops.push(store.locks.putOp(lockKey(op), { seq, index }));
    else if (send) {
      const record = { to: op.to, amount: op.amount, at: send.at, seq, index, order: order.digest };
      for (const name of namesOf({ op, send })) ops.push(store.sends.putOp(name, record));
    }
  }
  return ops;
}

/** The certified lock of `ref`; undefined where there is none. */
export async function decidedLock(
  {
    store,
    book,
    committees,
  }: { store: WalletStore; book: Pick<WalletBook, 'decided' | 'account'>; committees: Committees },
  ref: TaskRef,
): Promise<Escrow | undefined> {
  const lock = await store.locks.get(lockKey(ref));
  const decided = lock && (await book.decided(orderSlot(book.account, lock.seq)));
  if (!decided) return undefined;
  const statement = readStatement(decided.value);
  // Where another order took the number of the one that held the lock, or none did, there is no lock.
  const ops = statement.type === 'order' ? statement.order.body.ops : [];
  const isThere = ops.some(op => op.op === 'lock' && refKey(op) === refKey(ref));
  return isThere ? readLock(decided, ref, committees.current) : undefined;
}
