import * as z from 'zod';
import { defineMessage } from './message.ts';
import { amountSchema, countSchema, peerSchema, timeSchema } from './primitives.ts';

const sumsSchema = z.strictObject({
  tasks: countSchema,
  cpuMs: countSchema,
  wallMs: countSchema,
  /** 1e-8 FLOP. */
  amount: amountSchema,
});

/** What this node and one peer have worked for each other, on this node's own disk. */
export const shareRecordMessage = defineMessage(
  'share-record',
  512,
  z.strictObject({
    peer: peerSchema,
    /** Work of this node for the peer, and what it earned by it. */
    lent: sumsSchema,
    /** Work of the peer for this node, and what it was paid. */
    used: sumsSchema,
    since: timeSchema,
    lastAt: timeSchema,
  }),
);

export type ShareRecord = ReturnType<typeof shareRecordMessage.decode>;
export type ShareSums = ShareRecord['lent'];
