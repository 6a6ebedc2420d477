import * as z from 'zod';
import { type BodyOf, defineKind } from './envelope.ts';
import { amountSchema, countSchema, hashSchema, peerSchema, taskRef, timeSchema } from './primitives.ts';

/** The requester's choice of one bid. */
export const awardKind = defineKind(
  'award',
  2048,
  z.strictObject({
    net: hashSchema,
    ...taskRef,
    requester: peerSchema,
    worker: peerSchema,
    price: amountSchema,
    offerHash: hashSchema,
    bidHash: hashSchema,
    specHash: hashSchema,
    termsHash: hashSchema,
    /** The deadlines of the lock count from here. */
    awardedAt: timeSchema,
  }),
);

export type Award = BodyOf<typeof awardKind>;

/**
 * The worker's agreement: it will run this under these terms. Paid ones form a chain (rising number, hash of the one
 * before); unpaid ones stand outside it.
 */
export const acceptanceKind = defineKind(
  'acceptance',
  2048,
  z.strictObject({
    net: hashSchema,
    ...taskRef,
    requester: peerSchema,
    worker: peerSchema,
    price: amountSchema,
    awardHash: hashSchema,
    termsHash: hashSchema,
    awardSeq: countSchema.nullable(),
    previous: hashSchema.nullable(),
    acceptedAt: timeSchema,
  }),
);

export type Acceptance = BodyOf<typeof acceptanceKind>;
