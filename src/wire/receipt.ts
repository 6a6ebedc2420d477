import * as z from 'zod';
import { decidedSchema } from './certificate.ts';
import { MAX_EPOCHS } from './committee.ts';
import { defineMessage } from './message.ts';
import { bytesSchema } from './primitives.ts';

/** What stays of a deal, and proves it offline. It never holds code, environment or inputs. */
export const receiptMessage = defineMessage(
  'receipt',
  // Each change of the committee takes 2 KiB.
  256 * 1024 + MAX_EPOCHS * 2048,
  z.strictObject({
    format: z.literal('duxnode-receipt/1'),
    genesis: bytesSchema(16 * 1024),
    /** The changes of the committee up to the one that signed; absent where there are none. */
    committees: z.array(decidedSchema).max(MAX_EPOCHS).optional(),
    order: bytesSchema(1024),
    acceptance: bytesSchema(2048),
    attestation: bytesSchema(4096),
    /** The requester's acceptance; null where the deal closed in another way (a split, a claim, a verdict). */
    accept: bytesSchema(1024).nullable(),
    /** The certified lock and the certified step that closed it; null for an unpaid task. */
    lock: decidedSchema.nullable(),
    close: decidedSchema.nullable(),
  }),
);

export type Receipt = ReturnType<typeof receiptMessage.decode>;
