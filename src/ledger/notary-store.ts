import type { Database, Repository } from '../db/index.ts';
import {
  accountRecord,
  escrowRecord,
  type NotaryMeta,
  notaryMetaRecord,
  type StoredAccount,
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
  readonly log: Repository<string>;
  /** Key `<account>/<number>`. */
  readonly trails: Repository<string>;
  /** One record, `state`. */
  readonly meta: Repository<NotaryMeta>;
}

export const META_KEY = 'state';

export function openNotaryStore(db: Pick<Database, 'write' | 'repository'>): NotaryStore {
  return {
    db,
    accounts: db.repository<StoredAccount>('notary-accounts', accountRecord),
    escrows: db.repository<StoredEscrow>('notary-escrows', escrowRecord),
    slots: db.repository<StoredSlot>('notary-slots', slotRecord),
    log: db.repository('notary-log', slotNameRecord),
    trails: db.repository('notary-trails', slotNameRecord),
    meta: db.repository<NotaryMeta>('notary-meta', notaryMetaRecord),
  };
}

/** A counter as a key: byte order is number order. */
export function countKey(count: number): string {
  return String(count).padStart(15, '0');
}

export function trailKey(account: string, count: number): string {
  return `${account}/${countKey(count)}`;
}
