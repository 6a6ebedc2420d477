import * as z from 'zod';
import { amountText, isoTime, peerText } from './fields.ts';

export const engineReply = z.object({
  status: z.enum(['running', 'draining']),
  active_tasks: z.int(),
  running_here: z.int(),
});

export const pruneReply = z.object({
  freed_bytes: z.int().meta({ description: 'Results and images together' }),
  results: z.object({
    removed: z.int(),
    forgotten_tasks: z.int(),
    freed_bytes: z.int(),
  }),
  images: z.array(
    z.object({
      name: z.string(),
      size_bytes: z.int().meta({ description: 'Layers that other images share are counted in, and stay' }),
    }),
  ),
  note: z.string().nullable().meta({ description: 'Why images could not be looked at' }),
});

export const statsReply = z.object({
  active_tasks: z.int(),
  pending_tasks: z.int(),
  completed_tasks: z.int(),
  failed_tasks: z.int(),
  cancelled_tasks: z.int(),
  scheduler_stats: z.object({
    success_rate: z.number().meta({ description: 'Completed of all ended, 0 to 1; 1 while none ended' }),
  }),
  worker_stats: z.object({
    status: z.enum(['running', 'draining']),
    running_tasks: z.int(),
    queued_tasks: z.int(),
    executed_tasks: z.int(),
    slots: z.int(),
    free_cpu_cores: z.number(),
    free_memory_mb: z.number(),
  }),
});

export const partReply = z.object({
  status: z.enum(['ok', 'degraded', 'down']),
  detail: z.string().nullable().meta({ description: 'What is missing and how to mend it' }),
});

export const healthReply = z.object({
  status: z.enum(['ok', 'degraded', 'down']),
  p2p: partReply,
  docker: partReply,
  db: partReply,
  ledger: partReply,
});

export const aliveReply = z.object({ status: z.enum(['ok', 'down']) });

export const nodeReply = z.object({
  peer_id: peerText,
  addresses: z.array(z.string()),
  network: z.string(),
  network_id: z.string(),
  membership: z.enum(['invited', 'open']),
  currency: z.enum(['FLOP', 'credits']),
  version: z.string(),
  started_at: isoTime,
  pid: z.int(),
  worker: z.object({
    enabled: z.boolean(),
    slots: z.int(),
    draining: z.boolean(),
  }),
  sandbox: z.object({
    runtime: z.string(),
    available: z.boolean(),
    version: z.string().nullable(),
    reason: z.string().nullable(),
  }),
  ledger: z.object({
    is_notary: z.boolean(),
    reachable: z.boolean(),
    member: z.boolean(),
    notaries: z.array(z.string()),
    note: z.string().nullable(),
  }),
  api: z.object({ url: z.string() }),
});

export const peerReply = z.object({
  peer_id: peerText,
  addresses: z.array(z.string()),
  direction: z.enum(['inbound', 'outbound']),
  rtt_ms: z.number().nullable(),
  agent: z.string().nullable(),
  connected_at: isoTime,
  score: z.number(),
});

export const receiptReportReply = z.object({
  valid: z.boolean(),
  error: z
    .object({ code: z.string(), message: z.string() })
    .nullable()
    .meta({ description: 'The first part that fails' }),
  receipt: z
    .object({
      task_id: z.string(),
      attempt: z.int(),
      network: z.string(),
      network_id: z.string(),
      requester: peerText,
      worker: peerText,
      outcome: z.string(),
      exit_code: z.int(),
      runtime: z.string(),
      image_digest: z.string(),
      verification: z.string().nullable(),
      settlement: z.enum(['unpaid', 'paid', 'split']),
      closed_by: z.string().nullable(),
      escrow_id: z.string().nullable(),
      price: amountText,
      paid: amountText.meta({ description: 'What the worker got, the fee included' }),
      fee: amountText,
      accepted_at: isoTime,
      started_at: isoTime,
      ended_at: isoTime,
    })
    .nullable()
    .meta({ description: 'What it proves' }),
});

export type PruneReply = z.output<typeof pruneReply>;
export type NodeReply = z.output<typeof nodeReply>;
export type StatsReply = z.output<typeof statsReply>;
export type HealthReply = z.output<typeof healthReply>;
export type ReceiptReportReply = z.output<typeof receiptReportReply>;
