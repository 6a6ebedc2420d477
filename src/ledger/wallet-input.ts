import type { z } from 'zod';
import { MAX_VALUE_BYTES, schemaError, WireError } from '../wire/index.ts';

/** @throws WireError `WIRE_SCHEMA` with the field. */
export function parsePayment<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw schemaError('payment', parsed.error);
  return parsed.data;
}

/** Evidence that no slot holds. */
export function tooLarge(bytes: number): WireError {
  return new WireError(
    { code: 'WIRE_TOO_LARGE', what: 'evidence', bytes, maxBytes: MAX_VALUE_BYTES },
    `evidence has ${bytes} bytes; at most ${MAX_VALUE_BYTES} are taken`,
  );
}
