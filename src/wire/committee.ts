import * as z from 'zod';
import { slotSchema } from './certificate.ts';
import { type BodyOf, defineKind } from './envelope.ts';
import { notariesSchema } from './genesis.ts';
import { countSchema, hashSchema } from './primitives.ts';

/** Changes of the committee in a network's life: a receipt carries each of them that its certificates stand on. */
export const MAX_EPOCHS = 1000;
/** Locks on one page of a handover. */
export const MAX_HANDOVER_LOCKS = 64;

/** Which notaries decide in an epoch: the admin's word, decided by the notaries of the epoch before. Slot C/<epoch>. */
export const committeeKind = defineKind(
  'committee',
  1024,
  z.strictObject({
    net: hashSchema,
    epoch: countSchema.min(1).max(MAX_EPOCHS),
    notaries: notariesSchema,
  }),
);

/**
 * One page of what a notary leaves to the next committee, having signed its last vote: what it committed to and saw no decision
 * of, in the order of the slots, and how far its log went then.
 */
export const handoverKind = defineKind(
  'handover',
  8 * 1024,
  z.strictObject({
    net: hashSchema,
    /** The one that has ended. */
    epoch: countSchema,
    /** The page begins after this slot; null: with the first. */
    after: slotSchema.nullable(),
    /** Of the votes behind each lock, sha-256; votes and statement travel beside it. */
    locks: z.array(hashSchema).max(MAX_HANDOVER_LOCKS),
    more: z.boolean(),
    /** Entries of the log. */
    log: countSchema,
  }),
);

export type CommitteeChange = BodyOf<typeof committeeKind>;
export type Handover = BodyOf<typeof handoverKind>;
