import * as z from 'zod';
import { defineMessage } from './message.ts';
import { countSchema, peerSchema, timeSchema } from './primitives.ts';

/** Decayed sums are kept in millionths: records hold no floats. */
export const MICROS = 1_000_000;

/** What this node lived through with one worker, on its own disk. Sums decay with each outcome. */
export const experienceRecordMessage = defineMessage(
  'experience-record',
  512,
  z.strictObject({
    peer: peerSchema,
    /** Decayed number of successes and of failures. */
    successMicros: countSchema,
    failureMicros: countSchema,
    /** Decayed sum of ln(actual / claimed) of the worker's estimates, and the decayed number of them. */
    biasMicros: z.int(),
    estimateMicros: countSchema,
    /** Without decay. */
    successes: countSchema,
    failures: countSchema,
    lastAt: timeSchema,
  }),
);

export type ExperienceRecord = ReturnType<typeof experienceRecordMessage.decode>;
