import type { z } from 'zod';
import { checkSize, decodeCanonical, encodeCbor, MAX_ITEMS } from './cbor.ts';
import { schemaError } from './envelope.ts';

/** A message or record without a signature of its own: on an authenticated stream, or on our disk. */
export interface Message<S extends z.ZodType> {
  readonly name: string;
  readonly maxBytes: number;
  /** @throws WireError `WIRE_TOO_LARGE`. The value's shape is the type's business. */
  encode(value: z.input<S>): Uint8Array;
  /** @throws WireError `WIRE_TOO_LARGE`, `WIRE_TOO_COMPLEX`, `WIRE_MALFORMED`, `WIRE_NOT_CANONICAL`, `WIRE_SCHEMA`. */
  decode(bytes: Uint8Array): z.output<S>;
}

export function defineMessage<S extends z.ZodType>(
  name: string,
  maxBytes: number,
  schema: S,
  { maxItems = MAX_ITEMS } = {},
): Message<S> {
  return {
    name,
    maxBytes,
    encode(value) {
      const bytes = encodeCbor(value);
      checkSize(bytes, maxBytes, name);
      return bytes;
    },
    decode(bytes) {
      const parsed = schema.safeParse(decodeCanonical(bytes, maxBytes, name, maxItems));
      if (!parsed.success) throw schemaError(name, parsed.error);
      return parsed.data;
    },
  };
}
