import * as z from 'zod';
import { type BodyOf, defineKind, MAX_SIGNATURES } from './envelope.ts';
import { amountSchema, bytesSchema, hashSchema, hexHashSchema, taskRef } from './primitives.ts';

const escrow = { net: hashSchema, escrowId: hexHashSchema };

/** The requester agrees to a result. Without an escrow (unpaid, or its own node) it closes the deal all the same. */
export const acceptKind = defineKind(
  'accept',
  1024,
  z.strictObject({
    net: hashSchema,
    escrowId: hexHashSchema.nullable(),
    ...taskRef,
    /** sha-256 of the attestation that it agrees to. */
    attestation: hashSchema,
    verification: z.enum(['none', 'check']),
  }),
);

/** The worker gives the whole lock back. */
export const cancelKind = defineKind('cancel', 1024, z.strictObject(escrow));

/** Both agree to a split: `pay` to the worker, the rest back. */
export const mutualKind = defineKind('mutual', 1024, z.strictObject({ ...escrow, pay: amountSchema }));

/** The requester denies the result behind a claim. */
export const disputeKind = defineKind(
  'dispute',
  2048,
  z.strictObject({ ...escrow, reason: z.string().max(1000) }),
);

/** What arbiters find, each by a signature of its own: as many as a lock can call for. */
export const verdictKind = defineKind('verdict', 4096, z.strictObject({ ...escrow, pay: amountSchema }), {
  maxSignatures: MAX_SIGNATURES,
});

/** Verifiers agree with a result: their own attestations over the same replica set, beside the worker's. */
export const verifiedKind = defineKind(
  'verified',
  16 * 1024,
  z.strictObject({ ...escrow, attestation: hashSchema, worker: bytesSchema(4096) }),
);

/** What time alone proves: nobody signs it. */
export const timeoutKind = defineKind(
  'timeout',
  512,
  z.strictObject({ ...escrow, step: z.enum(['refund', 'claim', 'arbitration']) }),
  { minSignatures: 0 },
);

export type Accept = BodyOf<typeof acceptKind>;
export type Cancel = BodyOf<typeof cancelKind>;
export type Mutual = BodyOf<typeof mutualKind>;
export type Dispute = BodyOf<typeof disputeKind>;
export type EscrowVerdict = BodyOf<typeof verdictKind>;
export type Timeout = BodyOf<typeof timeoutKind>;
