import { LRUCache } from 'lru-cache';
import { CodedError } from '../../util/index.ts';
import { MAX_ELEMENT_RUNS, type TaskRecord } from '../../wire/index.ts';
import { valuesOf } from '../elements.ts';
import type { ElementState, ElementView } from '../interface.ts';
import type { Answers } from './answers.ts';
import type { ArrayRunner } from './array-runner.ts';
import { type BundleRecord, isBundle, type LiveArray } from './live-array.ts';
import { hasEnded, LiveTask, type TaskStore } from './task-store.ts';

/** Arrays that have ended and were looked at a moment ago: some bytes for each element. */
const READ_ARRAYS = 8;

/** What an owner may ask and do of an array as a whole. */
export class Arrays {
  readonly #store: TaskStore;
  readonly #runner: ArrayRunner;
  readonly #ended = new LRUCache<string, LiveArray>({ max: READ_ARRAYS });

  constructor(store: TaskStore, runner: ArrayRunner) {
    this.#store = store;
    this.#runner = runner;
  }

  /** How many elements are under way. */
  running(taskId: string): number {
    return this.#runner.live(taskId)?.tally.counts.running ?? 0;
  }

  /** @throws CodedError `TASK_NOT_FOUND`, `TASK_NOT_ARRAY`, `ELEMENT_NOT_FOUND`. */
  async element(taskId: string, index: number): Promise<ElementView> {
    return elementView(await this.#array(taskId), index);
  }

  /** @throws CodedError `TASK_NOT_FOUND`, `TASK_NOT_ARRAY`. */
  async elements(
    taskId: string,
    {
      state,
      limit,
      cursor = 0,
    }: { state?: ElementState | undefined; limit: number; cursor?: number | undefined },
  ): Promise<{ elements: ElementView[]; cursor: number | null }> {
    const array = await this.#array(taskId);
    const total = array.task.record.array?.total ?? 0;
    const elements: ElementView[] = [];
    for (let index = cursor; index < total; index++) {
      if (state && array.tally.of(index).state !== state) continue;
      if (elements.length === limit) return { elements, cursor: index };
      elements.push(elementView(array, index));
    }
    return { elements, cursor: null };
  }

  /** The bundle with an element's newest result. @throws as `element`, and `RESULT_NOT_READY`. */
  async bundleOf(taskId: string, index: number): Promise<BundleRecord> {
    const { bundle } = await this.element(taskId, index);
    const record = bundle === null ? undefined : await this.#store.get(bundle);
    if (record && isBundle(record)) return record;
    throw new CodedError({ code: 'RESULT_NOT_READY', taskId, index }, `element ${index} has no result yet`);
  }

  /** Those bundles that wait for their owner's word get it. @throws CodedError `TASK_NOT_WAITING`, and those of `answer`. */
  async answer(taskId: string, answer: (bundle: string) => ReturnType<Answers['accept']>): Promise<void> {
    const waiting = this.#store
      .bundlesOf(taskId)
      .filter(id => this.#store.live.get(id)?.record.waiting === 'awaiting_accept');
    if (waiting.length === 0)
      throw new CodedError({ code: 'TASK_NOT_WAITING', taskId }, 'no result of the array waits for a word');
    await Promise.all(waiting.map(answer));
  }

  /**
   * Makes an array that has ended live again, for what failed or was never run: one run more for each, and as much time as it had.
   * @throws CodedError `TASK_NOT_FOUND`, `TASK_NOT_ARRAY`, `NOTHING_TO_RETRY`.
   */
  async retry(taskId: string, now: number): Promise<LiveTask> {
    // its end may be on its way to the disk
    await this.#store.live.get(taskId)?.written;
    const record = await this.#store.get(taskId);
    const { array, policy, submittedAt } = arrayOf(record);
    const isOver = hasEnded(record) && !this.#store.live.has(taskId);
    if (!isOver || array.completed === array.total || array.runs >= MAX_ELEMENT_RUNS)
      throw new CodedError(
        { code: 'NOTHING_TO_RETRY', taskId, state: record.state },
        isOver
          ? 'no element is left to run again, or they were run too often'
          : `the array is ${record.state}: wait for its end`,
      );
    this.#ended.delete(taskId);
    return this.#store.revive(record, {
      state: 'pending',
      phase: 'queued',
      waiting: null,
      failure: null,
      array: { ...array, runs: array.failed > 0 ? array.runs + 1 : array.runs, failed: 0 },
      policy: { ...policy, deadline: now + Math.max(0, policy.deadline - submittedAt) },
    });
  }

  async #array(taskId: string): Promise<LiveArray> {
    const record = arrayOf(await this.#store.get(taskId));
    const known = this.#runner.live(taskId) ?? this.#ended.get(taskId);
    if (known) return known;
    const array = await this.#runner.open(new LiveTask(record));
    await this.#runner.load(array);
    if (array.open.length === 0 && hasEnded(record)) this.#ended.set(taskId, array);
    return array;
  }
}

function arrayOf(record: TaskRecord) {
  const { array } = record;
  if (!array) throw new CodedError({ code: 'TASK_NOT_ARRAY', taskId: record.taskId }, 'the task is no array');
  return { ...record, array };
}

function elementView({ tally, elements, task }: LiveArray, index: number): ElementView {
  const total = task.record.array?.total ?? 0;
  if (index >= total)
    throw new CodedError(
      { code: 'ELEMENT_NOT_FOUND', index, total },
      `the array has the elements 0 to ${total - 1}`,
    );
  return { index, values: valuesOf(elements, index), ...tally.of(index) };
}
