import { CodedError, codeOf, hasCode, messageOf, reasonOf, sleep, withDeadline } from '../../util/index.ts';
import type { TaskFailure, TaskRecord } from '../../wire/index.ts';
import { bundleSize, envOf } from '../elements.ts';
import { CANCEL_WAIT_MS, LONGEST_SWEEP_MS } from '../options.ts';
import type { RequesterComponents } from './interface.ts';
import { type BundleRecord, isBundle, LiveArray } from './live-array.ts';
import { failureBefore } from './predecessors.ts';
import { makeOrder, newRecord } from './submit.ts';
import { hasEnded, isOver, type LiveTask, type TaskStore } from './task-store.ts';

/** Bundles that nobody runs yet: one at the door and one behind it, so that no place waits and the others can still be sized better. */
const MOST_AHEAD = 2;
/** Bundles of one array at once: as many places as the largest of networks would give one requester. */
const MOST_OPEN = 512;
/** Indices that an error names. */
const MOST_NAMED = 20;

const FAILED = { state: 'failed', phase: 'done', waiting: null } as const;

/** Moves an array from where it stands to its end: it makes bundles, which are tasks like any other, and adds up what becomes of them. */
export class ArrayRunner {
  readonly #components: RequesterComponents;
  readonly #store: TaskStore;
  readonly #runTask: (task: LiveTask) => void;
  readonly #live = new Map<string, LiveArray>();

  constructor(components: RequesterComponents, store: TaskStore, runTask: (task: LiveTask) => void) {
    this.#components = components;
    this.#store = store;
    this.#runTask = runTask;
  }

  /** An array that has not ended, once its run has begun. */
  live(taskId: string): LiveArray | undefined {
    return this.#live.get(taskId);
  }

  /** Resolves when it has ended, or the node stops. */
  async run(task: LiveTask): Promise<void> {
    const { taskId } = task.record;
    const news = new Map<string, BundleRecord>();
    let array: LiveArray | undefined;
    let isLoaded = false;
    const off = this.#store.bus.on('task', event => {
      const record = event.array === taskId ? this.#store.live.get(event.taskId)?.record : undefined;
      if (!record || !isBundle(record)) return;
      if (isLoaded || array?.has(record.taskId)) array?.note(record);
      else news.set(record.taskId, record);
    });
    try {
      const failure = await failureBefore(this.#components, this.#store, task);
      if (failure) return await this.#store.update(task, { ...FAILED, failure });
      array = await this.open(task);
      await this.load(array, news);
      isLoaded = true;
      // what it failed by before its last retry is no reason now
      array.hopeless = null;
      this.#live.set(taskId, array);
      await this.#toTheEnd(array);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'STOPPING' || hasEnded(task.record)) return;
      this.#components.logger.error(
        { task: taskId, code, error: messageOf(error) },
        'an array failed unexpectedly',
      );
      const message = messageOf(error).slice(0, 2_000);
      await this.#store.update(task, { ...FAILED, failure: { class: 'network', code, message } });
    } finally {
      off();
      this.#live.delete(taskId);
    }
  }

  /** An array of which no bundle is noted yet. @throws CodedError `TASK_NOT_ARRAY`. */
  async open(task: LiveTask): Promise<LiveArray> {
    const { taskId } = task.record;
    const { elements } = await this.#store.order(taskId);
    if (!elements) throw new CodedError({ code: 'TASK_NOT_ARRAY', taskId }, 'the task is no array');
    return new LiveArray(task, await this.#store.spec(taskId), elements);
  }

  /** Notes all its bundles, the oldest first; `news`: what has changed of them since. One record at a time: they may be thousands. */
  async load(array: LiveArray, news?: ReadonlyMap<string, BundleRecord>): Promise<void> {
    for (const id of this.#store.bundlesOf(array.task.record.taskId)) {
      const record = await this.#store.get(id);
      const newest = news?.get(id) ?? record;
      if (isBundle(newest)) array.note(newest);
    }
  }

  async #toTheEnd(array: LiveArray): Promise<void> {
    const { task } = array;
    const { signal } = task.stop;
    while (!hasEnded(task.record)) {
      const news = array.changed.promise;
      if (signal.aborted) return this.#stopped(array);
      await this.#fill(array);
      await this.#tell(array);
      if (!hasEnded(task.record)) await this.#wait(news, signal);
    }
  }

  /** Until something has changed; and at times without, in case that there was no room for another bundle. */
  async #wait(news: Promise<void>, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const { clock } = this.#components;
    try {
      await Promise.race([
        news,
        sleep(LONGEST_SWEEP_MS, { clock, signal: AbortSignal.any([over.signal, signal]) }),
      ]);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      over.abort();
    }
  }

  /** Makes bundles as long as somebody may take them soon. */
  async #fill(array: LiveArray): Promise<void> {
    const { task, tally, mean } = array;
    const { payment, maxTotal } = task.record.policy;
    while (!array.hopeless && !task.stop.signal.aborted && array.ahead < MOST_AHEAD) {
      const open = array.open.length;
      const { waiting } = tally.counts;
      if (waiting === 0 || open >= MOST_OPEN) return;
      const left = maxTotal - array.held;
      const paidFor = payment === 0n ? waiting : Math.max(0, Number(left / payment));
      const size = bundleSize({
        waiting,
        meanMs: mean.ms,
        places: array.places,
        most: Math.min(array.mostMembers, paidFor),
      });
      if (size === 0 && open === 0) array.hopeless = spent;
      if (size === 0) return;
      if (!(await this.#start(array, tally.next(size), left))) return;
    }
  }

  /** One bundle more; false where no task has room here now. */
  async #start(array: LiveArray, indices: number[], left: bigint): Promise<boolean> {
    const { task, spec, elements, tally } = array;
    const { taskId, policy } = task.record;
    const members = indices.map(index => envOf(elements, index, tally.of(index).failures + 1));
    const payment = policy.payment * BigInt(indices.length);
    const maxTotal = 2n * payment < left ? 2n * payment : left;
    const request = {
      spec: { ...spec, members },
      policy: { ...policy, payment, maxTotal, labels: {}, arbiters: [], after: [] },
    };
    const { order, taskId: id } = makeOrder(this.#components, request, {});
    const bundle = { array: taskId, elements: indices, outcomes: null };
    try {
      const live = await this.#store.create(
        { ...newRecord(this.#components, id, request), bundle },
        order,
        [],
      );
      this.#runTask(live);
      return true;
    } catch (error) {
      if (!hasCode(error, 'QUEUE_FULL')) throw error;
      return false;
    }
  }

  /** Writes down how far it is, where that is news. */
  async #tell(array: LiveArray): Promise<void> {
    const { task, tally, hopeless, paid } = array;
    const { record } = task;
    const before = record.array as NonNullable<TaskRecord['array']>;
    const { completed, failed, running, waiting } = tally.counts;
    const isThrough = running === 0 && (waiting === 0 || hopeless !== null);
    const hasEndedAll = isThrough && array.open.length === 0;
    const failure = isThrough && completed < before.total ? this.#failureOf(array) : null;
    const change = {
      ...(hasEndedAll
        ? ({ state: failure ? 'failed' : 'completed', phase: 'done' } as const)
        : isThrough
          ? ({ state: 'paying', phase: 'settling' } as const)
          : ({ state: 'running', phase: 'executing' } as const)),
      waiting: hasEndedAll ? null : array.waiting,
      failure: hasEndedAll ? failure : null,
      array: { ...before, completed, failed, paid },
    };
    const isNews =
      change.state !== record.state ||
      change.waiting !== record.waiting ||
      completed !== before.completed ||
      failed !== before.failed ||
      paid !== before.paid;
    if (isNews) await this.#store.update(task, change);
  }

  #failureOf({ tally, hopeless, task }: LiveArray): TaskFailure {
    if (hopeless) return hopeless;
    const failed = tally.indices('failed');
    const named = failed.slice(0, MOST_NAMED).join(', ');
    const more = failed.length > MOST_NAMED ? ' …' : '';
    return {
      class: 'user',
      code: 'ELEMENTS_FAILED',
      message: `${failed.length} of ${task.record.array?.total} elements failed (${named}${more}): run them again with duxnode retry`,
    };
  }

  /** Cancelled by its owner: so are its bundles. Or the node stops, and leaves everything as it is. */
  async #stopped(array: LiveArray): Promise<void> {
    const { task } = array;
    const reason = reasonOf(task.stop.signal);
    if (!hasCode(reason, 'CANCELLED')) throw reason;
    for (const id of array.open) {
      const bundle = this.#store.live.get(id);
      if (bundle && !isOver(bundle.record)) bundle.stop.abort(reason);
    }
    const { clock, logger } = this.#components;
    const allEnded = async (signal: AbortSignal) => {
      while (array.open.length > 0 && !signal.aborted) await array.changed.promise;
    };
    try {
      // a worker's last word, and what is being paid
      await withDeadline(2 * CANCEL_WAIT_MS, 'the end of its bundles', allEnded, { clock });
    } catch (error) {
      logger.info(
        { task: task.record.taskId, error: messageOf(error) },
        'bundles of a cancelled array go on',
      );
    }
    const { completed, failed } = array.tally.counts;
    await this.#store.update(task, record => ({
      state: 'cancelled',
      phase: 'done',
      waiting: null,
      failure: { class: 'user', code: 'CANCELLED', message: reason.message },
      array: record.array && { ...record.array, completed, failed, paid: array.paid },
    }));
  }
}

const spent: TaskFailure = {
  class: 'funds',
  code: 'FUNDS_INSUFFICIENT',
  message: 'max_total is used up: raise it, and submit what is left again',
};
