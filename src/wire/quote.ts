import * as z from 'zod';
import { estimateShape, refusalSchema } from './bid.ts';
import { defineMessage } from './message.ts';
import { askedShape, OFFER_BYTES } from './offer.ts';

/** An offer without a task, and unsigned: nothing can be awarded on it, and nobody can show it to others. */
export const quoteRequestMessage = defineMessage('quote-request', OFFER_BYTES, z.strictObject(askedShape));

/** What the worker would answer to such an offer now; it promises nothing. */
export const quoteAnswerMessage = defineMessage(
  'quote-answer',
  1024,
  z.union([
    z.strictObject({ type: z.literal('bid'), ...estimateShape }),
    z.strictObject({ type: z.literal('refusal'), refusal: refusalSchema }),
  ]),
);

export type QuoteAnswer = ReturnType<typeof quoteAnswerMessage.decode>;
