import * as z from 'zod';
import { type BodyOf, defineKind, type Opened } from './envelope.ts';
import { cborCid } from './hash.ts';
import { hashSchema, peerSchema } from './primitives.ts';

/** A requester's signed wish; its CID is the task's id. An idempotency key fixes the nonce, and so the id. */
export const orderKind = defineKind(
  'order',
  1024,
  z.strictObject({ net: hashSchema, requester: peerSchema, nonce: hashSchema, saltedSpecHash: hashSchema }),
);

export type Order = BodyOf<typeof orderKind>;

/** The task's id: the CID of the order's body, which no second signature can change. */
export function taskIdOf(order: Opened<Order>): string {
  return cborCid(order.bodyBytes);
}
