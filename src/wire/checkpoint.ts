import * as z from 'zod';
import { type BodyOf, defineKind, MAX_SIGNATURES } from './envelope.ts';
import { lockSchema } from './ledger-order.ts';
import {
  amountSchema,
  countSchema,
  hashSchema,
  hexHashSchema,
  peerSchema,
  timeSchema,
} from './primitives.ts';

export const CHECKPOINT_BYTES = 2048;

/** Where a ledger stands after so many decisions; the same at each notary that has taken the same ones in. */
export const checkpointKind = defineKind(
  'checkpoint',
  CHECKPOINT_BYTES,
  z.strictObject({
    net: hashSchema,
    epoch: countSchema,
    decisions: countSchema,
    /** sha-256 of the sum over accounts, open escrows, and slots that are used up for ever. */
    state: hashSchema,
    balances: amountSchema,
    /** In open escrows. */
    escrows: amountSchema,
    at: timeSchema,
  }),
  { maxSignatures: MAX_SIGNATURES },
);

export type Checkpoint = BodyOf<typeof checkpointKind>;

/** Escrows that one standing can name. */
export const MAX_STANDING = 64;

/**
 * What an account has, as a quorum of notaries certifies it in the slot S/<account>/<at>: where a trail goes on whose beginning is
 * lost. Nobody signs it but the notaries.
 */
export const standingKind = defineKind(
  'standing',
  64 * 1024,
  z.strictObject({
    net: hashSchema,
    account: peerSchema,
    at: timeSchema,
    balance: amountSchema,
    /** The number of its next order. */
    seq: countSchema,
    /** That are open and concern it. */
    escrows: z
      .array(
        z.strictObject({
          escrowId: hexHashSchema,
          requester: peerSchema,
          lock: lockSchema,
          state: z.enum(['OPEN', 'CLAIMED', 'DISPUTED']),
          steps: countSchema.max(2),
        }),
      )
      .max(MAX_STANDING),
  }),
  { minSignatures: 0, maxSignatures: 0 },
);

export type Standing = BodyOf<typeof standingKind>;
