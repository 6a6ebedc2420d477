import * as z from 'zod';
import { refusalSchema } from './bid.ts';
import { decidedSchema } from './certificate.ts';
import { defineMessage } from './message.ts';
import { OFFER_BYTES } from './offer.ts';
import { relativePathSchema } from './path.ts';
import { bytesSchema, cidSchema, countSchema, hashSchema, taskRef } from './primitives.ts';
import {
  boundInputSchema,
  MAX_INPUTS,
  MAX_INPUTS_BYTES,
  MAX_OUTPUT_BYTES,
  MAX_OUTPUT_FILES,
  MAX_SPEC_BYTES,
} from './task-spec.ts';

/** stdout and stderr that a result may carry each. */
export const MAX_STREAM_BYTES = 1024 * 1024;
/** A piece of a log: small enough that a heartbeat never waits long behind it. */
export const CHUNK_BYTES = 64 * 1024;
/** A piece of a file: larger, as there may be thousands of them. At 1 Mbit/s it takes two seconds, far less than a silence that counts. */
export const FILE_CHUNK_BYTES = 256 * 1024;

/**
 * Bytes of files on their way on one stream, each direction: enough for a line of 400 Mbit/s over 80 ms. A muxer's window does not bound
 * what a slow reader has waiting, so the receiver says what it has taken.
 */
export const FILE_WINDOW_BYTES = 4 * 2 ** 20;

/** The one limit of the task stream: the spec with its inputs is the largest message. */
export const MAX_TASK_MESSAGE = MAX_SPEC_BYTES + 64 * 1024;

export const errorClassSchema = z.enum(['user', 'worker', 'network', 'funds']);
/** Whose fault it is: a `user` error is never retried on other nodes. */
export type ErrorClass = z.output<typeof errorClassSchema>;

export const phaseSchema = z.enum(['queued', 'pulling', 'staging', 'executing', 'collecting']);
export type WorkerPhase = z.output<typeof phaseSchema>;

/** requester -> worker, on the task stream. */
export const requesterMessage = defineMessage(
  'task-requester',
  MAX_TASK_MESSAGE,
  z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('award'),
      award: bytesSchema(2048),
      offer: bytesSchema(OFFER_BYTES),
      order: bytesSchema(1024),
      salt: hashSchema,
      spec: bytesSchema(MAX_SPEC_BYTES),
      /** Refused unless a slot is free for it now; else it may wait in the worker's queue. */
      atOnce: z.boolean(),
      /** What the spec's given inputs are, where it has any. */
      bound: z.array(boundInputSchema).max(MAX_INPUTS).optional(),
    }),
    /** Takes up an accepted award on a new stream: the logs from these offsets, the files after so many, the next one from its offset. */
    z.strictObject({
      type: z.literal('attach'),
      ...taskRef,
      stdoutFrom: countSchema,
      stderrFrom: countSchema,
      filesDone: countSchema.max(MAX_OUTPUT_FILES),
      fileFrom: countSchema.max(MAX_OUTPUT_BYTES),
    }),
    /** A piece of an input that the worker needs. */
    z.strictObject({
      type: z.literal('input'),
      cid: cidSchema,
      offset: countSchema.max(MAX_INPUTS_BYTES),
      bytes: bytesSchema(FILE_CHUNK_BYTES),
    }),
    /** So many bytes of files of this stream are on the disk. */
    z.strictObject({ type: z.literal('taken'), bytes: countSchema }),
    /** The certified lock: without it a paid task does not start. */
    z.strictObject({ type: z.literal('locked'), lock: decidedSchema }),
    z.strictObject({ type: z.literal('cancel'), reason: z.string().max(300) }),
    /** The result is here and agreed to (or not); with what closed the escrow, where there is one. */
    z.strictObject({
      type: z.literal('settled'),
      accept: bytesSchema(1024).nullable(),
      close: decidedSchema.nullable(),
    }),
    z.strictObject({ type: z.literal('rejected'), code: z.string().max(60), reason: z.string().max(300) }),
    z.strictObject({ type: z.literal('heartbeat') }),
  ]),
);

export type RequesterMessage = ReturnType<typeof requesterMessage.decode>;

/** worker -> requester, on the task stream. */
export const workerMessage = defineMessage(
  'task-worker',
  MAX_TASK_MESSAGE,
  z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('accepted'), acceptance: bytesSchema(2048) }),
    z.strictObject({ type: z.literal('refused'), refusal: refusalSchema }),
    z.strictObject({ type: z.literal('unknown') }),
    z.strictObject({
      type: z.literal('phase'),
      phase: phaseSchema,
      progress: countSchema.max(100).nullable(),
    }),
    z.strictObject({
      type: z.literal('log'),
      stream: z.enum(['stdout', 'stderr']),
      offset: countSchema,
      bytes: bytesSchema(CHUNK_BYTES),
    }),
    /** Asks for an input that is not here, from this offset; the next one only when it is complete. */
    z.strictObject({ type: z.literal('need'), cid: cidSchema, offset: countSchema.max(MAX_INPUTS_BYTES) }),
    /** So many bytes of inputs of this stream are on the disk. */
    z.strictObject({ type: z.literal('taken'), bytes: countSchema }),
    /** A piece of a collected file, `size` that of all of it. Files come in the order of the list that is attested, and before the result. */
    z.strictObject({
      type: z.literal('file'),
      path: relativePathSchema,
      size: countSchema.max(MAX_OUTPUT_BYTES),
      offset: countSchema.max(MAX_OUTPUT_BYTES),
      bytes: bytesSchema(FILE_CHUNK_BYTES),
    }),
    z.strictObject({
      type: z.literal('result'),
      attestation: bytesSchema(4096),
      stdout: bytesSchema(MAX_STREAM_BYTES),
      stderr: bytesSchema(MAX_STREAM_BYTES),
      truncated: z.strictObject({ stdout: z.boolean(), stderr: z.boolean(), outputs: z.boolean() }),
      oomKilled: z.boolean(),
      /** The split that the worker agrees to, where the task's own code failed. */
      mutual: bytesSchema(1024).nullable(),
    }),
    /** The worker gives up; `evidence` gives the lock back (cancel) or splits it (mutual). */
    z.strictObject({
      type: z.literal('failed'),
      class: errorClassSchema,
      code: z.string().regex(/^[A-Z_]{2,40}$/),
      message: z.string().max(500),
      evidence: bytesSchema(1024).nullable(),
    }),
    z.strictObject({ type: z.literal('heartbeat') }),
  ]),
);

export type WorkerMessage = ReturnType<typeof workerMessage.decode>;

/** Either side asks the other after an absence. */
export const statusRequestMessage = defineMessage('status-request', 512, z.strictObject(taskRef));

/**
 * `unknown`: never heard of, or forgotten. `running`, `attested` and `settled`: as a worker has it. `wanted`: the requester still
 * waits for this attempt; `superseded`: it has gone on to a newer one, or has ended the task.
 */
export const statusAnswerMessage = defineMessage(
  'status-answer',
  512,
  z.strictObject({ state: z.enum(['unknown', 'running', 'attested', 'settled', 'wanted', 'superseded']) }),
);

export type StatusState = ReturnType<typeof statusAnswerMessage.decode>['state'];
