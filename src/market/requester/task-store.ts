import { LRUCache } from 'lru-cache';
import type { BatchOp } from '../../db/index.ts';
import { type Bus, CodedError, createBus, type Deferred, deferred } from '../../util/index.ts';
import {
  type AttemptRecord,
  bindInputs,
  type TaskOrder,
  type TaskRecord,
  type TaskSpec,
  type TaskState,
  taskSpecMessage,
} from '../../wire/index.ts';
import type { TaskEvent } from '../interface.ts';
import { MAX_LIVE_TASKS } from '../options.ts';
import { TaskLog } from '../task-log.ts';
import type { RequesterComponents } from './interface.ts';

const ENDED: readonly TaskState[] = ['completed', 'failed', 'cancelled'];
/** Specs of up to 3 MiB each, of the tasks being worked on: bounded by their bytes. */
const SPEC_CACHE_BYTES = 32 * 2 ** 20;

/** Too late to cancel. */
export function isOver(record: Pick<TaskRecord, 'state'>): boolean {
  return hasEnded(record) || record.state === 'verifying' || record.state === 'paying';
}

export function hasEnded(record: Pick<TaskRecord, 'state'>): boolean {
  return ENDED.includes(record.state);
}

/** Whether it needs no further result: it has one that is being paid, or has ended. */
export function isTaken(record: Pick<TaskRecord, 'state'>): boolean {
  return record.state === 'paying' || hasEnded(record);
}

/** A task that has not ended, or whose money is still moving. */
export class LiveTask {
  record: TaskRecord;
  progress: number | null = null;
  readonly log = new TaskLog();
  /** Aborted by cancel, or when the node stops. */
  readonly stop = new AbortController();
  /** Settles with each change of the record. */
  changed: Deferred<void> = deferred();
  /** Settles when the newest change, and what was written beside it, is on disk. */
  written: Promise<void> = Promise.resolve();

  constructor(record: TaskRecord) {
    this.record = record;
  }
}

/** What changes a record: the whole new one, or what is new in it. */
export type Change = Partial<TaskRecord> | ((record: TaskRecord) => Partial<TaskRecord>);

/** Tasks on disk and, while they live, in memory; the one place where a task's record changes. */
export class TaskStore {
  readonly #components: Pick<RequesterComponents, 'db' | 'tasks' | 'orders' | 'clock' | 'metrics'>;
  readonly #live = new Map<string, LiveTask>();
  readonly #orders: LRUCache<string, TaskOrder>;
  readonly bus: Bus<{ task: TaskEvent }> = createBus();
  readonly counts = { completed: 0, failed: 0, cancelled: 0 };
  /** Every record here but those of bundles: what lists are made from. */
  readonly #index = new Map<string, number>();
  /** The bundles of each array, and when they were made. */
  readonly #bundles = new Map<string, Map<string, number>>();
  #seq = 0;

  constructor(components: RequesterComponents) {
    this.#components = components;
    this.#orders = new LRUCache({
      maxSize: SPEC_CACHE_BYTES,
      sizeCalculation: order => order.spec.length + 1024,
    });
  }

  get live(): ReadonlyMap<string, LiveTask> {
    return this.#live;
  }

  /** Loads what has not ended, or has money under way. */
  async start(): Promise<LiveTask[]> {
    for await (const [, record] of this.#components.tasks.iterate({ limit: Number.MAX_SAFE_INTEGER })) {
      this.#enlist(record);
      if (hasEnded(record) && !record.bundle) this.counts[record.state as keyof typeof this.counts]++;
      if (!hasEnded(record) || record.attempts.some(moneyMoves))
        this.#live.set(record.taskId, new LiveTask(record));
    }
    return [...this.#live.values()];
  }

  /** @throws CodedError `QUEUE_FULL`. */
  async create(record: TaskRecord, order: TaskOrder, ops: BatchOp[]): Promise<LiveTask> {
    if (this.#live.size >= MAX_LIVE_TASKS)
      throw new CodedError(
        { code: 'QUEUE_FULL', limit: MAX_LIVE_TASKS },
        'too many tasks are waiting here; try later',
      );
    const { db, tasks, orders } = this.#components;
    const task = new LiveTask(record);
    this.#live.set(record.taskId, task);
    this.#enlist(record);
    this.#orders.set(record.taskId, order);
    const writes = [tasks.putOp(record.taskId, record), orders.putOp(record.taskId, order), ...ops];
    try {
      await db.write(writes, { sync: true });
    } catch (error) {
      this.#live.delete(record.taskId);
      this.#strike(record);
      throw error;
    }
    this.#announce(task);
    return task;
  }

  /** One atomic write, with `ops` beside it; in force at once, on disk when the promise settles. */
  async update(task: LiveTask, change: Change, ops: BatchOp[] = [], { sync = false } = {}): Promise<void> {
    const { db, tasks, clock } = this.#components;
    const before = task.record;
    const fresh = typeof change === 'function' ? change(before) : change;
    const now = clock.now();
    const phase = fresh.phase ?? before.phase;
    const phases = before.phases[phase] === undefined ? { ...before.phases, [phase]: now } : before.phases;
    const ended = hasEnded({ ...before, ...fresh });
    task.record = {
      ...before,
      ...fresh,
      phases,
      updatedAt: now,
      endedAt: ended ? (before.endedAt ?? now) : null,
    };
    if (phase !== before.phase) task.progress = null;
    if (ended && !hasEnded(before)) this.#ended(task);
    this.#announce(task);
    const written = task.record;
    task.written = db.write([tasks.putOp(written.taskId, written), ...ops], { sync });
    await task.written;
    if (!ended || task.record.attempts.some(moneyMoves)) return;
    this.#live.delete(written.taskId);
    this.#orders.delete(written.taskId);
  }

  updateAttempt(
    task: LiveTask,
    attempt: number,
    change: Partial<AttemptRecord>,
    options?: { sync?: boolean },
  ): Promise<void> {
    return this.update(task, record => ({ attempts: changeAttempt(record, attempt, change) }), [], options);
  }

  /** All tasks, newest first, read as they are asked for. */
  async *newestFirst(after?: string): AsyncGenerator<TaskRecord> {
    const ids = [...this.#index]
      .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? 1 : -1))
      .map(([taskId]) => taskId);
    for (const taskId of ids.slice(after === undefined ? 0 : ids.indexOf(after) + 1)) {
      const record = this.#live.get(taskId)?.record ?? (await this.#components.tasks.get(taskId));
      if (record) yield record;
    }
  }

  /** Ids of an array's bundles, oldest first. */
  bundlesOf(arrayId: string): string[] {
    const bundles = [...(this.#bundles.get(arrayId) ?? [])];
    return bundles.sort((a, b) => a[1] - b[1]).map(([taskId]) => taskId);
  }

  /** Whether an array or a task that is no bundle is here. */
  has(taskId: string): boolean {
    return this.#index.has(taskId);
  }

  /** A task that had ended lives again. */
  async revive(ended: TaskRecord, change: Partial<TaskRecord>): Promise<LiveTask> {
    const task = new LiveTask(ended);
    this.#live.set(ended.taskId, task);
    this.counts[ended.state as keyof typeof this.counts]--;
    await this.update(task, change, [], { sync: true });
    return task;
  }

  #enlist({ taskId, submittedAt, bundle }: TaskRecord): void {
    if (!bundle) {
      this.#index.set(taskId, submittedAt);
      return;
    }
    const others = this.#bundles.get(bundle.array) ?? new Map<string, number>();
    this.#bundles.set(bundle.array, others.set(taskId, submittedAt));
  }

  #strike({ taskId, bundle }: TaskRecord): void {
    this.#index.delete(taskId);
    const others = bundle && this.#bundles.get(bundle.array);
    others?.delete(taskId);
    if (bundle && others?.size === 0) this.#bundles.delete(bundle.array);
  }

  forget(record: TaskRecord): BatchOp[] {
    const { taskId } = record;
    this.#strike(record);
    return [this.#components.tasks.delOp(taskId), this.#components.orders.delOp(taskId)];
  }

  /** What a running task shows between two records: not worth a write, and not always an event. */
  progress(task: LiveTask, progress: number | null, announced: boolean): void {
    task.progress = progress;
    if (announced) this.#announce(task);
  }

  /** @throws CodedError `TASK_NOT_FOUND`. */
  async get(taskId: string): Promise<TaskRecord> {
    const record = this.#live.get(taskId)?.record ?? (await this.#components.tasks.get(taskId));
    if (!record)
      throw new CodedError({ code: 'TASK_NOT_FOUND', taskId }, `there is no task ${taskId} on this node`);
    return record;
  }

  async order(taskId: string): Promise<TaskOrder> {
    const order = this.#orders.get(taskId) ?? (await this.#components.orders.get(taskId));
    if (!order)
      throw new CodedError({ code: 'TASK_NOT_FOUND', taskId }, `there is no task ${taskId} on this node`);
    if (this.#live.has(taskId)) this.#orders.set(taskId, order);
    return order;
  }

  /** With its given inputs bound, once they are. */
  async spec(taskId: string): Promise<TaskSpec> {
    const spec = taskSpecMessage.decode((await this.order(taskId)).spec);
    const { bound } = await this.get(taskId);
    return (bound.length > 0 && bindInputs(spec, bound)) || spec;
  }

  #ended(task: LiveTask): void {
    const { clock, metrics } = this.#components;
    const { state, submittedAt, bundle } = task.record;
    task.log.end();
    if (bundle) return;
    this.counts[state as keyof typeof this.counts]++;
    metrics.count('tasks_ended_total', { state });
    metrics.observe('task_seconds', (clock.now() - submittedAt) / 1000, { state });
  }

  #announce(task: LiveTask): void {
    const { taskId, state, phase, updatedAt, attempts, array: elements, bundle } = task.record;
    const last = attempts.at(-1);
    const worker = last?.worker ?? null;
    const escrow = last?.escrow?.state ?? null;
    const array = bundle?.array ?? null;
    const seq = ++this.#seq;
    this.bus.emit('task', { seq, at: updatedAt, taskId, state, phase, worker, escrow, elements, array });
    const { changed } = task;
    task.changed = deferred();
    changed.resolve();
  }
}

/** Whether all that went wrong with this worker went wrong on the way to it: it is asked again when there is no other. */
export function lostOnTheWay({ attempts }: Pick<TaskRecord, 'attempts'>, peer: string): boolean {
  return attempts.every(({ worker, failure }) => worker !== peer || !failure || failure.class === 'network');
}

/** Whether its worker may still bring a result that is taken. */
export function isLive({
  acceptance,
  failure,
  endedAt,
}: Pick<AttemptRecord, 'acceptance' | 'failure' | 'endedAt'>): boolean {
  return acceptance !== null && failure === null && endedAt === null;
}

/** Whether an attempt's escrow has yet to close. */
export function moneyMoves(attempt: Pick<AttemptRecord, 'money'>): boolean {
  return attempt.money === 'locking' || attempt.money === 'locked';
}

export function changeAttempt(
  record: TaskRecord,
  attempt: number,
  change: Partial<AttemptRecord>,
): AttemptRecord[] {
  return record.attempts.map(entry => (entry.attempt === attempt ? { ...entry, ...change } : entry));
}

export function attemptOf(record: TaskRecord, attempt: number): AttemptRecord {
  const entry = record.attempts.find(other => other.attempt === attempt);
  if (!entry)
    throw new CodedError({ code: 'ATTEMPT_UNKNOWN', attempt }, `${record.taskId} has no attempt ${attempt}`);
  return entry;
}
