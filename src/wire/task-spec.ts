import * as z from 'zod';
import { encodeCbor } from './cbor.ts';
import { sha256 } from './hash.ts';
import { defineMessage } from './message.ts';
import { relativePathSchema } from './path.ts';
import { bytesSchema, countSchema } from './primitives.ts';
import { gpusSchema, hostPatternSchema, MAX_ALLOWED_HOSTS, runtimeSchema } from './sandbox-needs.ts';

/** Inline inputs of one task together; more needs storage by content id. */
export const MAX_INPUT_BYTES = 2 * 1024 * 1024;
export const MAX_SPEC_BYTES = MAX_INPUT_BYTES + 1024 * 1024;
/** More than any program's environment that was ever seen, and few enough for one message. */
const MAX_ENV = 1024;

const textWithoutNul = (max: number) =>
  z
    .string()
    .max(max)
    .refine(text => !text.includes('\0'), 'must not hold NUL');

/** What is executed: known to the requester and the worker alone, named elsewhere by its salted hash. */
export const taskSpecSchema = z.strictObject({
  program: z.union([
    z.strictObject({ code: textWithoutNul(512 * 1024).min(1) }),
    z.strictObject({
      argv: z
        .array(textWithoutNul(64 * 1024))
        .min(1)
        .max(256),
    }),
  ]),
  image: z.string().regex(/^[a-z0-9][a-zA-Z0-9._/:@-]{0,254}$/),
  env: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/), textWithoutNul(32 * 1024))
    .refine(env => Object.keys(env).length <= MAX_ENV, `more than ${MAX_ENV} variables`),
  workingDir: textWithoutNul(255).nullable(),
  inputs: z.array(z.strictObject({ path: relativePathSchema, bytes: bytesSchema(MAX_INPUT_BYTES) })).max(256),
  outputs: z.array(relativePathSchema).max(256),
  milliCpus: countSchema.min(10).max(1_024_000),
  memoryBytes: countSchema.min(16 * 2 ** 20).max(2 ** 44),
  diskBytes: countSchema.min(2 ** 20).max(2 ** 44),
  /** Counts *executing* alone. */
  timeoutMs: countSchema.min(1).max(30 * 86_400_000),
  /** Null: whatever the worker uses. */
  runtime: runtimeSchema.nullable(),
  /** The sandbox may have run tasks of the same requester and image before: faster, and less apart. */
  reuse: z.boolean(),
  /** Reached through the worker's filtering proxy; empty: no network at all. */
  allowHosts: z.array(hostPatternSchema).max(MAX_ALLOWED_HOSTS),
  gpus: gpusSchema.nullable(),
});

export type TaskSpec = z.output<typeof taskSpecSchema>;
export const taskSpecMessage = defineMessage('task-spec', MAX_SPEC_BYTES, taskSpecSchema);

/** What receipts and offers hold instead of the spec: H("dux-spec" || salt || dag-cbor(spec)). */
export function saltedSpecHash(salt: Uint8Array, spec: TaskSpec): Uint8Array {
  return sha256(Buffer.from('dux-spec'), salt, encodeCbor(spec));
}
