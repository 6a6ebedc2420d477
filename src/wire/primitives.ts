import { LRUCache } from 'lru-cache';
import { CID } from 'multiformats/cid';
import * as z from 'zod';
import { isPeerText, peerToKeyBytes } from './identity.ts';

/** The largest amount that a ledger operation takes: 2^63 - 1 units of 1e-8 FLOP. */
export const MAX_AMOUNT = 2n ** 63n - 1n;

/** A peer id holding an Ed25519 key that verification may rely on. */
export const peerSchema = z
  .string()
  .max(60)
  .refine(text => peerToKeyBytes(text) !== undefined, 'not an Ed25519 peer id');

/**
 * One of many peers that a statement names, of whom few will ever sign. A ledger order can name 1,200 new keys, at 1.4 ms for
 * a full check: theirs is left to the day when they sign, where an unsound key never passes.
 */
export const listedPeerSchema = z.string().max(60).refine(isPeerText, 'not an Ed25519 peer id');

/** What was set aside for an invite: an account that only its redemptions pay from. Its name is no peer id, so no order names it as its own. */
export const purseSchema = z
  .string()
  .max(62)
  .refine(
    text => text.startsWith('G/') && peerToKeyBytes(text.slice(2)) !== undefined,
    'not the purse of an invite',
  );

/** dag-cbor has one integer type: small amounts decode as numbers, large ones as bigint. */
export const amountSchema = z
  .union([z.bigint(), z.int()])
  .transform(BigInt)
  .refine(amount => amount >= 0n && amount <= MAX_AMOUNT, 'out of range');

/** An amount of a ledger operation: never 0. */
export const positiveAmountSchema = amountSchema.refine(amount => amount > 0n, 'must be more than 0');

export const countSchema = z.int().min(0);

/** Wall-clock milliseconds. The upper bound is the year 2286: later ones are mistakes. */
export const timeSchema = z.int().min(0).max(9_999_999_999_999);

/** 30 days. */
export const MAX_DURATION_MS = 30 * 86_400_000;

/** A duration in milliseconds. */
export const durationSchema = z.int().min(0).max(MAX_DURATION_MS);

const anyBytesSchema = z.custom<Uint8Array>(value => value instanceof Uint8Array, 'not bytes');

export const bytesSchema = (maxBytes: number) =>
  anyBytesSchema.refine(bytes => bytes.length <= maxBytes, `longer than ${maxBytes} bytes`);

export const exactBytesSchema = (length: number) =>
  anyBytesSchema.refine(bytes => bytes.length === length, `not ${length} bytes`);

/** A sha-256 digest. */
export const hashSchema = exactBytesSchema(32);

/** A sha-256 digest as lower-case hex: names of escrows. */
export const hexHashSchema = z.string().regex(/^[0-9a-f]{64}$/);

/** Refinements run on text of any length: parsing a CID in base 58 takes quadratic time, so only base 32 gets that far. */
const CID_TEXT = /^b[a-z2-7]{1,99}$/;

/** Texts that are CIDs: a task's is in a dozen messages and records, and parsing it costs some microseconds each time. */
const knownCids = new LRUCache<string, true>({ max: 10_000 });

function isCid(text: string): boolean {
  if (knownCids.has(text)) return true;
  if (!CID_TEXT.test(text)) return false;
  try {
    const cid = CID.parse(text);
    if (cid.version !== 1 || cid.toString() !== text) return false;
  } catch {
    return false;
  }
  knownCids.set(text, true);
  return true;
}

/** A CIDv1 in its canonical base32 text. */
export const cidSchema = z.string().max(100).refine(isCid, 'not a CID');

/** Which execution of which replica of which task: what fences late messages. */
export const taskRef = {
  taskId: cidSchema,
  replica: z.int().min(0).max(63),
  attempt: z.int().min(1).max(1000),
};

export interface TaskRef {
  readonly taskId: string;
  readonly replica: number;
  readonly attempt: number;
}

/** `<taskId>/<replica>/<attempt>`: the key of a lease, a lock and a container's label. */
export function refKey(ref: TaskRef): string {
  return `${ref.taskId}/${ref.replica}/${ref.attempt}`;
}
