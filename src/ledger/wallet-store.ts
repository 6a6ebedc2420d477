import type { Database, Repository } from '../db/index.ts';
import { type Decided, refKey, type TaskRef } from '../wire/index.ts';
import type { HistoryEntry } from './interface.ts';
import { countKey } from './notary-store.ts';
import {
  historyRecord,
  trailRecord,
  type WalletEscrow,
  type WalletLock,
  type WalletMeta,
  type WalletOrder,
  type WalletSend,
  walletEscrowRecord,
  walletLockRecord,
  walletMetaRecord,
  walletOrderRecord,
  walletSendRecord,
} from './records.ts';

/** The wallet's records. Everything but `orders` can be had again from the notaries. */
export interface WalletStore {
  readonly db: Pick<Database, 'write'>;
  /** Orders under way, by number. */
  readonly orders: Repository<WalletOrder>;
  /** Where the lock of an execution is; key of `lockKey`. */
  readonly locks: Repository<WalletLock>;
  /** Transfers that a user asked for; key of `sendKey` or `pairKey`. */
  readonly sends: Repository<WalletSend>;
  /** Open escrows that concern us; key of `escrowKey`. */
  readonly escrows: Repository<WalletEscrow>;
  /** Decided statements that were taken in; key of `slotKey`. */
  readonly trail: Repository<Decided>;
  /** The same records, where only whether they are there matters: reading one of 64 KiB costs more than all else. */
  readonly known: Repository<true>;
  /** Lines of the history; key of `lineKey`. */
  readonly history: Repository<HistoryEntry>;
  /** One record, `state`. */
  readonly meta: Repository<WalletMeta>;
}

export const LINE_PREFIX = 'h/';
export const lockKey = (ref: TaskRef): string => `r/${refKey(ref)}`;
export const sendKey = (key: string): string => `k/${key}`;
/** The latest of one amount to one peer. */
export const pairKey = (to: string, amount: bigint): string => `p/${to}/${amount}`;
export const escrowKey = (escrowId: string): string => `e/${escrowId}`;
export const slotKey = (slot: string): string => `s/${slot}`;
export const lineKey = (index: number): string => `${LINE_PREFIX}${countKey(index)}`;

export function openWalletStore(db: Pick<Database, 'write' | 'repository'>): WalletStore {
  return {
    db,
    orders: db.repository<WalletOrder>('wallet-orders', walletOrderRecord),
    locks: db.repository<WalletLock>('wallet-locks', walletLockRecord),
    sends: db.repository<WalletSend>('wallet-sends', walletSendRecord),
    escrows: db.repository<WalletEscrow>('wallet-locks', walletEscrowRecord),
    trail: db.repository<Decided>('wallet-trail', trailRecord),
    known: db.repository<true>('wallet-trail', { encode: neverWritten, decode: () => true }),
    history: db.repository<HistoryEntry>('wallet-trail', historyRecord),
    meta: db.repository<WalletMeta>('wallet-meta', walletMetaRecord),
  };
}

function neverWritten(): never {
  throw new Error('these records are written through `trail`');
}
