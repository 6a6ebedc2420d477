import type { z } from 'zod';
import { checkSize, decodeCanonical, encodeCbor, MAX_ITEMS } from './cbor.ts';
import { schemaError } from './envelope.ts';

/** A message or record without a signature of its own: on an authenticated stream, or on our disk. */
export interface Message<S extends z.ZodType> {
  readonly name: string;
  readonly maxBytes: number;
  /** @throws WireError `WIRE_TOO_LARGE`, `WIRE_SCHEMA`: nothing is written that its own schema would not read. */
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
  function check(value: unknown): z.output<S> {
    const parsed = schema.safeParse(value);
    if (!parsed.success) throw schemaError(name, parsed.error);
    return parsed.data;
  }
  return {
    name,
    maxBytes,
    encode(value) {
      check(value);
      const bytes = encodeCbor(value);
      checkSize(bytes, maxBytes, name);
      return bytes;
    },
    decode(bytes) {
      return check(decodeCanonical(bytes, maxBytes, name, maxItems));
    },
  };
}

/**
 * A record that only the code which made it reads: written as it is, and checked when it comes back from the disk. For what rules made of
 * statements that were checked, where a check of every record would cost as much as writing it.
 */
export function defineRecord<S extends z.ZodType>(name: string, maxBytes: number, schema: S): Message<S> {
  return {
    ...defineMessage(name, maxBytes, schema),
    encode(value) {
      const bytes = encodeCbor(value);
      checkSize(bytes, maxBytes, name);
      return bytes;
    },
  };
}
