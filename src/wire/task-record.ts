import * as z from 'zod';
import { findingSchema } from './arbitration.ts';
import { refusalSchema } from './bid.ts';
import { decidedSchema } from './certificate.ts';
import { MICROS } from './experience-record.ts';
import { defineMessage } from './message.ts';
import { MAX_ARBITERS, OFFER_BYTES } from './offer.ts';
import { relativePathSchema } from './path.ts';
import {
  amountSchema,
  bytesSchema,
  cidSchema,
  countSchema,
  durationSchema,
  hashSchema,
  hexHashSchema,
  listedPeerSchema,
  peerSchema,
  timeSchema,
} from './primitives.ts';
import { errorClassSchema } from './task-message.ts';
import { boundInputSchema, MAX_INPUTS, MAX_MEMBERS, MAX_SPEC_BYTES } from './task-spec.ts';

/** Of one array: what one requester may have under way at all, and a list that a person can still look at. */
export const MAX_ELEMENTS = 10_000;
/** First run and retries of an element whose own code fails; `retry` adds one each time. */
export const MAX_ELEMENT_RUNS = 100;

/** A task goes through these in order, to one of the last three. */
export const taskStateSchema = z.enum([
  'pending',
  'scheduled',
  'running',
  'verifying',
  'paying',
  'completed',
  'failed',
  'cancelled',
]);
export type TaskState = z.output<typeof taskStateSchema>;

/** What the user sees inside a state. */
export const taskPhaseSchema = z.enum([
  'queued',
  'offering',
  'awarding',
  'pulling',
  'staging',
  'executing',
  'collecting',
  'verifying',
  'settling',
  'done',
]);
export type TaskPhase = z.output<typeof taskPhaseSchema>;

export const taskFailureSchema = z.strictObject({
  class: errorClassSchema,
  code: z.string().max(60),
  message: z.string().max(2000),
});
export type TaskFailure = z.output<typeof taskFailureSchema>;

/** Tasks that one may come after. */
export const MAX_AFTER = 64;

/** How the requester's node handles a task; only what is in the offer leaves it. */
export const taskPolicySchema = z.strictObject({
  name: z.string().max(200),
  type: z.string().max(200),
  /** The most for one execution; 0: unpaid. */
  payment: amountSchema,
  /** The most for all executions together. */
  maxTotal: amountSchema,
  priority: z.int().min(1).max(10),
  verification: z.enum(['none', 'check']),
  /** JSON Schema for stdout, as JSON text. */
  resultSchema: z.string().max(65_536).nullable(),
  /** Executions beyond the first. */
  retries: countSchema.max(100),
  deadline: timeSchema,
  avoidSelf: z.boolean(),
  avoidPeers: z.array(peerSchema).max(64),
  /** Empty: any peer. */
  requirePeers: z.array(peerSchema).max(64),
  labels: z.record(z.string().max(63), z.string().max(255)),
  /** May run twice: a silent worker's attempt gets a second one beside it. */
  idempotent: z.boolean().default(false),
  /** It starts when all of these have a good result. */
  after: z.array(cidSchema).max(MAX_AFTER).default([]),
  /** False: a verified task waits in *paying* for accept or dispute. */
  automaticPayment: z.boolean(),
  /** Who may judge a dispute; records of earlier versions name none. */
  arbiters: z.array(peerSchema).max(MAX_ARBITERS).default([]),
});
export type TaskPolicy = z.output<typeof taskPolicySchema>;

/** A score is no money and no claim: kept as text, since records hold no floats. */
const bidRecordSchema = z.strictObject({
  worker: peerSchema,
  ask: amountSchema.nullable(),
  etaMs: countSchema.nullable(),
  score: z.string().max(30).nullable(),
  refusal: refusalSchema.nullable(),
  /** What the score was made of beside the ask; null without one, and in records of earlier versions. */
  facts: z
    .strictObject({
      queueMs: durationSchema,
      bytesMissing: countSchema,
      expectedMs: countSchema,
      successMicros: countSchema.max(MICROS),
      secondValue: amountSchema,
      isDoubtful: z.boolean().default(false),
    })
    .nullable()
    .default(null),
});

/** How the money of one attempt stands. */
export const moneyStateSchema = z.enum(['none', 'locking', 'locked', 'released', 'split', 'refunded']);

/** The escrow of one attempt as it was last seen, for its owner to look at. */
const escrowRecordSchema = z.strictObject({
  state: z.enum(['open', 'claimed', 'disputed', 'paid', 'split', 'refunded']),
  claimBy: timeSchema,
  disputeBy: timeSchema,
  verdictBy: timeSchema,
  /** Those that were drawn to judge. */
  arbiters: z.array(peerSchema).max(16),
  /** The kind of the evidence that closed it; null while it is open. */
  closedBy: z.string().max(30).nullable(),
  /** Of the arbiters, in their words. */
  finding: findingSchema.nullable(),
});
export type EscrowRecord = z.output<typeof escrowRecordSchema>;

const attemptSchema = z.strictObject({
  attempt: countSchema,
  worker: peerSchema.nullable(),
  price: amountSchema.nullable(),
  offer: bytesSchema(OFFER_BYTES),
  award: bytesSchema(2048).nullable(),
  acceptance: bytesSchema(2048).nullable(),
  awardedAt: timeSchema.nullable(),
  startedAt: timeSchema.nullable(),
  endedAt: timeSchema.nullable(),
  /** In the order in which they were tried, then the refusals. */
  bids: z.array(bidRecordSchema).max(64),
  /** Who was waited for and did not answer. */
  silent: z.array(listedPeerSchema).max(64).default([]),
  failure: taskFailureSchema.nullable(),
  money: moneyStateSchema,
  escrowId: hexHashSchema.nullable(),
  lock: decidedSchema.nullable(),
  /** Signed, and waiting to be decided: it closes the escrow. */
  evidence: bytesSchema(4096).nullable(),
  close: decidedSchema.nullable(),
  pay: amountSchema,
  fee: amountSchema,
  /** Null without a lock, and in records of earlier versions. */
  escrow: escrowRecordSchema.nullable().default(null),
});
export type AttemptRecord = z.output<typeof attemptSchema>;

/** How each element of a bundle came out: the bytes of `outcomes`. */
export const OUTCOME = { notRun: 0, completed: 1, failed: 2 } as const;

/** What makes a task a bundle: the array that it is of, its elements, and what became of each (null: nothing yet). */
const bundleSchema = z.strictObject({
  array: cidSchema,
  elements: z.array(countSchema.max(MAX_ELEMENTS)).min(1).max(MAX_MEMBERS),
  outcomes: bytesSchema(MAX_MEMBERS).nullable(),
});

/** What makes a task an array; it has no attempts of its own. */
const arraySchema = z.strictObject({
  total: countSchema.min(1).max(MAX_ELEMENTS),
  /** Runs that each element may fail in before it has failed. */
  runs: countSchema.min(1).max(MAX_ELEMENT_RUNS),
  completed: countSchema,
  failed: countSchema,
  /** For all bundles that have ended. */
  paid: amountSchema,
});

const resultSchema = z.strictObject({
  attempt: countSchema,
  worker: peerSchema,
  attestation: bytesSchema(4096),
  truncated: z.strictObject({ stdout: z.boolean(), stderr: z.boolean(), outputs: z.boolean() }),
  oomKilled: z.boolean(),
  outputs: z.array(z.strictObject({ path: relativePathSchema, size: countSchema, cid: cidSchema })).max(256),
  checks: z.array(z.string().max(60)).max(32),
  /** The bytes were removed after the retention time. */
  expired: z.boolean(),
});
export type ResultRecord = z.output<typeof resultSchema>;

/** One task on its requester's disk; what it executes is kept beside it, written once. */
export const taskRecordMessage = defineMessage(
  'task-record',
  2 * 1024 * 1024,
  z.strictObject({
    taskId: cidSchema,
    state: taskStateSchema,
    phase: taskPhaseSchema,
    waiting: z.string().max(60).nullable(),
    policy: taskPolicySchema,
    submittedAt: timeSchema,
    updatedAt: timeSchema,
    endedAt: timeSchema.nullable(),
    phases: z.partialRecord(taskPhaseSchema, timeSchema),
    attempts: z.array(attemptSchema).max(128),
    /** Never asked again for this task. */
    failedWorkers: z.array(peerSchema).max(128),
    /** Kept in the storage until the task has ended. */
    inputs: z.array(cidSchema).max(2 * MAX_INPUTS),
    /** What the spec's given inputs turned out to be; empty until then. */
    bound: z.array(boundInputSchema).max(MAX_INPUTS).default([]),
    failure: taskFailureSchema.nullable(),
    result: resultSchema.nullable(),
    accept: bytesSchema(1024).nullable(),
    hasReceipt: z.boolean(),
    bundle: bundleSchema.nullable().default(null),
    array: arraySchema.nullable().default(null),
  }),
  /** 128 attempts with 64 bids each, of our own writing. */
  { maxItems: 200_000 },
);
export type TaskRecord = ReturnType<typeof taskRecordMessage.decode>;

/** Names and values of a matrix together, as text. */
export const MAX_MATRIX_BYTES = 256 * 1024;
export const MAX_MATRIX_NAMES = 16;

/** `count`: elements 0 to count - 1. `matrix`: one for each combination of the values, the last name's changing fastest. */
export const elementsSchema = z.union([
  z.strictObject({ count: countSchema.min(1).max(MAX_ELEMENTS) }),
  z.strictObject({
    matrix: z
      .array(
        z.strictObject({
          name: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/),
          values: z.array(z.string().max(4096)).min(1).max(MAX_ELEMENTS),
        }),
      )
      .min(1)
      .max(MAX_MATRIX_NAMES),
  }),
]);
export type Elements = z.output<typeof elementsSchema>;

/** What a task executes, with the order and the salt that bind it. */
export const taskOrderMessage = defineMessage(
  'task-order',
  MAX_SPEC_BYTES + MAX_MATRIX_BYTES + 4096,
  z.strictObject({
    order: bytesSchema(1024),
    salt: hashSchema,
    spec: bytesSchema(MAX_SPEC_BYTES),
    /** Of an array: what its elements differ in. */
    elements: elementsSchema.optional(),
  }),
);
export type TaskOrder = ReturnType<typeof taskOrderMessage.decode>;

/** Which task an idempotency key stands for, and for what request. */
export const idempotencyMessage = defineMessage(
  'idempotency',
  512,
  z.strictObject({ taskId: cidSchema, request: hashSchema }),
);
