import * as z from 'zod';
import { type BodyOf, defineKind } from './envelope.ts';
import { amountSchema, countSchema, hashSchema, peerSchema, timeSchema } from './primitives.ts';

/** The owner's word that an exported trail ends here, and what it sums up to. */
export const trailEndKind = defineKind(
  'trail-end',
  1024,
  z.strictObject({
    net: hashSchema,
    account: peerSchema,
    at: timeSchema,
    entries: countSchema,
    lines: countSchema,
    /** The number of the account's next order. */
    seq: countSchema,
    confirmed: amountSchema,
    locked: amountSchema,
    incoming: amountSchema,
    /** Over all entries in their order: each is hashed onto what came before it. */
    digest: hashSchema,
  }),
);

export type TrailEnd = BodyOf<typeof trailEndKind>;
