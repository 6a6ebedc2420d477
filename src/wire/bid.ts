import * as z from 'zod';
import { type BodyOf, defineKind } from './envelope.ts';
import { defineMessage } from './message.ts';
import {
  amountSchema,
  bytesSchema,
  countSchema,
  durationSchema,
  hashSchema,
  listedPeerSchema,
  peerSchema,
  taskRef,
  timeSchema,
} from './primitives.ts';

/** What a worker would do for a task. It holds no capacity. */
export const estimateShape = {
  ask: amountSchema,
  /** 0: starts at once. */
  queuePosition: countSchema.max(100_000),
  /** Until it would start, milliseconds. */
  queueMs: durationSchema,
  /** The worker's estimate from the award to the result, queueing aside. */
  etaMs: durationSchema,
  imageCached: z.boolean(),
  bytesMissing: countSchema,
};

/** Peers that a bid names. */
export const MAX_HINTS = 2;

/** The award may still be refused. */
export const bidKind = defineKind(
  'bid',
  2048,
  z.strictObject({
    net: hashSchema,
    ...taskRef,
    worker: peerSchema,
    /** sha-256 of the offer that it answers. */
    offerHash: hashSchema,
    ...estimateShape,
    reputationHash: hashSchema.nullable(),
    /** The next number of its award chain. */
    awardSeq: countSchema,
    expires: timeSchema,
    /** Other peers, for a requester that does not know all. */
    hints: z.array(listedPeerSchema).max(MAX_HINTS),
  }),
);

export type Bid = BodyOf<typeof bidKind>;
export type Estimate = Pick<Bid, keyof typeof estimateShape>;

/** Why a worker does not bid or take an award. `permanent`: asking again will not help. */
export const refusalSchema = z.strictObject({
  code: z.string().regex(/^[A-Z_]{2,40}$/),
  reason: z.string().max(300),
  permanent: z.boolean(),
});

export type Refusal = z.output<typeof refusalSchema>;

/** What comes back on the offer stream, and what a gossiped offer's answer is. */
export const offerAnswerMessage = defineMessage(
  'offer-answer',
  4096,
  z.union([
    z.strictObject({ type: z.literal('bid'), bid: bytesSchema(2048) }),
    z.strictObject({ type: z.literal('refusal'), ...taskRef, refusal: refusalSchema }),
  ]),
);
