import * as z from 'zod';
import { encodeCbor } from './cbor.ts';
import { FUNDS_BYTES } from './certificate.ts';
import { type BodyOf, defineKind } from './envelope.ts';
import { sha256 } from './hash.ts';
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
import { gpusSchema, runtimeSchema } from './sandbox-needs.ts';
import { MAX_MEMBERS } from './task-spec.ts';

/** Longest time of each phase that the requester allows, milliseconds. */
export const phaseLimitsSchema = z.strictObject({
  queueMs: durationSchema,
  pullMs: durationSchema,
  stageMs: durationSchema,
  runMs: durationSchema,
  collectMs: durationSchema,
});

/** Named by an offer that this node makes: a panel of three with a choice, and little enough for an offer's size. */
export const MAX_ARBITERS = 4;

/** The lock's terms: signed into the offer by the requester and, by hash, into the acceptance by the worker. */
export const termsSchema = z.strictObject({
  limits: phaseLimitsSchema,
  /** From the award to the last moment of a claim. */
  claimMs: durationSchema,
  /** From there to the last moment of a dispute, and from there to that of a verdict. */
  disputeMs: durationSchema,
  verdictMs: durationSchema,
  verifiers: z.array(listedPeerSchema).max(16),
  verifierQuorum: countSchema.max(16),
  arbiters: z.array(listedPeerSchema).max(16),
  arbiterQuorum: countSchema.max(16),
  /** The worker's share when a dispute finds no verdict, in thousandths. */
  defaultPermille: countSchema.max(1000),
  /** The least share paid for an attested failure of the task's own code, in thousandths. */
  failureFloorPermille: countSchema.max(1000),
});

export type Terms = z.output<typeof termsSchema>;

export function termsHash(terms: Terms): Uint8Array {
  return sha256(Buffer.from('dux-terms'), encodeCbor(terms));
}

export const needsSchema = z.strictObject({
  milliCpus: countSchema,
  memoryBytes: countSchema,
  diskBytes: countSchema,
  gpus: gpusSchema.nullable(),
  /** Some host is to be reached; which, only the winner is told. */
  network: z.boolean(),
  /** Null: any. */
  runtime: runtimeSchema.nullable(),
  architecture: z.string().max(20).nullable(),
  image: z.string().max(255),
  /** Of code, environment and inputs: what travels with the award, and what is fetched beside it. */
  inputBytes: countSchema,
  /** The most that its collected files may have together. */
  outputBytes: countSchema,
  /** Runs in a bundle; absent: one, and no bundle. */
  members: countSchema.min(1).max(MAX_MEMBERS).optional(),
});

/** What is asked for, whether as an offer or to know what it would cost. */
export const askedShape = {
  needs: needsSchema,
  terms: termsSchema,
  /** The most that the requester pays for this execution; 0: unpaid. */
  maxPrice: amountSchema,
  priority: z.int().min(1).max(10),
  /** When the task is of no more use. */
  deadline: timeSchema,
  verification: z.enum(['none', 'check']),
  /** A funds statement, required where something is paid. */
  funds: bytesSchema(FUNDS_BYTES).nullable(),
};

/** With the longest image name, four arbiters, and funds that five notaries signed. */
export const OFFER_BYTES = 3072;

/** A signed offer never holds code, environment, inputs or names. */
export const offerKind = defineKind(
  'offer',
  OFFER_BYTES,
  z.strictObject({
    net: hashSchema,
    ...taskRef,
    requester: peerSchema,
    ...askedShape,
    bidWindowMs: durationSchema,
    issuedAt: timeSchema,
  }),
);

export type Offer = BodyOf<typeof offerKind>;
export type Asked = Pick<Offer, keyof typeof askedShape>;
