import * as z from 'zod';
import { peerSchema } from '../wire/index.ts';
import { amountInput, amountText, isoTime, peerText } from './fields.ts';

export const walletReply = z.object({
  account: peerText,
  currency: z.enum(['FLOP', 'credits']).meta({ description: 'What the network’s money is called' }),
  balance: amountText.meta({ description: 'What can be spent now' }),
  locked: amountText.meta({ description: 'In open escrows of own tasks, and on its way there' }),
  incoming: amountText.meta({ description: 'In open escrows of others, for work of this node' }),
  limits: z.object({
    per_task: amountText.nullable().meta({ description: 'ledger.max_per_task' }),
    per_day: amountText.nullable().meta({ description: 'ledger.max_per_day' }),
    spent_today: amountText.meta({ description: 'Locked and sent since 0:00 UTC, less what came back' }),
  }),
  note: z.string().nullable().meta({ description: 'What safety rests on, or why payments wait' }),
});

export const historyReply = z.object({
  entries: z.array(
    z.object({
      index: z.int(),
      kind: z.string(),
      change: amountText,
      counterpart: z.string().nullable(),
      task_id: z.string().nullable(),
      escrow_id: z.string().nullable(),
      slot: z.string(),
    }),
  ),
  next: z.int().nullable().meta({ description: 'Give it as `before` for the next page' }),
});

const shareSums = z.object({
  tasks: z.int(),
  cpu_seconds: z.number(),
  wall_seconds: z.number(),
  amount: amountText.meta({ description: 'Earned after the fee, or paid' }),
});

export const sharesReply = z.object({
  shares: z.array(
    z.object({
      peer_id: peerText,
      lent: shareSums.meta({ description: 'What this node ran for the peer' }),
      used: shareSums.meta({ description: 'What the peer ran for this node' }),
      since: isoTime,
      last_at: isoTime,
    }),
  ),
  total: z.object({ lent: shareSums, used: shareSums }),
});

export const certificateReply = z.object({
  slot: z.string(),
  certificate: z.string().meta({ description: 'Signed by a quorum of the notaries' }),
  statement: z.string().meta({ description: 'What it decides, signed by its owner' }),
});

export const sendBodySchema = z.strictObject({
  to: peerSchema.meta({ description: 'The peer id of the account' }),
  amount: amountInput.refine(amount => amount > 0n, 'must be more than 0'),
  again: z
    .boolean()
    .default(false)
    .meta({ description: 'Send the same amount to the same peer within ten minutes, without a key' }),
});

export const sendReply = z.object({
  status: z.enum(['sent', 'pending']),
  to: peerText,
  amount: amountText,
  currency: z.enum(['FLOP', 'credits']),
  slot: z.string().nullable().meta({ description: 'The decided slot' }),
});

export type WalletReply = z.output<typeof walletReply>;
export type SendReply = z.output<typeof sendReply>;
