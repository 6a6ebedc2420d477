import * as z from 'zod';
import { defineMessage } from './message.ts';
import { bytesSchema, hashSchema, taskRef } from './primitives.ts';

/** requester -> a worker that is busy: keep a place for what was bid on, or forget it. */
export const placeRequestMessage = defineMessage(
  'place-request',
  512,
  z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('reserve'), ...taskRef, bidHash: hashSchema }),
    z.strictObject({ type: z.literal('cancel'), ...taskRef }),
  ]),
);

/** Whether there is a place for it now. */
export const placeAnswerMessage = defineMessage('place-answer', 64, z.strictObject({ placed: z.boolean() }));

/** worker -> requester: a slot is held for this task, under the terms of a new bid on the same offer. */
export const claimMessage = defineMessage('claim', 2304, z.strictObject({ bid: bytesSchema(2048) }));

/** `grant`: the award of that bid is on its way; `cancel`: the slot is for others. */
export const claimAnswerMessage = defineMessage(
  'claim-answer',
  64,
  z.strictObject({ answer: z.enum(['grant', 'cancel']) }),
);

export type ClaimAnswer = ReturnType<typeof claimAnswerMessage.decode>['answer'];
