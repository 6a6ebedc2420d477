import * as z from 'zod';
import { encodeCbor } from './cbor.ts';
import { type BodyOf, defineKind, type Opened } from './envelope.ts';
import { sha256, toHex } from './hash.ts';
import {
  countSchema,
  hashSchema,
  listedPeerSchema,
  peerSchema,
  positiveAmountSchema,
  purseSchema,
  taskRef,
  timeSchema,
} from './primitives.ts';

/** Operations that one order holds: what makes a lock cost a fraction of a signature under load. */
export const MAX_OPS = 64;

export const lockSchema = z
  .strictObject({
    op: z.literal('lock'),
    amount: positiveAmountSchema,
    worker: peerSchema,
    ...taskRef,
    termsHash: hashSchema,
    claimBy: timeSchema,
    disputeBy: timeSchema,
    verdictBy: timeSchema,
    verifiers: z.array(listedPeerSchema).max(16),
    verifierQuorum: countSchema.max(16),
    arbiters: z.array(listedPeerSchema).max(16),
    arbiterQuorum: countSchema.max(16),
    defaultPermille: countSchema.max(1000),
  })
  .refine(
    lock => lock.claimBy < lock.disputeBy && lock.disputeBy <= lock.verdictBy,
    'deadlines out of order',
  );

export type Lock = z.output<typeof lockSchema>;

export const transferSchema = z.strictObject({
  op: z.literal('transfer'),
  amount: positiveAmountSchema,
  /** A peer, or the purse of an invite. */
  to: z.union([peerSchema, purseSchema]),
});

/** An owner's order: slot A/<account>/<seq>. */
export const ledgerOrderKind = defineKind(
  'ledger-order',
  64 * 1024,
  z.strictObject({
    net: hashSchema,
    account: peerSchema,
    seq: countSchema,
    ops: z
      .array(z.union([lockSchema, transferSchema]))
      .min(1)
      .max(MAX_OPS),
  }),
);

export type LedgerOrder = BodyOf<typeof ledgerOrderKind>;
export type LedgerOp = LedgerOrder['ops'][number];

/** H("dux-escrow" || order || opIndex): the name of the escrow that a lock makes. */
export function escrowIdOf(order: Opened<LedgerOrder>, opIndex: number): string {
  return toHex(sha256(Buffer.from('dux-escrow'), order.digest, encodeCbor(opIndex)));
}

/** An admin's gift out of its own account: an invite redeemed, or membership of an open network. Slot G/<invite>/<use>. */
export const grantKind = defineKind(
  'grant',
  1024,
  z.strictObject({
    net: hashSchema,
    invite: z.string().regex(/^[A-Za-z0-9]{1,64}$/),
    use: z.string().regex(/^[A-Za-z0-9]{1,64}$/),
    account: peerSchema,
    amount: positiveAmountSchema,
  }),
);

export type Grant = BodyOf<typeof grantKind>;
