import * as z from 'zod';
import {
  amountSchema,
  bytesSchema,
  CHECKPOINT_BYTES,
  countSchema,
  decidedSchema,
  defineMessage,
  defineRecord,
  exactBytesSchema,
  hashSchema,
  hexHashSchema,
  lockSchema,
  MAX_OPS,
  MAX_VALUE_BYTES,
  peerSchema,
  slotSchema,
  taskRef,
  timeSchema,
  transferSchema,
} from '../wire/index.ts';
import { STATE_BYTES } from './state-digest.ts';

/** What the notary and the wallet keep on disk. Money is in 1e-8 FLOP. */

export const accountRecord = defineRecord(
  'ledger-account',
  256,
  z.strictObject({
    balance: amountSchema,
    seq: countSchema,
    /** Entries in the account's trail. */
    trail: countSchema,
    memberships: countSchema.optional(),
    revoked: z.boolean().optional(),
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

export const escrowRecord = defineRecord(
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

export const slotRecord = defineRecord(
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

/** One name of a slot: an entry of a trail. */
export const slotNameRecord = defineRecord('ledger-slot-name', 256, slotSchema);

/** An entry of the log. */
export const logRecord = defineRecord(
  'ledger-log',
  16 * 1024,
  z.strictObject({
    slot: slotSchema,
    at: timeSchema,
    /** That it opened, or is a step of. */
    escrows: z.array(hexHashSchema).max(MAX_OPS),
    /** Where else it is named: keys of entries of trails. */
    trails: z.array(z.string().max(80)).max(MAX_OPS + 2),
  }),
);
export type LogEntry = ReturnType<typeof logRecord.decode>;

export const notaryMetaRecord = defineRecord(
  'notary-meta',
  256 + STATE_BYTES,
  z.strictObject({
    net: hashSchema,
    /** The time T of the last decision. */
    lastMs: timeSchema,
    /** Entries in the log. */
    log: countSchema,
    balances: amountSchema,
    escrows: amountSchema,
    /** The sum over all items of the state. */
    state: exactBytesSchema(STATE_BYTES),
    /** The last epoch that this notary took part in; 0 for one that never has. */
    epoch: countSchema.default(0),
    /** The first of those up to `epoch` that it took part in without a gap. */
    since: countSchema.default(0),
    /** It signs nothing until it has taken over a later epoch. */
    frozen: z.boolean().default(false),
    /** It met a signature of its own that it knows nothing of. */
    lost: z.literal(true).optional(),
  }),
);
export type NotaryMeta = ReturnType<typeof notaryMetaRecord.decode>;

/** The last checkpoint. */
export const checkpointRecord = defineMessage(
  'notary-checkpoint',
  4096,
  z.strictObject({
    /** Signed by all notaries. */
    bytes: bytesSchema(CHECKPOINT_BYTES),
    /** Entries of the log that lie before it: as many as there are decisions. */
    height: countSchema,
  }),
);
export type StoredCheckpoint = ReturnType<typeof checkpointRecord.decode>;

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
    to: transferSchema.shape.to,
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
    counterpart: transferSchema.shape.to.nullable(),
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
    /** It goes on from a standing: what came before is in the sums, and not known one by one. */
    isResumed: z.literal(true).optional(),
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

/** A use of an invite, as every node keeps it: key `<invite>/<use>`. */
export const memberRecord = defineMessage(
  'member',
  256,
  z.strictObject({ account: peerSchema, removed: z.boolean() }),
);
export type StoredMember = ReturnType<typeof memberRecord.decode>;

/** An invite that this node made, without its key: that is in its text alone. */
export const inviteRecord = defineMessage(
  'invite-record',
  256,
  z.strictObject({
    grant: amountSchema,
    uses: countSchema,
    expires: timeSchema,
    createdAt: timeSchema,
  }),
);
export type StoredInvite = ReturnType<typeof inviteRecord.decode>;

/** How long a peer was here in an epoch, and away since. */
export const presenceRecord = defineMessage(
  'presence',
  128,
  z.strictObject({ epoch: countSchema, hereMs: countSchema, awayMs: countSchema }),
);
