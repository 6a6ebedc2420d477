import { availableParallelism, totalmem } from 'node:os';
import * as z from 'zod';
import { amountProblem, apiConfigSchema, parseAmount } from '../api/index.ts';
import { defaultWindows, MAX_SECOND_VALUE, MAX_TIMEOUT_MS, parseHours } from '../market/index.ts';
import { isImagePattern } from '../sandbox/index.ts';
import { hostPatternSchema, MAX_ARBITERS, peerSchema } from '../wire/index.ts';

/** An amount in FLOP: a decimal with at most 8 places. */
const flop = (initial: string) =>
  z
    .union([z.string(), z.number().transform(String)], { error: 'must be a decimal number of FLOP' })
    .superRefine((text, context) => {
      const problem = amountProblem(text);
      if (problem) context.addIssue({ code: 'custom', message: problem });
    })
    .transform(text => (amountProblem(text) ? 0n : parseAmount(text)))
    .prefault(initial);

const seconds = (initial: number, min: number, max: number) => z.number().min(min).max(max).default(initial);
const MIB = 2 ** 20;
const HOURS = 'must be like 22:00-06:00, sat,sun 00:00-24:00 or mon-fri 18:00-08:00';
const IMAGE_PATTERN = 'must be name:tag, name@sha256:…, name:* or prefix/*';

const engineSchema = z.strictObject({
  /** The worker's slots. */
  max_concurrent_tasks: z.int().min(1).max(1024).default(10),
  /** Between sweeps for what no event wakes. */
  scheduling_interval: seconds(5, 0.1, 3600),
  /** False: the user's checks of results are left out. */
  result_verification: z.boolean().default(true),
  /** False: a verified task waits for accept or dispute. */
  automatic_payments: z.boolean().default(true),
});

const sandboxSchema = z.strictObject({
  /** `container` is the same as `docker`. */
  runtime: z.enum(['docker', 'native', 'container']).default('docker'),
  memory_limit_mb: z.int().min(16).max(16_777_216).default(512),
  cpu_limit: z.number().min(0.01).max(1024).default(1),
  timeout_seconds: seconds(300, 0.1, MAX_TIMEOUT_MS / 1000),
  base_image: z
    .string()
    .regex(/^[a-z0-9][a-zA-Z0-9._/:@-]{0,254}$/, 'must be an image reference')
    .default('python:3.9-slim'),
  /** Sandboxes that wait for a task of these sizes. */
  ready: z.int().min(0).max(16).default(2),
});

const networkSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and dashes')
    .default('home'),
  membership: z.enum(['invited', 'open']).default('invited'),
  open_grant: flop('1000'),
  /** Of a network that this node founds: what its money is called. Credits have no price. */
  currency: z.enum(['FLOP', 'credits']).default('FLOP'),
  listen: z.array(z.string().startsWith('/')).min(1).max(16).default(['/ip4/0.0.0.0/tcp/0']),
  bootstrap: z.array(z.string().startsWith('/')).max(64).default([]),
});

const lentGpus = z.strictObject({
  count: z.int().min(1).max(64),
  vendor: z.enum(['nvidia', 'amd']),
  /** Of each. */
  memory_mb: z.int().min(1).max(16_777_216),
});

const workerSchema = z.strictObject({
  enabled: z.boolean().default(true),
  cpus: z.number().min(0.01).max(1024).default(availableParallelism()),
  memory_mb: z
    .int()
    .min(16)
    .default(() => Math.floor(totalmem() / 2 / MIB)),
  disk_mb: z.int().min(1).default(4096),
  /** Slots that others' tasks leave free for this node's own. */
  owner_slots: z.int().min(0).max(1024).default(0),
  /** When others' tasks are taken; null: at all times. */
  hours: z
    .array(z.string().refine(text => parseHours(text) !== undefined, HOURS))
    .min(1)
    .max(32)
    .nullable()
    .default(null),
  /** Load of a core, without that of tasks, above which no other's task is taken; null: load does not count. */
  pause_load: z.number().min(0.01).max(1000).nullable().default(null),
  /** Asked for one task; null: what is offered. */
  price: z.union([z.null(), flop('0')]).default(null),
  /** Null: any image. */
  /** `auto`: what is found at the start; null: none. */
  gpus: z.union([z.null(), z.literal('auto'), lentGpus]).default(null),
  /** Host patterns that tasks may be let to; `*` stands for each public one. */
  allowed_hosts: z
    .array(z.union([z.literal('*'), hostPatternSchema]))
    .max(256)
    .default([]),
  allowed_images: z
    .array(z.string().refine(isImagePattern, IMAGE_PATTERN))
    .max(1000)
    .nullable()
    .default(null),
  /** True: only images that are named by their digest. */
  require_digest: z.boolean().default(false),
  /** Images that this node pulled go when unused for this long, or when together they are more than this of the disk. */
  image_days: z.number().min(0.01).max(3650).default(14),
  image_disk_percent: z.number().min(0).max(100).default(10),
});

const marketSchema = z.strictObject({
  heartbeat_seconds: seconds(5, 0.1, 60),
  suspect_seconds: seconds(15, 0.2, 600),
  dead_seconds: seconds(30, 0.3, 3600),
  /** How long each part of a deal may take: in this node's offers, and what it accepts as a worker (of the margin: at least). */
  queue_seconds: seconds(defaultWindows.queueMs / 1000, 0.1, 86_400),
  pull_seconds: seconds(defaultWindows.pullMs / 1000, 0.1, 86_400),
  stage_seconds: seconds(defaultWindows.stageMs / 1000, 0.1, 86_400),
  collect_seconds: seconds(defaultWindows.collectMs / 1000, 0.1, 86_400),
  claim_margin_seconds: seconds(defaultWindows.marginMs / 1000, 0.1, 3600),
  dispute_seconds: seconds(defaultWindows.disputeMs / 1000, 0.1, 604_800),
  verdict_seconds: seconds(defaultWindows.verdictMs / 1000, 0.1, 604_800),
  /** What a second of waiting is worth to this node as a requester. */
  second_value: flop('0.001').refine(value => value <= MAX_SECOND_VALUE, 'must be at most 1000000'),
  /** Who may judge disputes over this node's tasks, and whom it lets judge its work beside the notaries. */
  arbiters: z.array(peerSchema).max(MAX_ARBITERS).default([]),
});

const ledgerSchema = z.strictObject({
  /** Of each payment, to the treasury; up to two places. */
  fee_percent: z.number().min(0).max(10).multipleOf(0.01).default(2),
  /** Of a network that this node founds: the least that a lock or a transfer moves. */
  min_amount: flop('0.0001'),
  /** Of a network that this node founds. */
  supply: flop('1000000'),
  /** Of a network that this node founds: its notaries beside this node, by peer id. Quorums of all of them decide. */
  notaries: z.array(peerSchema).max(6).default([]),
  /** Where this node is the admin’s, of an invited network: whether members that are here for long become notaries by themselves. */
  committee: z.enum(['auto', 'manual']).default('auto'),
  /** What one task of this node may hold and cost together, and what the node may spend in a day (UTC); null: no limit. */
  max_per_task: z.union([z.null(), flop('0')]).default(null),
  max_per_day: z.union([z.null(), flop('0')]).default(null),
  /** Where this node is a notary: operations of one account that it decides in a second; null: no limit. */
  account_rate: z.union([z.null(), z.int().min(1).max(100_000)]).default(100),
});

const storageSchema = z.strictObject({
  retention_days: z.number().min(0.01).max(3650).default(7),
  /** Results and outputs together. */
  max_mb: z.int().min(64).default(10_240),
});

const telemetrySchema = z.strictObject({
  log_level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  /** `auto`: pretty on a terminal, JSON otherwise. */
  log_format: z.enum(['auto', 'pretty', 'json']).default('auto'),
});

/** The one configuration: every room's settings, with their defaults. Keys as in config.yaml. */
export const configSchema = z
  .strictObject({
    engine: engineSchema.prefault({}),
    sandbox: sandboxSchema.prefault({}),
    api: apiConfigSchema.prefault({}),
    network: networkSchema.prefault({}),
    worker: workerSchema.prefault({}),
    market: marketSchema.prefault({}),
    ledger: ledgerSchema.prefault({}),
    storage: storageSchema.prefault({}),
    telemetry: telemetrySchema.prefault({}),
  })
  .superRefine(({ engine, worker }, context) => {
    if (worker.owner_slots >= engine.max_concurrent_tasks && worker.owner_slots > 0)
      context.addIssue({
        code: 'custom',
        path: ['worker', 'owner_slots'],
        message:
          'must be less than engine.max_concurrent_tasks: nothing is left for others (worker.enabled: false says so)',
      });
  });

export type Config = z.output<typeof configSchema>;
