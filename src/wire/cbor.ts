import { decode, encode } from '@ipld/dag-cbor';
import { CodedError } from '../util/index.ts';
import { shapeOf } from './cbor-shape.ts';

export type WireErrorType =
  | { code: 'WIRE_TOO_LARGE'; what: string; bytes: number; maxBytes: number }
  | { code: 'WIRE_TOO_COMPLEX'; what: string; maxItems: number }
  | { code: 'WIRE_MALFORMED'; what: string }
  | { code: 'WIRE_NOT_CANONICAL'; what: string }
  | { code: 'WIRE_SCHEMA'; what: string; path: string }
  | { code: 'WIRE_SIGNATURE'; what: string };

export class WireError extends CodedError<WireErrorType> {}

/**
 * Canonical dag-cbor, in memory of its own: the encoder hands out parts of chunks of 8 KiB, and a small message that is kept would
 * keep its whole chunk.
 */
export function encodeCbor(value: unknown): Uint8Array {
  return new Uint8Array(encode(value));
}

/** Bytes as one plain view: equal content, whatever Buffer or subarray it came in. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/**
 * Values and keys in one message. A map of a size that 3 MiB can hold would keep the decoder and the schema busy for 4 s, one
 * of this size for 0.1 s; a full ledger order has 4,000.
 */
export const MAX_ITEMS = 16_384;

/** @throws WireError `WIRE_TOO_LARGE`. */
export function checkSize(bytes: Uint8Array, maxBytes: number, what: string): void {
  if (bytes.length > maxBytes)
    throw new WireError(
      { code: 'WIRE_TOO_LARGE', what, bytes: bytes.length, maxBytes },
      `${what} has ${bytes.length} bytes; at most ${maxBytes} are taken`,
    );
}

/**
 * Decodes dag-cbor that must be the one canonical encoding of what it says.
 * @throws WireError `WIRE_TOO_LARGE`, `WIRE_TOO_COMPLEX`, `WIRE_MALFORMED`, `WIRE_NOT_CANONICAL`.
 */
export function decodeCanonical(
  bytes: Uint8Array,
  maxBytes: number,
  what: string,
  maxItems = MAX_ITEMS,
): unknown {
  checkSize(bytes, maxBytes, what);
  const shape = shapeOf(bytes, maxItems);
  if (shape === 'complex')
    throw new WireError(
      { code: 'WIRE_TOO_COMPLEX', what, maxItems },
      `${what} is nested too deeply, or has more than ${maxItems} parts`,
    );
  if (shape === 'malformed') throw new WireError({ code: 'WIRE_MALFORMED', what }, `${what} is not dag-cbor`);
  let value: unknown;
  let isCanonical: boolean;
  try {
    value = decode(bytes);
    isCanonical = shape === 'plain' || sameBytes(encode(value), bytes);
  } catch (cause) {
    throw new WireError({ code: 'WIRE_MALFORMED', what }, `${what} is not dag-cbor`, { cause });
  }
  if (!isCanonical)
    throw new WireError({ code: 'WIRE_NOT_CANONICAL', what }, `${what} is not in canonical encoding`);
  return value;
}
