import * as z from 'zod';
import { decidedSchema } from './certificate.ts';
import { defineMessage } from './message.ts';
import { bytesSchema, taskRef } from './primitives.ts';

/** Runs of its own that an arbiter may need: one that agrees with the claim, or two that agree with each other. */
export const MAX_RERUNS = 2;

/** requester -> arbiter: what proves the dispute, and the runs that the arbiter itself has made of the task for it. */
export const verdictRequestMessage = defineMessage(
  'verdict-request',
  128 * 1024,
  z.strictObject({
    lock: decidedSchema,
    claim: decidedSchema,
    dispute: decidedSchema,
    order: bytesSchema(1024),
    /** The offer whose terms the lock names by their hash. */
    offer: bytesSchema(2048),
    runs: z.array(z.strictObject(taskRef)).max(MAX_RERUNS),
  }),
);
export type VerdictRequest = ReturnType<typeof verdictRequestMessage.decode>;

/** What an arbiter's own runs say of a claimed result. `unclear`: the task itself does not give the same each time. */
export const findingSchema = z.enum(['right', 'wrong', 'unclear']);
export type Finding = z.output<typeof findingSchema>;

/** arbiter -> requester: its signed verdict, and what that rests on; or it has to run the task (once more) before it can say. */
export const verdictAnswerMessage = defineMessage(
  'verdict-answer',
  4096 + 256,
  z.union([
    z.strictObject({ type: z.literal('verdict'), verdict: bytesSchema(4096), finding: findingSchema }),
    z.strictObject({ type: z.literal('run') }),
  ]),
);
export type VerdictAnswer = ReturnType<typeof verdictAnswerMessage.decode>;
