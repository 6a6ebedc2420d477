/**
 * The key prefixes of the database, one a record kind. Append only: a name, once released, is never given to
 * another kind of record, or old data would be read as new.
 */
export const BUCKETS = [
  'meta',
  'tasks',
  'task-orders',
  'leases',
  'lease-chain',
  'wallet-orders',
  'wallet-locks',
  'wallet-trail',
  'wallet-meta',
  'notary-accounts',
  'notary-escrows',
  'notary-slots',
  'notary-log',
  'notary-trails',
  'notary-meta',
  'receipts',
  'experience',
  'idempotency',
  'spending',
  'images',
  'notary-ballots',
  'wallet-sends',
  'shares',
  'members',
  'invites',
  'committees',
  'proofs',
  'presence',
] as const;

export type Bucket = (typeof BUCKETS)[number];
