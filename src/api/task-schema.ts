import * as z from 'zod';
import { MAX_TIMEOUT_MS } from '../market/index.ts';
import {
  cidSchema,
  hostPatternSchema,
  MAX_AFTER,
  MAX_ALLOWED_HOSTS,
  MAX_ARBITERS,
  MAX_ELEMENTS,
  MAX_INPUT_BYTES,
  MAX_OUTPUT_BYTES,
  peerSchema,
  relativePathSchema,
} from '../wire/index.ts';
import { amountInput } from './fields.ts';

const KIB = 1024;
const withoutNul = (max: number) =>
  z
    .string()
    .max(max)
    .refine(value => !value.includes('\0'), 'must not hold NUL');

/** `/task/inputs/a`, `/inputs/a` and `inputs/a` are one place: everything lands below /task. */
const taskPath = (below: string) =>
  z
    .string()
    .max(300)
    .transform(path => path.replace(/^\/task\//, '').replace(/^\//, ''))
    .transform(path => (path.startsWith(below) ? path.slice(below.length) : path))
    .pipe(relativePathSchema);

const commandLine = z.union(
  [
    withoutNul(64 * KIB).min(1),
    z
      .array(withoutNul(64 * KIB))
      .min(1)
      .max(256),
  ],
  { error: 'must be a text (run by sh -c) or a list of texts' },
);

const inputFile = z
  .strictObject({
    inline: z.string().max(MAX_INPUT_BYTES).optional().meta({ description: 'The content as text' }),
    base64: z
      .base64()
      .max(Math.ceil(MAX_INPUT_BYTES / 3) * 4)
      .optional(),
    cid: cidSchema.optional().meta({ description: 'Of bytes that were sent by PUT /blobs' }),
    task: cidSchema
      .optional()
      .meta({ description: 'The task that writes it, which this one then comes after' }),
    output: taskPath('outputs/').optional().meta({ description: 'What that task calls it, below outputs' }),
    target: taskPath('').meta({ description: 'Where it lands, below /task' }),
  })
  .refine(
    file =>
      [file?.inline, file?.base64, file?.cid, file?.task].filter(given => given !== undefined).length === 1,
    {
      message: 'must have one of inline, base64, cid and task',
    },
  )
  .refine(file => (file?.task === undefined) === (file?.output === undefined), {
    path: ['output'],
    message: 'goes with task, and task with it',
  });

const outputFile = z.union(
  [
    taskPath('outputs/'),
    z.strictObject({ name: z.string().min(1).max(128).optional(), path: taskPath('outputs/') }),
  ],
  { error: 'must be a path below /task/outputs, or {path} with an optional name' },
);

const peerOrSelf = z.union([z.literal('self'), peerSchema], { error: 'must be a peer id, or self' });

const deadline = z
  .union(
    [
      z
        .number()
        .positive()
        .max(60 * 86_400),
      z.iso.datetime({ offset: true }),
    ],
    {
      error: 'must be seconds from now (at most 60 days) or an ISO 8601 time',
    },
  )
  .meta({ description: 'When the task is of no use any more: seconds from now, or an ISO 8601 time' });

const networkAccess = z
  .union(
    [z.literal('none'), z.strictObject({ allow: z.array(hostPatternSchema).min(1).max(MAX_ALLOWED_HOSTS) })],
    {
      error: 'must be none, or {allow: [hosts]}',
    },
  )
  .meta({ description: 'Hosts that the task may reach through the worker’s proxy; none is the default' });

const name = withoutNul(128).min(1);

/** As text, since that is what a variable holds. */
const matrixValue = z
  .union([withoutNul(4096), z.number(), z.boolean()], { error: 'must be a text, a number, or true or false' })
  .transform(String);

const array = z
  .strictObject({
    count: z.int().min(1).max(MAX_ELEMENTS).optional().meta({ description: 'Elements 0 to count - 1' }),
    matrix: z
      .record(
        z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'must be a name of letters, digits and _'),
        z.array(matrixValue).min(1).max(MAX_ELEMENTS),
      )
      .optional()
      .meta({ description: 'Name to values: one element for each combination' }),
    retries: z
      .int()
      .min(0)
      .max(20)
      .optional()
      .meta({ description: 'Runs of an element beyond the first, where its own code fails' }),
  })
  .refine(given => (given?.count === undefined) !== (given?.matrix === undefined), {
    message: 'must have one of count and matrix',
  })
  .meta({ description: 'The same program once for each element, with DUX_ARRAY_INDEX in its environment' });

/** Asked of bodies of any form. */
function hasGiven({ inputs }: { readonly inputs?: unknown }): boolean {
  return Array.isArray(inputs) && inputs.some(input => input?.task !== undefined);
}

/** The body of POST /tasks/submit: the seed's fields, and what else a task may say. */
export const taskBodySchema = z
  .strictObject({
    service_name: name.optional(),
    task_type: name.optional(),
    code: withoutNul(512 * KIB)
      .refine(code => code.trim() !== '', 'must not be empty')
      .optional()
      .meta({ description: 'Python, run by the image’s interpreter' }),
    command: commandLine.optional(),
    entrypoint: commandLine.optional(),
    image: z
      .string()
      .regex(/^[a-z0-9][a-zA-Z0-9._/:@-]{0,254}$/, 'must be an image name such as python:3.9-slim')
      .optional(),
    env: z
      .record(
        z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'must be a name of letters, digits and _'),
        withoutNul(32 * KIB),
      )
      .optional(),
    working_dir: withoutNul(255).min(1).optional(),
    inputs: z.array(inputFile).max(256).optional(),
    outputs: z.array(outputFile).max(256).optional(),
    cpu_cores: z.number().min(0.01).max(1024).optional(),
    memory_mb: z.int().min(16).max(16_777_216).optional(),
    disk_mb: z.int().min(1).max(16_777_216).optional(),
    max_output_mb: z
      .int()
      .min(0)
      .max(MAX_OUTPUT_BYTES / 2 ** 20)
      .optional()
      .meta({ description: 'All collected files together' }),
    timeout_seconds: z
      .number()
      .min(0.001)
      .max(MAX_TIMEOUT_MS / 1000, 'must be at most 604800 (7 days): split the task into shorter ones')
      .optional()
      .meta({ description: 'Counts the execution alone' }),
    payment_amount: amountInput.optional(),
    max_total: amountInput.optional(),
    priority: z.int().min(1).max(10).optional(),
    retries: z.int().min(0).max(20).optional(),
    deadline: deadline.optional(),
    verification: z.enum(['none', 'check']).optional(),
    result_schema: z.record(z.string(), z.unknown()).optional(),
    avoid: z.array(peerOrSelf).max(64).optional(),
    require: z.array(peerOrSelf).max(64).optional(),
    arbiters: z
      .array(peerSchema)
      .max(MAX_ARBITERS)
      .optional()
      .meta({ description: 'Who may judge a dispute: for tasks that give the same output each time' }),
    idempotent: z.boolean().optional().meta({
      description:
        'May run twice: while its worker is silent another one runs it too, and the first result counts',
    }),
    array: array.optional(),
    runtime: z.enum(['docker', 'container', 'runsc', 'native']).optional(),
    reuse: z.boolean().optional().meta({
      description: 'May run in a sandbox that ran tasks of yours with the same image and limits before',
    }),
    resumable: z.boolean().optional().meta({
      description: 'Goes on where its worker’s daemon ends and comes back, if its sandbox can',
    }),
    network: networkAccess.optional(),
    gpus: z
      .strictObject({
        count: z.int().min(1).max(64).default(1),
        vendor: z.enum(['nvidia', 'amd']).optional(),
        memory_mb: z.int().min(1).max(16_777_216).optional(),
      })
      .optional(),
    after: z.array(cidSchema).max(MAX_AFTER).optional().meta({
      description:
        'Task ids of this node: it starts when all of them have a good result, and fails when one has none',
    }),
    labels: z.record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/), z.string().max(255)).optional(),
  })
  .refine(body => !(body?.code !== undefined && body?.command !== undefined), {
    path: ['code'],
    message: 'must not stand beside command: a task runs one of them',
    when: () => true,
  })
  .refine(body => !(body?.code !== undefined && body?.entrypoint !== undefined), {
    path: ['entrypoint'],
    message: 'goes with command, not with code',
    when: () => true,
  })
  .refine(
    body =>
      !(
        body?.arbiters?.length &&
        (body.reuse || body.array || typeof body.network === 'object' || hasGiven(body))
      ),
    {
      path: ['arbiters'],
      message:
        'must not stand beside reuse, array, network or inputs of other tasks: another run of such a task proves nothing',
      when: () => true,
    },
  )
  .refine(body => [body?.code, body?.command, body?.entrypoint].some(value => value !== undefined), {
    path: ['code'],
    message: 'is missing: give code (Python) or command',
    when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value),
  });

export type TaskBody = z.output<typeof taskBodySchema>;
