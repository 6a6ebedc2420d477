import { randomBytes } from 'node:crypto';
import { requireAmount } from '../../ledger/index.ts';
import { CodedError, hasCode } from '../../util/index.ts';
import { compileResultSchema } from '../../verification/index.ts';
import {
  encodeCbor,
  fetchedInputs,
  givenInputs,
  orderKind,
  saltedSpecHash,
  seal,
  sha256,
  type TaskOrder,
  type TaskRecord,
  type TaskSpec,
  taskIdOf,
  taskSpecMessage,
} from '../../wire/index.ts';
import { sizeOf } from '../elements.ts';
import type { TaskRequest } from '../interface.ts';
import { MAX_TIMEOUT_MS } from '../options.ts';
import type { RequesterComponents } from './interface.ts';
import type { LiveTask, TaskStore } from './task-store.ts';

export interface Submission {
  readonly task: LiveTask | null;
  readonly taskId: string;
}

export interface SubmitOptions {
  /** Idempotency key. */
  readonly key?: string | undefined;
  /** Of the order's hash of its spec: a fresh one, unless another order of the same spec is to be known by it. */
  readonly salt?: Uint8Array | undefined;
}

/** Takes tasks in; of two requests with one idempotency key at the same moment the second waits for the first. */
export class Submissions {
  readonly #components: RequesterComponents;
  readonly #store: TaskStore;
  /** By idempotency key, while it is being written. */
  readonly #busy = new Map<string, Promise<Submission>>();

  constructor(components: RequesterComponents, store: TaskStore) {
    this.#components = components;
    this.#store = store;
  }

  /**
   * Makes the order and writes the task before anything is sent. With an idempotency key the same request gives the same task.
   * @throws CodedError `TIMEOUT_TOO_LONG`, `AFTER_UNKNOWN`, `IDEMPOTENCY_CONFLICT`, `AMOUNT_SMALL`, `FUNDS_INSUFFICIENT`, `TASK_LIMIT`, `DAY_LIMIT`, `BLOB_NOT_FOUND`,
   * `QUEUE_FULL`, `SCHEMA_INVALID`.
   */
  async submit(request: TaskRequest, options: SubmitOptions): Promise<Submission> {
    const { key } = options;
    if (key === undefined) return submit(this.#components, this.#store, request, options);
    for (let other = this.#busy.get(key); other; other = this.#busy.get(key))
      await Promise.allSettled([other]);
    const own = submit(this.#components, this.#store, request, options).finally(() => this.#busy.delete(key));
    this.#busy.set(key, own);
    return own;
  }
}

async function submit(
  components: RequesterComponents,
  store: TaskStore,
  request: TaskRequest,
  { key: idempotencyKey, salt }: SubmitOptions,
): Promise<Submission> {
  const { idempotency } = components;
  const fingerprint = requestHash(request);
  const known = idempotencyKey === undefined ? undefined : await idempotency.get(idempotencyKey);
  if (known) {
    if (Buffer.compare(known.request, fingerprint) === 0) return { task: null, taskId: known.taskId };
    const facts = { code: 'IDEMPOTENCY_CONFLICT', taskId: known.taskId };
    throw new CodedError(facts, 'this Idempotency-Key was used for another task; choose a new key');
  }
  await requireTakeable(components, request);
  await requirePredecessors(store, request);
  const { order, taskId } = makeOrder(components, request, { key: idempotencyKey, salt });
  const record = newRecord(components, taskId, request);
  const ops =
    idempotencyKey === undefined ? [] : [idempotency.putOp(idempotencyKey, { taskId, request: fingerprint })];
  return { task: await store.create(record, order, ops), taskId };
}

/** @throws CodedError for a task that this node takes from nobody: see `Submissions`. */
export async function requireTakeable(components: RequesterComponents, request: TaskRequest): Promise<void> {
  if (request.policy.resultSchema !== null) compileResultSchema(request.policy.resultSchema);
  requireTimeout(request.spec);
  requireLimits(components, request);
  requireFunds(components, request);
  await requireInputs(components, request.spec);
}

function requireTimeout({ timeoutMs }: TaskSpec): void {
  if (timeoutMs <= MAX_TIMEOUT_MS) return;
  throw new CodedError(
    { code: 'TIMEOUT_TOO_LONG', timeoutMs, maxMs: MAX_TIMEOUT_MS },
    'timeout_seconds must be at most 604800 (7 days): split the task into shorter ones',
  );
}

/** Only tasks that are there already can be named, by ids that are made of what they are: none can come after itself, however far around. */
async function requirePredecessors(store: TaskStore, { spec, policy }: TaskRequest): Promise<void> {
  for (const taskId of policy.after)
    await store.get(taskId).catch(cause => {
      if (!hasCode(cause, 'TASK_NOT_FOUND')) throw cause;
      throw new CodedError(
        { code: 'AFTER_UNKNOWN', taskId },
        `after names ${taskId}, which is no task of this node`,
      );
    });
  const stray = givenInputs(spec).find(({ task }) => !policy.after.includes(task));
  if (stray)
    throw new CodedError(
      { code: 'AFTER_UNKNOWN', taskId: stray.task },
      'an input is of a task that after does not name',
    );
}

/** Inputs by content must be here before their task is; from now on they stay for it. */
async function requireInputs({ blobs }: RequesterComponents, spec: TaskSpec): Promise<void> {
  for (const { cid, size } of fetchedInputs(spec))
    if ((await blobs.touch(cid)) !== size)
      throw new CodedError(
        { code: 'BLOB_NOT_FOUND', cid },
        `this node’s storage has no blob ${cid} of ${size} bytes: upload it with PUT /blobs`,
      );
}

/** A task that nobody but strangers may run, for more than there is: better said now than waited for. */
function requireFunds({ settlement }: RequesterComponents, { policy, array }: TaskRequest): void {
  const { free, locked } = settlement.balance();
  const needed = paymentOf({ policy, array });
  if (needed === 0n || !policy.avoidSelf || free + locked >= needed) return;
  throw new CodedError(
    { code: 'FUNDS_INSUFFICIENT', needed, free },
    'the wallet holds less than payment_amount (for each element of an array): lower it, or get money from another member',
  );
}

/** What one execution of everything may cost. */
function paymentOf({ policy, array }: Pick<TaskRequest, 'policy' | 'array'>): bigint {
  return policy.payment * BigInt(array ? sizeOf(array.elements) : 1);
}

/** A task that no lock could pay, or that this node's owner has forbidden, is refused before anything is signed. */
function requireLimits({ genesis, settlement, options }: RequesterComponents, request: TaskRequest): void {
  const { policy } = request;
  if (policy.payment === 0n) return;
  requireAmount(policy.payment, genesis);
  const { maxPerTask } = options;
  if (maxPerTask !== null && policy.maxTotal > maxPerTask)
    throw new CodedError(
      { code: 'TASK_LIMIT', limit: maxPerTask, maxTotal: policy.maxTotal },
      'max_total is more than ledger.max_per_task lets one task of this node cost: lower it, or raise the limit',
    );
  const { perDay, today } = settlement.spending();
  const amount = paymentOf(request);
  if (perDay !== null && today + amount > perDay)
    throw new CodedError(
      { code: 'DAY_LIMIT', limit: perDay, spent: today, amount },
      'payment_amount is more than is left of ledger.max_per_day: wait until tomorrow (UTC), or raise the limit',
    );
}

/** The deadline moves with the clock: not part of what makes two requests the same. */
function requestHash({ spec, policy, array }: TaskRequest): Uint8Array {
  return sha256(encodeCbor([spec, { ...policy, deadline: 0 }, ...(array ? [array] : [])]));
}

/** A signed order, and the id that follows from it. */
export function makeOrder(
  { genesis, signer }: Pick<RequesterComponents, 'genesis' | 'signer'>,
  { spec, array }: Pick<TaskRequest, 'spec' | 'array'>,
  { key, salt = new Uint8Array(randomBytes(32)) }: SubmitOptions,
): { order: TaskOrder; taskId: string } {
  const nonce =
    key === undefined
      ? new Uint8Array(randomBytes(32))
      : sha256(Buffer.from(`dux-key ${signer.peer} ${key}`));
  const order = seal(
    orderKind,
    { net: genesis.net, requester: signer.peer, nonce, saltedSpecHash: saltedSpecHash(salt, spec) },
    signer,
  );
  const elements = array ? { elements: array.elements } : {};
  return {
    order: { order: order.bytes, salt, spec: taskSpecMessage.encode(spec), ...elements },
    taskId: taskIdOf(order),
  };
}

const NOTHING_DONE = { completed: 0, failed: 0, paid: 0n };

/** A task at its beginning. */
export function newRecord(
  { clock }: Pick<RequesterComponents, 'clock'>,
  taskId: string,
  { policy, spec, array }: TaskRequest,
): TaskRecord {
  const now = clock.now();
  return {
    taskId,
    state: 'pending',
    phase: 'queued',
    waiting: null,
    policy,
    submittedAt: now,
    updatedAt: now,
    endedAt: null,
    phases: { queued: now },
    attempts: [],
    failedWorkers: [],
    inputs: fetchedInputs(spec).map(({ cid }) => cid),
    bound: [],
    failure: null,
    result: null,
    accept: null,
    hasReceipt: false,
    bundle: null,
    array: array ? { ...NOTHING_DONE, total: sizeOf(array.elements), runs: 1 + array.retries } : null,
  };
}
