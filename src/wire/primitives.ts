import { CID } from 'multiformats/cid';
import { z } from 'zod';
import { peerToKeyBytes } from './identity.ts';

/** The largest amount that a ledger operation takes: 2^63 - 1 units of 1e-8 FLOP. */
export const MAX_AMOUNT = 2n ** 63n - 1n;

/** A peer id holding an Ed25519 key that verification may rely on. */
export const peerSchema = z
  .string()
  .max(60)
  .refine(text => peerToKeyBytes(text) !== undefined, 'not an Ed25519 peer id');

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

/** A duration in milliseconds, up to 30 days. */
export const durationSchema = z
  .int()
  .min(0)
  .max(30 * 86_400_000);

export const bytesSchema = (maxBytes: number) =>
  z.instanceof(Uint8Array).refine(bytes => bytes.length <= maxBytes, `longer than ${maxBytes} bytes`);

/** A sha-256 digest. */
export const hashSchema = z.instanceof(Uint8Array).refine(bytes => bytes.length === 32, 'not 32 bytes');

/** A sha-256 digest as lower-case hex: names of escrows. */
export const hexHashSchema = z.string().regex(/^[0-9a-f]{64}$/);

/** A CIDv1 in its canonical base32 text. */
export const cidSchema = z
  .string()
  .max(100)
  .refine(text => {
    try {
      const cid = CID.parse(text);
      return cid.version === 1 && cid.toString() === text;
    } catch {
      return false;
    }
  }, 'not a CID');

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
