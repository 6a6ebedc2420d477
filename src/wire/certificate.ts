import * as z from 'zod';
import { type BodyOf, defineKind, MAX_SIGNATURES } from './envelope.ts';
import { amountSchema, bytesSchema, countSchema, hashSchema, peerSchema, timeSchema } from './primitives.ts';

/** Names of slots: A/<account>/<seq>, E/<escrowId>/<step>, G/<invite>/<use>, R/<invite>/<use>, C/<epoch>; and of standings, S/<account>/<at>. */
export const slotSchema = z
  .string()
  .regex(
    /^([AS]\/[A-Za-z0-9]{40,60}\/\d{1,15}|E\/[0-9a-f]{64}\/[0-9]|G\/[A-Za-z0-9]{1,64}\/[A-Za-z0-9]{1,64}|R\/[A-Za-z0-9]{40,60}\/\d{1,4}|C\/\d{1,4})$/,
  );

/** A quorum of notaries' signatures on one decided slot: final, and checked by anyone with the genesis. */
export const certificateKind = defineKind(
  'certificate',
  2048,
  z.strictObject({
    net: hashSchema,
    epoch: countSchema,
    slot: slotSchema,
    ballot: countSchema,
    /** sha-256 of the statement that was decided. */
    value: hashSchema,
  }),
  { maxSignatures: MAX_SIGNATURES },
);

export type Certificate = BodyOf<typeof certificateKind>;

/** The largest statement that a slot may hold: a ledger order of 64 operations. */
export const MAX_VALUE_BYTES = 64 * 1024;

/** A certificate beside the statement that it decides. */
export const decidedSchema = z.strictObject({
  certificate: bytesSchema(2048),
  value: bytesSchema(MAX_VALUE_BYTES),
});

export type Decided = z.output<typeof decidedSchema>;

/** With the signatures of a quorum of seven notaries. */
export const FUNDS_BYTES = 1024;

/** A balance as a quorum of notaries saw it, so that a worker can check a payer without asking. */
export const fundsKind = defineKind(
  'funds',
  FUNDS_BYTES,
  z.strictObject({
    net: hashSchema,
    account: peerSchema,
    balance: amountSchema,
    member: z.boolean(),
    at: timeSchema,
  }),
  { maxSignatures: MAX_SIGNATURES },
);

export type Funds = BodyOf<typeof fundsKind>;
