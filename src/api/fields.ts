import * as z from 'zod';
import { MAX_ELEMENTS } from '../wire/index.ts';
import { amountProblem, parseAmount } from './money.ts';

/** A point in time as ISO 8601 text, UTC, with milliseconds. */
export const isoTime = z.string().meta({ format: 'date-time' });
export const peerText = z.string().max(100);

/** Decimal FLOP, shortest form: `5`, `0.1`. */
export const amountText = z
  .string()
  .meta({ description: 'Decimal, of the network’s currency, e.g. "0.1"', examples: ['5', '0.1'] });

/** Decimal FLOP from outside, as text, to units of 1e-8 FLOP. */
export const amountInput = z
  .string({ error: 'must be a decimal number such as 5 or 0.25' })
  .transform((text, context) => {
    const problem = amountProblem(text);
    if (problem === undefined) return parseAmount(text);
    context.issues.push({ code: 'custom', message: problem, input: text });
    return z.NEVER;
  })
  .meta({
    description: 'Decimal with at most 8 places, of the network’s currency, as a JSON number or as text',
  });

/** A flag in a query: `?follow`, `?follow=true`, `?follow=1`. */
export const flag = z
  .enum(['', 'true', '1', 'false', '0'], { error: 'must be true or false' })
  .default('false')
  .transform(value => value === '' || value === 'true' || value === '1');

/** A whole number in a query. */
export const queryInt = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .refine(value => value >= min && value <= max, `must be ${min} to ${max}`);

/** Ids are looked up, not judged: a strange one is simply not found. */
export const taskParams = z.strictObject({ task_id: z.string().min(1).max(200) });

/** Which element of an array, in a query. */
export const elementIndex = queryInt(0, MAX_ELEMENTS).optional();
