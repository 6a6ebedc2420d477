import * as z from 'zod';
import { type BodyOf, defineKind, MAX_SIGNATURES } from './envelope.ts';
import { amountSchema, countSchema, hashSchema, timeSchema } from './primitives.ts';

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
