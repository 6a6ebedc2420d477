import * as z from 'zod';
import { encodeCbor } from './cbor.ts';
import { sha256 } from './hash.ts';
import { defineMessage } from './message.ts';
import { relativePathSchema } from './path.ts';
import { bytesSchema, cidSchema, countSchema } from './primitives.ts';
import { gpusSchema, hostPatternSchema, MAX_ALLOWED_HOSTS, runtimeSchema } from './sandbox-needs.ts';

/** Inputs of one task that travel within its spec; others are named by their content and fetched. */
export const MAX_INPUT_BYTES = 2 * 1024 * 1024;
/** All inputs of one task together: what a worker of the usual storage can hold beside other tasks. */
export const MAX_INPUTS_BYTES = 4 * 2 ** 30;
/** All collected files of a result together, and how many. */
export const MAX_OUTPUT_BYTES = 2 ** 30;
export const MAX_OUTPUT_FILES = 256;
/** The files of a task that outlives its worker's daemon: the engine keeps them together with all that it says. */
export const MAX_RESUMABLE_OUTPUT_BYTES = 4 * 2 ** 20;
export const MAX_SPEC_BYTES = MAX_INPUT_BYTES + 1024 * 1024;
/** More than any program's environment that was ever seen, and few enough for one message. */
const MAX_ENV = 1024;

const textWithoutNul = (max: number) =>
  z
    .string()
    .max(max)
    .refine(text => !text.includes('\0'), 'must not hold NUL');

/** What another task of the same requester wrote: bound to its bytes when that task is done, and told to the winner beside the spec. */
const givenInputSchema = z.strictObject({
  path: relativePathSchema,
  task: cidSchema,
  output: relativePathSchema,
});

const taskInputSchema = z.union([
  z.strictObject({ path: relativePathSchema, bytes: bytesSchema(MAX_INPUT_BYTES) }),
  /** The worker fetches it from the requester, unless it has it. */
  z.strictObject({ path: relativePathSchema, cid: cidSchema, size: countSchema.max(MAX_INPUTS_BYTES) }),
  givenInputSchema,
]);

/** What a given input turned out to be. */
export const boundInputSchema = z.strictObject({ cid: cidSchema, size: countSchema.max(MAX_INPUTS_BYTES) });
export type BoundInput = z.output<typeof boundInputSchema>;
export const MAX_INPUTS = 256;

export type TaskInput = z.output<typeof taskInputSchema>;
/** An input that is named by its content. */
export type FetchedInput = Extract<TaskInput, { cid: string }>;

/** An input that is named by the task that writes it. */
export type GivenInput = z.output<typeof givenInputSchema>;

export function givenInputs({ inputs }: { readonly inputs: readonly TaskInput[] }): GivenInput[] {
  return inputs.filter((input): input is GivenInput => 'task' in input);
}

/** Each content once, however many places it goes to. */
export function fetchedInputs({ inputs }: { readonly inputs: readonly TaskInput[] }): FetchedInput[] {
  const fetched = inputs.filter((input): input is FetchedInput => 'cid' in input);
  return [...new Map(fetched.map(input => [input.cid, input])).values()];
}

/** What is to be fetched beside the spec. */
export function fetchedBytes(spec: { readonly inputs: readonly TaskInput[] }): number {
  return fetchedInputs(spec).reduce((sum, { size }) => sum + size, 0);
}

/** Runs that one spec may ask for: ten seconds of the shortest, at a hundred a second, and results that fit into one message. */
export const MAX_MEMBERS = 1000;
/** Of a spec's bytes, what the variables of its members may take. */
export const MEMBERS_BYTES = 512 * 1024;

const envSchema = z
  .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/), textWithoutNul(32 * 1024))
  .refine(env => Object.keys(env).length <= MAX_ENV, `more than ${MAX_ENV} variables`);

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
  env: envSchema,
  /**
   * A bundle: the program runs once for each of these, one run after another, with these variables beside `env`; timeout and memory are
   * each run's own. Absent: one run.
   */
  members: z.array(envSchema).min(1).max(MAX_MEMBERS).optional(),
  workingDir: textWithoutNul(255).nullable(),
  inputs: z
    .array(taskInputSchema)
    .max(MAX_INPUTS)
    .refine(inputs => fetchedBytes({ inputs }) <= MAX_INPUTS_BYTES, `more than ${MAX_INPUTS_BYTES} bytes`),
  outputs: z.array(relativePathSchema).max(256),
  milliCpus: countSchema.min(10).max(1_024_000),
  memoryBytes: countSchema.min(16 * 2 ** 20).max(2 ** 44),
  diskBytes: countSchema.min(2 ** 20).max(2 ** 44),
  /** All collected files together. */
  outputBytes: countSchema.max(MAX_OUTPUT_BYTES),
  /** Counts *executing* alone. */
  timeoutMs: countSchema.min(1).max(30 * 86_400_000),
  /** Null: whatever the worker uses. */
  runtime: runtimeSchema.nullable(),
  /** The sandbox may have run tasks of the same requester and image before: faster, and less apart. */
  reuse: z.boolean(),
  /** Where its worker's daemon ends and comes back, it goes on, if its sandbox can. */
  resumable: z.boolean(),
  /** Reached through the worker's filtering proxy; empty: no network at all. */
  allowHosts: z.array(hostPatternSchema).max(MAX_ALLOWED_HOSTS),
  gpus: gpusSchema.nullable(),
});

export type TaskSpec = z.output<typeof taskSpecSchema>;
/** All of whose inputs are known by their bytes. */
export type BoundSpec = Omit<TaskSpec, 'inputs'> & { inputs: Exclude<TaskInput, GivenInput>[] };

/** The spec with its given inputs as what they turned out to be, in their order; undefined where `bound` is not for this spec. */
export function bindInputs(spec: TaskSpec, bound: readonly BoundInput[]): BoundSpec | undefined {
  const rest = [...bound];
  const inputs = spec.inputs.flatMap(input => {
    if (!('task' in input)) return [input];
    const next = rest.shift();
    return next ? [{ path: input.path, ...next }] : [];
  });
  const fits = rest.length === 0 && inputs.length === spec.inputs.length;
  return fits && fetchedBytes({ inputs }) <= MAX_INPUTS_BYTES ? { ...spec, inputs } : undefined;
}

export const taskSpecMessage = defineMessage('task-spec', MAX_SPEC_BYTES, taskSpecSchema, {
  // names and values of the members' variables
  maxItems: 65_536,
});

/** What receipts and offers hold instead of the spec: H("dux-spec" || salt || dag-cbor(spec)). */
export function saltedSpecHash(salt: Uint8Array, spec: TaskSpec): Uint8Array {
  return sha256(Buffer.from('dux-spec'), salt, encodeCbor(spec));
}
