import type { Database, Repository } from '../db/index.ts';
import {
  accountRecord,
  checkpointRecord,
  escrowRecord,
  type LogEntry,
  logRecord,
  type NotaryMeta,
  notaryMetaRecord,
  type StoredAccount,
  type StoredCheckpoint,
  type StoredEscrow,
  type StoredSlot,
  slotNameRecord,
  slotRecord,
} from './records.ts';

/** The notary's records: what is true now (accounts, escrows), what was decided (slots), and in which order (log, trails). */
export interface NotaryStore {
  readonly db: Pick<Database, 'write'>;
  readonly accounts: Repository<StoredAccount>;
  readonly escrows: Repository<StoredEscrow>;
  readonly slots: Repository<StoredSlot>;
  /** Without those that checkpoints removed. */
  readonly log: Repository<LogEntry>;
  /** Key `<account>/<number>`; without those that checkpoints removed. */
  readonly trails: Repository<string>;
  /** One record, `state`. */
  readonly meta: Repository<NotaryMeta>;
  /** One record, `checkpoint`. */
  readonly checkpoint: Repository<StoredCheckpoint>;
}

export const META_KEY = 'state';
export const CHECKPOINT_KEY = 'checkpoint';

export function openNotaryStore(db: Pick<Database, 'write' | 'repository'>): NotaryStore {
  return {
    db,
    accounts: db.repository<StoredAccount>('notary-accounts', accountRecord),
    escrows: db.repository<StoredEscrow>('notary-escrows', escrowRecord),
    slots: db.repository<StoredSlot>('notary-slots', slotRecord),
    log: db.repository<LogEntry>('notary-log', logRecord),
    trails: db.repository('notary-trails', slotNameRecord),
    meta: db.repository<NotaryMeta>('notary-meta', notaryMetaRecord),
    checkpoint: db.repository<StoredCheckpoint>('notary-meta', checkpointRecord),
  };
}

/** A counter as a key: byte order is number order. */
export function countKey(count: number): string {
  return String(count).padStart(15, '0');
}

export function trailKey(account: string, count: number): string {
  return `${account}/${countKey(count)}`;
}

/** The number in the key of a log's or a trail's entry. */
export function countOf(key: string): number {
  return Number(key.slice(-15));
}
