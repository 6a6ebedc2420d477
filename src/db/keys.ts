import type { Bucket } from './buckets.ts';
import { DatabaseError } from './errors.ts';

/** Longer than any key of ours (a CID, a peer id and a counter); keys that hold text from outside stay bounded. */
const MAX_KEY_BYTES = 512;

/** A lone surrogate has no UTF-8 form: two such keys would become one. */
const ILL_FORMED = /\p{Surrogate}/u;

/** No bucket's name holds it, so no bucket's prefix begins another's. */
const SEPARATOR = '/';

/** The full key of `key` in `bucket`. @throws DatabaseError `DB_KEY_INVALID`: empty, too long or not Unicode. */
export function fullKey(bucket: Bucket, key: string): Uint8Array {
  const bytes = Buffer.byteLength(key);
  if (bytes === 0 || bytes > MAX_KEY_BYTES || ILL_FORMED.test(key))
    throw new DatabaseError(
      { code: 'DB_KEY_INVALID', bucket, bytes },
      `a key of ${bucket} is 1 to ${MAX_KEY_BYTES} bytes of Unicode text; this one has ${bytes}`,
    );
  return keyStart(bucket, key);
}

/** The bytes that every key of `bucket` with `prefix` begins with. */
export function keyStart(bucket: Bucket, prefix = ''): Uint8Array {
  return Buffer.from(`${bucket}${SEPARATOR}${prefix}`);
}

/** The first key after all that begin with `start`. UTF-8 has no byte 0xff, so the last byte can always go up by one. */
export function keyEnd(start: Uint8Array): Uint8Array {
  const end = Uint8Array.from(start);
  end[end.length - 1]! += 1;
  return end;
}

/** The key within `bucket` of a full key. */
export function shortKey(bucket: Bucket, full: Uint8Array): string {
  return Buffer.from(full.buffer, full.byteOffset, full.byteLength).toString('utf8', bucket.length + 1);
}
