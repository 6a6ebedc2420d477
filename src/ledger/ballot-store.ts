import * as z from 'zod';
import type { Database, Repository } from '../db/index.ts';
import { bytesSchema, countSchema, defineRecord, MAX_KNOWN, MAX_VALUE_BYTES } from '../wire/index.ts';
import type { SlotState } from './slot.ts';
import { VALUE_KINDS } from './value-kind.ts';

const digest = z.string().regex(/^[0-9a-f]{64}$/);

/** An undecided slot of one notary among several. */
const ballotRecord = defineRecord(
  'notary-ballot',
  MAX_KNOWN * (MAX_VALUE_BYTES + 256),
  z.strictObject({
    promised: countSchema,
    voted: z.strictObject({ ballot: countSchema, digest }).nullable(),
    lock: z
      .strictObject({ epoch: countSchema, ballot: countSchema, digest, qc: bytesSchema(2048) })
      .nullable(),
    known: z
      .array(
        z.strictObject({
          digest,
          kind: z.enum(VALUE_KINDS),
          value: bytesSchema(MAX_VALUE_BYTES),
          timely: z.boolean(),
          afford: z.boolean(),
        }),
      )
      .max(MAX_KNOWN),
    proposed: countSchema,
  }),
);

/** Undecided slots, by name. */
export function openBallotStore(db: Pick<Database, 'repository'>): Repository<SlotState> {
  return db.repository<SlotState>('notary-ballots', ballotRecord);
}
