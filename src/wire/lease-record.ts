import * as z from 'zod';
import { decidedSchema } from './certificate.ts';
import { defineMessage } from './message.ts';
import { OFFER_BYTES } from './offer.ts';
import { relativePathSchema } from './path.ts';
import {
  amountSchema,
  bytesSchema,
  cidSchema,
  countSchema,
  hashSchema,
  hexHashSchema,
  peerSchema,
  taskRef,
  timeSchema,
} from './primitives.ts';

/**
 * `accepted`: nothing attested yet. `attested`: the result is kept for its requester. `given_up`: the lock goes back by
 * `evidence`. `settled`: nothing is left to do.
 */
export const leaseStateSchema = z.enum(['accepted', 'attested', 'given_up', 'settled']);

/** One accepted award on its worker's disk. */
export const leaseRecordMessage = defineMessage(
  'lease-record',
  512 * 1024,
  z.strictObject({
    ...taskRef,
    requester: peerSchema,
    price: amountSchema,
    state: leaseStateSchema,
    order: bytesSchema(1024),
    award: bytesSchema(2048),
    offer: bytesSchema(OFFER_BYTES),
    acceptance: bytesSchema(2048),
    /** A run that outlives this process, while nothing is attested: what its executor needs to take it up again, secrets among it. */
    running: z
      .strictObject({ handle: z.string().max(2048), imageDigest: z.string().max(100), startedAt: timeSchema })
      .nullable()
      .default(null),
    escrowId: hexHashSchema.nullable(),
    lock: decidedSchema.nullable(),
    attestation: bytesSchema(4096).nullable(),
    outputs: z
      .array(z.strictObject({ path: relativePathSchema, size: countSchema, cid: cidSchema }))
      .max(256),
    truncated: z.strictObject({ stdout: z.boolean(), stderr: z.boolean(), outputs: z.boolean() }),
    oomKilled: z.boolean(),
    /** The split or the cancellation that the worker signed. */
    evidence: bytesSchema(1024).nullable(),
    accept: bytesSchema(1024).nullable(),
    close: decidedSchema.nullable(),
    pay: amountSchema,
    acceptedAt: timeSchema,
    updatedAt: timeSchema,
  }),
);
export type LeaseRecord = ReturnType<typeof leaseRecordMessage.decode>;

/** The head of a worker's award chain. */
export const leaseChainMessage = defineMessage(
  'lease-chain',
  256,
  z.strictObject({ nextSeq: countSchema, previous: hashSchema.nullable() }),
);
