import { sizeOf, type TaskRequest } from '../market/index.ts';
import {
  type Elements,
  encodeCbor,
  fetchedBytes,
  MAX_AFTER,
  MAX_ELEMENTS,
  MAX_INPUT_BYTES,
  MAX_INPUTS_BYTES,
  MAX_MATRIX_BYTES,
  MAX_MATRIX_NAMES,
  MAX_OUTPUT_BYTES,
  MAX_RESUMABLE_OUTPUT_BYTES,
  MAX_SPEC_BYTES,
  MEMBERS_BYTES,
  type TaskInput,
} from '../wire/index.ts';
import { type FieldError, invalidRequest } from './errors.ts';
import { MAX_UNITS } from './money.ts';
import type { TaskBody } from './task-schema.ts';

/** What a task gets that does not say otherwise; from the configuration's engine and sandbox blocks. */
export interface TaskDefaults {
  readonly image: string;
  readonly cpuCores: number;
  readonly memoryMb: number;
  readonly timeoutSeconds: number;
  readonly verification: 'none' | 'check';
  readonly automaticPayment: boolean;
  /** The highest `max_total` of a task that names none; null: no limit. */
  readonly maxPerTask: bigint | null;
  /** Who may judge disputes over a task that names nobody. */
  readonly arbiters: readonly string[];
  /** This node's peer id: what `self` means. */
  readonly self: string;
}

const MIB = 2 ** 20;
/** The writable /task of the sandbox, megabytes, unless the task asks for more. */
export const DEFAULT_DISK_MB = 64;
/** The middle of 1 to 10. */
const DEFAULT_PRIORITY = 5;
/** Executions beyond the first: three machines may fail before the task does. */
const DEFAULT_RETRIES = 3;
/** How long a task may look for workers, on top of the time that its executions may take. */
const DEFAULT_SEARCH_SECONDS = 3600;
/** Far beyond the longest execution: a later deadline is a mistake in the year. */
const MAX_DEADLINE_MS = 60 * 86_400_000;

type Ruled = { readonly value: TaskRequest } | { readonly errors: readonly FieldError[] };

function argvOf(line: string | readonly string[] | undefined): string[] {
  if (line === undefined) return [];
  return typeof line === 'string' ? ['sh', '-c', line] : [...line];
}

type Sizes = ReadonlyMap<string, number>;

/** The CIDs that a body's inputs name. */
export function cidsOfInputs({ inputs = [] }: TaskBody): string[] {
  return inputs.flatMap(({ cid }) => cid ?? []);
}

function inputsOf(body: TaskBody, sizes: Sizes): TaskInput[] {
  return (body.inputs ?? []).map(({ inline, base64, cid, task, output, target }) => {
    if (task !== undefined && output !== undefined) return { path: target, task, output };
    if (cid !== undefined) return { path: target, cid, size: sizes.get(cid) ?? 0 };
    const bytes = base64 === undefined ? Buffer.from(inline ?? '', 'utf8') : Buffer.from(base64, 'base64');
    return { path: target, bytes: new Uint8Array(bytes) };
  });
}

function elementsOf({ count = 1, matrix }: NonNullable<TaskBody['array']>): Elements {
  if (!matrix) return { count };
  return { matrix: Object.entries(matrix).map(([name, values]) => ({ name, values })) };
}

/** Tasks in all; of combinations beyond any limit no more than are refused. */
function countOf(elements: Elements | undefined): number {
  return elements ? Math.min(sizeOf(elements), MAX_ELEMENTS + 1) : 1;
}

function outputBytesOf({ max_output_mb: mb, disk_mb = DEFAULT_DISK_MB, resumable }: TaskBody): number {
  if (mb !== undefined) return mb * MIB;
  return Math.min(resumable ? MAX_RESUMABLE_OUTPUT_BYTES : MAX_OUTPUT_BYTES, disk_mb * MIB);
}

function gpusOf({ gpus }: TaskBody): TaskRequest['spec']['gpus'] {
  if (!gpus) return null;
  return { count: gpus.count, vendor: gpus.vendor ?? null, memoryBytes: (gpus.memory_mb ?? 0) * MIB };
}

function specOf(body: TaskBody, defaults: TaskDefaults, sizes: Sizes): TaskRequest['spec'] {
  const outputs = (body.outputs ?? []).map(output => (typeof output === 'string' ? output : output.path));
  return {
    program:
      body.code !== undefined
        ? { code: body.code }
        : { argv: [...argvOf(body.entrypoint), ...argvOf(body.command)] },
    image: body.image ?? defaults.image,
    env: body.env ?? {},
    workingDir: body.working_dir ?? null,
    inputs: inputsOf(body, sizes),
    outputs,
    milliCpus: Math.round((body.cpu_cores ?? defaults.cpuCores) * 1000),
    memoryBytes: (body.memory_mb ?? defaults.memoryMb) * MIB,
    diskBytes: (body.disk_mb ?? DEFAULT_DISK_MB) * MIB,
    outputBytes: outputBytesOf(body),
    timeoutMs: Math.max(1, Math.round((body.timeout_seconds ?? defaults.timeoutSeconds) * 1000)),
    runtime: body.runtime === 'container' ? 'docker' : (body.runtime ?? null),
    // an array's elements are of one kind, and a fresh sandbox for each would take far longer than they do
    reuse: body.reuse ?? body.array !== undefined,
    resumable: body.resumable ?? false,
    allowHosts: typeof body.network === 'object' ? [...new Set(body.network.allow)] : [],
    gpus: gpusOf(body),
  };
}

/** A task comes after those whose files it takes, too. */
function afterOf(body: TaskBody): string[] {
  return [...new Set([...(body.after ?? []), ...givenTasks(body)])];
}

function givenTasks({ inputs = [] }: TaskBody): string[] {
  return inputs.flatMap(({ task }) => task ?? []);
}

function deadlineOf(body: TaskBody, timeoutMs: number, retries: number, now: number): number {
  if (typeof body.deadline === 'string') return Date.parse(body.deadline);
  if (body.deadline !== undefined) return now + Math.round(body.deadline * 1000);
  // how long those before it take is not known
  if (afterOf(body).length > 0) return now + MAX_DEADLINE_MS;
  return now + Math.min(MAX_DEADLINE_MS, DEFAULT_SEARCH_SECONDS * 1000 + timeoutMs * (retries + 1));
}

function policyOf(
  body: TaskBody,
  defaults: TaskDefaults,
  timeoutMs: number,
  now: number,
): TaskRequest['policy'] {
  const payment = body.payment_amount ?? 0n;
  const retries = body.retries ?? DEFAULT_RETRIES;
  const avoid = (body.avoid ?? []).map(peer => (peer === 'self' ? defaults.self : peer));
  const require = (body.require ?? []).map(peer => (peer === 'self' ? defaults.self : peer));
  const whole = payment * BigInt(countOf(body.array && elementsOf(body.array)));
  const twice = whole > MAX_UNITS / 2n ? MAX_UNITS : whole * 2n;
  const most = defaults.maxPerTask ?? MAX_UNITS;
  return {
    name: body.service_name ?? 'task',
    type: body.task_type ?? 'compute',
    payment,
    maxTotal: body.max_total ?? (whole > most || twice < most ? twice : most),
    priority: body.priority ?? DEFAULT_PRIORITY,
    verification: body.verification ?? defaults.verification,
    resultSchema: body.result_schema === undefined ? null : JSON.stringify(body.result_schema),
    retries,
    deadline: deadlineOf(body, timeoutMs, retries, now),
    avoidSelf: avoid.includes(defaults.self),
    avoidPeers: [...new Set(avoid.filter(peer => peer !== defaults.self))],
    requirePeers: [...new Set(require)],
    labels: body.labels ?? {},
    idempotent: body.idempotent ?? false,
    after: afterOf(body),
    automaticPayment: defaults.automaticPayment,
    // nobody judges in its own matter
    arbiters: [
      ...new Set(body.arbiters ?? (body.array || givenTasks(body).length > 0 ? [] : defaults.arbiters)),
    ].filter(peer => peer !== defaults.self),
  };
}

/** What no single field can say. */
function conflicts({ spec, policy, array }: TaskRequest, self: string, now: number): FieldError[] {
  const errors: FieldError[] = [];
  const { elements } = array ?? {};
  const count = countOf(elements);
  const maxSpecBytes = elements ? MAX_SPEC_BYTES - MEMBERS_BYTES : MAX_SPEC_BYTES;
  if (count > MAX_ELEMENTS)
    errors.push({ field: 'array.matrix', message: `must have at most ${MAX_ELEMENTS} combinations` });
  if (elements && encodeCbor(elements).length > MAX_MATRIX_BYTES)
    errors.push({ field: 'array.matrix', message: `must have at most ${MAX_MATRIX_BYTES} bytes together` });
  if (
    elements &&
    'matrix' in elements &&
    (elements.matrix.length < 1 || elements.matrix.length > MAX_MATRIX_NAMES)
  )
    errors.push({ field: 'array.matrix', message: `must have 1 to ${MAX_MATRIX_NAMES} names` });
  const inputBytes = spec.inputs.reduce((sum, input) => sum + ('bytes' in input ? input.bytes.length : 0), 0);
  if (inputBytes > MAX_INPUT_BYTES)
    errors.push({
      field: 'inputs',
      message: `must have at most ${MAX_INPUT_BYTES} bytes together, those by cid apart: send larger ones by PUT /blobs`,
    });
  else if (fetchedBytes(spec) > MAX_INPUTS_BYTES)
    errors.push({ field: 'inputs', message: `must have at most ${MAX_INPUTS_BYTES} bytes together` });
  else if (encodeCbor(spec).length > maxSpecBytes)
    errors.push({ field: '', message: `the task must have at most ${maxSpecBytes} bytes together` });
  if (spec.resumable && spec.outputBytes > MAX_RESUMABLE_OUTPUT_BYTES)
    errors.push({
      field: 'max_output_mb',
      message: `must be at most ${MAX_RESUMABLE_OUTPUT_BYTES / MIB} beside resumable: leave out one of them`,
    });
  if (spec.resumable && array)
    errors.push({ field: 'resumable', message: 'must not stand beside array: its elements are tried again' });
  if (new Set(spec.inputs.map(input => input.path)).size < spec.inputs.length)
    errors.push({ field: 'inputs', message: 'must not name one target twice' });
  if (policy.maxTotal < policy.payment * BigInt(count))
    errors.push({
      field: 'max_total',
      message: 'must not be below payment_amount, for each element of an array',
    });
  if (policy.after.length > MAX_AFTER)
    errors.push({
      field: 'after',
      message: `must name at most ${MAX_AFTER} tasks, those of inputs among them`,
    });
  if (policy.deadline <= now) errors.push({ field: 'deadline', message: 'must be in the future' });
  if (policy.deadline > now + MAX_DEADLINE_MS)
    errors.push({ field: 'deadline', message: 'must be within 60 days' });
  const isAvoided = (peer: string) => (peer === self ? policy.avoidSelf : policy.avoidPeers.includes(peer));
  const impossible = policy.requirePeers.length > 0 && policy.requirePeers.every(isAvoided);
  if (impossible) errors.push({ field: 'require', message: 'names only peers that avoid names too' });
  return errors;
}

/** A checked body as the market's request; `now` in wall-clock milliseconds, `sizes` of its inputs by CID. Pure. */
export function ruleTaskBody(
  body: TaskBody,
  defaults: TaskDefaults,
  now: number,
  sizes: Sizes = new Map(),
): Ruled {
  const spec = specOf(body, defaults, sizes);
  const { array } = body;
  const value = {
    spec,
    policy: policyOf(body, defaults, spec.timeoutMs, now),
    ...(array ? { array: { elements: elementsOf(array), retries: array.retries ?? 0 } } : {}),
  };
  const errors = conflicts(value, defaults.self, now);
  return errors.length > 0 ? { errors } : { value };
}

/** @throws ApiError `INVALID_REQUEST` with each field that is wrong. */
export function toTaskRequest(
  body: TaskBody,
  defaults: TaskDefaults,
  now: number,
  sizes: Sizes,
): TaskRequest {
  const ruled = ruleTaskBody(body, defaults, now, sizes);
  if ('errors' in ruled) throw invalidRequest(ruled.errors);
  return ruled.value;
}
