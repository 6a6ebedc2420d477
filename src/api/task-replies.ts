import * as z from 'zod';
import { findingSchema, taskPhaseSchema, taskStateSchema } from '../wire/index.ts';
import { amountText, isoTime, peerText } from './fields.ts';

const status = taskStateSchema;
const phase = taskPhaseSchema;

export const failureReply = z.object({
  class: z.enum(['user', 'worker', 'network', 'funds']),
  code: z.string(),
  message: z.string(),
});

const escrowState = z.enum(['open', 'claimed', 'disputed', 'paid', 'split', 'refunded']);

const escrowReply = z.object({
  state: escrowState,
  claim_by: isoTime,
  dispute_by: isoTime,
  verdict_by: isoTime,
  arbiters: z.array(peerText).meta({ description: 'Drawn to judge a dispute' }),
  closed_by: z
    .string()
    .nullable()
    .meta({ description: 'accept, cancel, mutual, verdict, verified or timeout' }),
  finding: findingSchema.nullable().meta({ description: 'What the arbiters found of the result' }),
});

export const paymentReply = z.object({
  amount: amountText,
  fee: amountText,
  escrow_id: z.string().nullable(),
  state: z.enum(['none', 'locked', 'released', 'split', 'refunded']),
  escrow: escrowReply.nullable().meta({ description: 'Null where nothing was locked' }),
});

const arrayReply = z.object({
  total: z.int(),
  completed: z.int(),
  failed: z.int(),
  running: z.int().meta({ description: 'In bundles under way' }),
  waiting: z.int().meta({ description: 'Not in a bundle; after the end: never run' }),
  paid: amountText.meta({ description: 'For the bundles that have ended' }),
});

/** What every answer about a task says first. */
const head = {
  task_id: z.string(),
  service_name: z.string(),
  status,
  phase,
  progress: z.number().nullable().meta({ description: 'Per cent of the phase, where it knows' }),
  waiting: z.string().nullable().meta({ description: 'Why it waits, where it waits' }),
  worker: peerText.nullable(),
  attempts: z.int(),
  payment_amount: amountText,
  price: amountText.nullable().meta({ description: 'What the worker asked' }),
  submitted_at: isoTime,
  updated_at: isoTime,
  ended_at: isoTime.nullable(),
  error: failureReply.nullable(),
  array: arrayReply.nullable().meta({ description: 'Of an array: how many of its elements are how far' }),
};

export const taskSummaryReply = z.object({ ...head, labels: z.record(z.string(), z.string()) });

export const taskStatusReply = z.object({
  ...head,
  phases: z.partialRecord(phase, isoTime).meta({ description: 'When each phase was first entered' }),
  timings: z.object({
    total_ms: z.number(),
    to_award_ms: z.number().nullable(),
    executing_ms: z.number().nullable(),
  }),
  payment: paymentReply.nullable(),
});

const bidReply = z.object({
  worker: peerText,
  ask: amountText.nullable(),
  eta_ms: z.number().nullable().meta({ description: 'From the award to the result, as the worker says' }),
  score: z.number().nullable().meta({ description: 'What it costs altogether, in FLOP: less is better' }),
  parts: z
    .object({ ask: z.number(), queue: z.number(), transfer: z.number(), run: z.number(), risk: z.number() })
    .nullable()
    .meta({
      description: 'FLOP, together the score: the ask, and what time and a possible failure are worth',
    }),
  facts: z
    .object({
      starts_in_ms: z.number().meta({ description: 'The queue, and what has to be brought there' }),
      queue_ms: z.number(),
      bytes_missing: z.number(),
      expected_ms: z.number().meta({ description: 'Of the run, by what is known of this worker' }),
      success: z.number().meta({ description: 'At least to be expected, 0 to 1' }),
      doubtful: z.boolean().meta({
        description:
          'It has lately refused awards that it bid for, or failed, twice in a row: others go first',
      }),
    })
    .nullable()
    .meta({ description: 'What the parts were made of' }),
  refusal: z
    .object({ code: z.string(), reason: z.string(), permanent: z.boolean() })
    .nullable()
    .meta({ description: 'Beside a score: of the award' }),
});

export const quoteReply = z.object({
  would_bid: z.int(),
  nodes: z.array(bidReply).meta({ description: 'Bids from the best on, then refusals' }),
});

const attemptReply = z.object({
  attempt: z.int(),
  worker: peerText.nullable(),
  price: amountText.nullable(),
  awarded_at: isoTime.nullable(),
  started_at: isoTime.nullable(),
  ended_at: isoTime.nullable(),
  choice: z.enum(['only', 'best', 'equals', 'explore', 'next', 'first_free']).nullable().meta({
    description:
      'Why this worker: the only bid, the best, drawn among its equals, drawn among all, next after refusals, or the first of busy ones that had a slot',
  }),
  bids: z.array(bidReply).meta({ description: 'In the order in which they were tried, then refusals' }),
  silent: z.array(peerText).meta({ description: 'Who was waited for and did not answer' }),
  error: failureReply.nullable(),
  payment: paymentReply.nullable(),
});

export const taskReply = taskStatusReply.omit({ attempts: true }).extend({
  attempts: z.array(attemptReply),
  task_type: z.string(),
  max_total: amountText,
  priority: z.int(),
  retries: z.int(),
  deadline: isoTime,
  verification: z.enum(['none', 'check']),
  labels: z.record(z.string(), z.string()),
  avoid: z.array(z.string()),
  require: z.array(z.string()),
  arbiters: z.array(peerText),
  image: z.string(),
  code: z.string().nullable(),
  command: z.array(z.string()).nullable(),
  env: z.record(z.string(), z.string()),
  working_dir: z.string().nullable(),
  inputs: z
    .array(z.object({ target: z.string(), size: z.int().nullable(), cid: z.string().nullable() }))
    .meta({ description: 'The size of what another task has yet to write is null' }),
  outputs: z.array(z.string()),
  cpu_cores: z.number(),
  memory_mb: z.number(),
  disk_mb: z.number(),
  max_output_mb: z.number(),
  timeout_seconds: z.number(),
  runtime: z.string().nullable(),
  reuse: z.boolean(),
  idempotent: z.boolean(),
  after: z.array(z.string()),
  resumable: z.boolean(),
  network: z.union([z.literal('none'), z.object({ allow: z.array(z.string()) })]),
  gpus: z.object({ count: z.int(), vendor: z.string().nullable(), memory_mb: z.number() }).nullable(),
  has_receipt: z.boolean(),
  array_of: z.string().nullable().meta({ description: 'Of a bundle: the array whose elements it runs' }),
  elements: z.array(z.int()).nullable().meta({ description: 'Of a bundle: their indices' }),
});

export const elementReply = z.object({
  index: z.int(),
  status: z.enum(['waiting', 'running', 'completed', 'failed']),
  values: z.record(z.string(), z.string()).meta({ description: 'Of a matrix' }),
  failures: z.int().meta({ description: 'Runs that failed' }),
  bundle: z.string().nullable().meta({ description: 'The task that ran it last, or runs it' }),
});

export const outputReply = z.object({ path: z.string(), size: z.int(), cid: z.string() });

const attestationReply = z.object({
  worker: peerText,
  attempt: z.int(),
  runtime: z.string(),
  image_digest: z.string(),
  outcome: z.string(),
  exit_code: z.int(),
  stdout_cid: z.string(),
  stderr_cid: z.string(),
  output_cid: z.string(),
  escrow_id: z.string().nullable(),
  started_at: isoTime,
  ended_at: isoTime,
  envelope: z.base64().meta({ description: 'The signed statement as it travelled' }),
});

/** The result, or as much of it as a failed or cancelled task has. */
export const taskResultReply = z.object({
  task_id: z.string(),
  status,
  result: z.unknown().meta({ description: 'stdout parsed as JSON, where it is JSON' }),
  stdout: z.string().nullable(),
  stderr: z.string().nullable(),
  stdout_base64: z.base64().optional().meta({ description: 'Only where stdout is not UTF-8' }),
  stderr_base64: z.base64().optional().meta({ description: 'Only where stderr is not UTF-8' }),
  exit_code: z.int().nullable(),
  outcome: z.string().nullable(),
  oom_killed: z.boolean(),
  truncated: z.object({ stdout: z.boolean(), stderr: z.boolean(), outputs: z.boolean() }),
  outputs: z.array(outputReply),
  usage: z
    .object({
      cpu_ms: z.number(),
      peak_memory_bytes: z.number(),
      wall_ms: z.number(),
      input_bytes: z.number(),
      output_bytes: z.number(),
      stdout_bytes: z.number(),
      stderr_bytes: z.number(),
    })
    .nullable(),
  worker: peerText.nullable(),
  runtime: z.string().nullable(),
  image_digest: z.string().nullable(),
  attestation: attestationReply.nullable(),
  verification: z
    .object({ mode: z.enum(['none', 'check']), passed: z.boolean(), checks: z.array(z.string()) })
    .nullable(),
  payment: paymentReply.nullable(),
  error: failureReply.nullable(),
  waiting: z.string().nullable(),
  array: arrayReply
    .nullable()
    .meta({ description: 'Of an array, which has no output but that of its elements: ask for one by index' }),
  submitted_at: isoTime,
  ended_at: isoTime.nullable(),
});

export const logLine = z.object({
  stream: z.enum(['stdout', 'stderr']),
  offset: z.int().meta({ description: 'Of the first byte in its stream' }),
  size: z.int().meta({ description: 'Bytes' }),
  text: z.string(),
  base64: z.base64().optional().meta({ description: 'Only where the bytes are not whole UTF-8' }),
});

export const taskEventReply = z.object({
  task_id: z.string(),
  status,
  phase,
  worker: peerText.nullable(),
  escrow: escrowState.nullable().meta({ description: 'Of the last attempt' }),
  array: z
    .object({ total: z.int(), completed: z.int(), failed: z.int() })
    .nullable()
    .meta({ description: 'Of an array: its progress' }),
  array_of: z.string().nullable().meta({ description: 'Of a bundle: its array' }),
  at: isoTime,
});

export type TaskSummaryReply = z.output<typeof taskSummaryReply>;
export type TaskStatusReply = z.output<typeof taskStatusReply>;
export type TaskReply = z.output<typeof taskReply>;
export type BidReply = z.output<typeof bidReply>;
export type TaskResultReply = z.output<typeof taskResultReply>;
export type LogLine = z.output<typeof logLine>;
export type ElementReply = z.output<typeof elementReply>;
export type TaskEventReply = z.output<typeof taskEventReply>;
