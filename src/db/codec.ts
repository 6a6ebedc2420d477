import { decode, encode } from '@ipld/dag-cbor';

/** How a record becomes bytes and back. `decode` throws on bytes that are no such record. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/**
 * Records as dag-cbor. `parse` checks and restores what was decoded: dag-cbor gives a bigint that fits a safe integer
 * back as a number, so a schema has to coerce money to bigint.
 */
export function cborCodec<T>(parse: (raw: unknown) => T): Codec<T> {
  return { encode: value => encode(value), decode: bytes => parse(decode(bytes)) };
}

/** Records that are bytes already, such as signed envelopes. */
export const bytesCodec: Codec<Uint8Array> = {
  encode: value => value,
  decode: bytes => bytes,
};
