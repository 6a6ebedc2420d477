import type { z } from 'zod';
import { decodeCanonical, encodeCbor } from './cbor.ts';
import { schemaError } from './envelope.ts';

/** A message or record without a signature of its own: on an authenticated stream, or on our disk. */
export interface Message<S extends z.ZodType> {
  readonly name: string;
  readonly maxBytes: number;
  encode(value: z.input<S>): Uint8Array;
  /** @throws WireError `WIRE_TOO_LARGE`, `WIRE_MALFORMED`, `WIRE_NOT_CANONICAL`, `WIRE_SCHEMA`. */
  decode(bytes: Uint8Array): z.output<S>;
}

export function defineMessage<S extends z.ZodType>(name: string, maxBytes: number, schema: S): Message<S> {
  return {
    name,
    maxBytes,
    encode: value => encodeCbor(value),
    decode(bytes) {
      const parsed = schema.safeParse(decodeCanonical(bytes, maxBytes, name));
      if (!parsed.success) throw schemaError(name, parsed.error);
      return parsed.data;
    },
  };
}
