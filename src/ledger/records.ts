import * as z from 'zod';
import {
  amountSchema,
  bytesSchema,
  countSchema,
  decidedSchema,
  defineMessage,
  hashSchema,
  hexHashSchema,
  lockSchema,
  MAX_OPS,
  MAX_VALUE_BYTES,
  peerSchema,
  slotSchema,
  taskRef,
  timeSchema,
} from '../wire/index.ts';

/** What the notary and the wallet keep on disk. Money is in 1e-8 FLOP. */

export const accountRecord = defineMessage(
  'ledger-account',
  256,
  z.strictObject({
    balance: amountSchema,
    seq: countSchema,
    /** Entries in the account's trail. */
    trail: countSchema,
  }),
);
export type StoredAccount = ReturnType<typeof accountRecord.decode>;

const escrowFields = {
  escrowId: hexHashSchema,
  requester: peerSchema,
  lock: lockSchema,
  state: z.enum(['OPEN', 'CLAIMED', 'DISPUTED', 'PAID', 'REFUNDED', 'SPLIT']),
  steps: countSchema.max(4),
  pay: amountSchema,
  fee: amountSchema,
};

export const escrowRecord = defineMessage(
  'ledger-escrow',
  4096,
  z.strictObject({
    escrow: z.strictObject(escrowFields),
    /** The slot of the order that made it. */
    order: slotSchema,
    /** Of each statement that was decided about it, in order. */
    digests: z.array(hashSchema).max(4),
  }),
);
export type StoredEscrow = ReturnType<typeof escrowRecord.decode>;

export const slotRecord = defineMessage(
  'ledger-slot',
  MAX_VALUE_BYTES + 4096,
  z.strictObject({
    digest: hashSchema,
    value: bytesSchema(MAX_VALUE_BYTES),
    /** Of several notaries. One alone signs its own again. */
    certificate: bytesSchema(2048).optional(),
  }),
);
export type StoredSlot = ReturnType<typeof slotRecord.decode>;

/** One name of a slot: an entry of the log and of a trail. */
export const slotNameRecord = defineMessage('ledger-slot-name', 256, slotSchema);

export const notaryMetaRecord = defineMessage(
  'notary-meta',
  256,
  z.strictObject({
    net: hashSchema,
    /** The time T of the last decision. */
    lastMs: timeSchema,
    /** Entries in the log. */
    log: countSchema,
    balances: amountSchema,
    escrows: amountSchema,
    /** The last epoch that this notary took part in; 0 for one that never has. */
    epoch: countSchema.default(0),
    /** The first of those up to `epoch` that it took part in without a gap. */
    since: countSchema.default(0),
    /** It signs nothing until it has taken over a later epoch. */
    frozen: z.boolean().default(false),
  }),
);
export type NotaryMeta = ReturnType<typeof notaryMetaRecord.decode>;

/** ASCII characters of an idempotency key. */
export const MAX_SEND_KEY = 128;

/** An order of the wallet under way: written before it is sent, and gone once it is in the trail. */
export const walletOrderRecord = defineMessage(
  'wallet-order',
  MAX_VALUE_BYTES + MAX_OPS * (MAX_SEND_KEY + 64),
  z.strictObject({
    value: bytesSchema(MAX_VALUE_BYTES),
    /** Which of its operations a user asked for as a transfer. */
    sends: z
      .array(
        z.strictObject({ index: countSchema, key: z.string().max(MAX_SEND_KEY).nullable(), at: timeSchema }),
      )
      .max(MAX_OPS)
      .optional(),
  }),
);
export type WalletOrder = ReturnType<typeof walletOrderRecord.decode>;

/** Where the lock of an execution is: which operation of which of our orders. */
export const walletLockRecord = defineMessage(
  'wallet-lock',
  256,
  z.strictObject({ seq: countSchema, index: countSchema }),
);
export type WalletLock = ReturnType<typeof walletLockRecord.decode>;

/** A transfer that a user asked for: which operation of which order it became. */
export const walletSendRecord = defineMessage(
  'wallet-send',
  512,
  z.strictObject({
    to: peerSchema,
    amount: amountSchema,
    at: timeSchema,
    seq: countSchema,
    index: countSchema,
    /** Digest of the order: its number may go to another one. */
    order: hashSchema,
  }),
);
export type WalletSend = ReturnType<typeof walletSendRecord.decode>;

/** An escrow that the wallet follows until it closes. */
export const walletEscrowRecord = defineMessage(
  'wallet-escrow',
  4096,
  z.strictObject({
    ...escrowFields,
    /** Days since 1970 until this node locked it; not there for locks of others. */
    day: countSchema.optional(),
  }),
);
export type WalletEscrow = ReturnType<typeof walletEscrowRecord.decode>;

const signedAmount = z.union([z.bigint(), z.int()]).transform(BigInt);

export const historyRecord = defineMessage(
  'wallet-history',
  1024,
  z.strictObject({
    index: countSchema,
    kind: z.enum(['genesis', 'grant', 'transfer', 'lock', 'paid', 'refunded', 'split', 'fee', 'step']),
    change: signedAmount,
    counterpart: peerSchema.nullable(),
    taskId: taskRef.taskId.nullable(),
    escrowId: hexHashSchema.nullable(),
    slot: z.string().max(160),
  }),
);

/** A decided statement of the wallet's trail. */
export const trailRecord = defineMessage('wallet-trail', MAX_VALUE_BYTES + 4096, decidedSchema);

/** Notaries whose trails were read, the last ones: of others they are read anew. */
export const MAX_CURSORS = 16;

export const walletMetaRecord = defineMessage(
  'wallet-meta',
  512 + MAX_CURSORS * 96,
  z.strictObject({
    net: hashSchema,
    account: peerSchema,
    /** Of each notary's order: the next entry to ask it for. */
    cursors: z.array(z.strictObject({ peer: peerSchema, at: countSchema })).max(MAX_CURSORS),
    /** Lines of the history. */
    lines: countSchema,
    /** The number of our next order. */
    seq: countSchema,
    /** Below 0 only while an entry that came first is not known yet. */
    confirmed: signedAmount,
    locked: amountSchema,
    incoming: amountSchema,
    /** What this node spent on the last day on which it did, less what came back of that day's locks. */
    today: z.strictObject({ day: countSchema, spent: amountSchema }).optional(),
  }),
);
export type WalletMeta = ReturnType<typeof walletMetaRecord.decode>;
