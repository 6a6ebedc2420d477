import { CodedError, codeOf, every, hasCode, messageOf, raceSignal } from '../../util/index.ts';
import {
  type BoundInput,
  givenInputs,
  MAX_INPUTS_BYTES,
  type TaskFailure,
  type TaskRecord,
} from '../../wire/index.ts';
import { LONGEST_SWEEP_MS } from '../options.ts';
import type { RequesterComponents } from './interface.ts';
import { hasEnded, isTaken, type LiveTask, type TaskStore } from './task-store.ts';

/** As much as a record holds. */
const MAX_MESSAGE = 2_000;
/** What a task waits for whose predecessors have not ended. */
const AFTER = 'predecessors';

/**
 * Waits until every task that this one comes after has a good result, and binds what they wrote to its inputs; a predecessor is done when its
 * result is, whose payment may still settle. What an earlier run of this node has bound stays. Resolves to why the task fails: `PREDECESSOR_FAILED`,
 * `OUTPUT_MISSING`, `RESULT_EXPIRED`, `INPUTS_TOO_LARGE`, `DEADLINE`; or to undefined when it may go on, or its own signal says that it ends.
 */
export async function failureBefore(
  components: RequesterComponents,
  store: TaskStore,
  task: LiveTask,
): Promise<TaskFailure | undefined> {
  const { policy, bound, phases } = task.record;
  const hasBegun = bound.length > 0 || phases.offering !== undefined || phases.executing !== undefined;
  if (policy.after.length === 0 || hasBegun) return undefined;
  try {
    await bindPredecessors(components, store, task);
    return undefined;
  } catch (error) {
    if (task.stop.signal.aborted) return undefined;
    const errorClass = hasCode(error, 'DEADLINE') ? 'network' : 'user';
    return { class: errorClass, code: codeOf(error), message: messageOf(error).slice(0, MAX_MESSAGE) };
  }
}

async function bindPredecessors(
  components: RequesterComponents,
  store: TaskStore,
  task: LiveTask,
): Promise<void> {
  const { taskId, policy } = task.record;
  const { clock } = components;
  await store.update(task, { waiting: AFTER });
  const enough = new AbortController();
  const look = () => {
    if (clock.now() < policy.deadline) return;
    enough.abort(new CodedError({ code: 'DEADLINE' }, 'the tasks before it were not done at its deadline'));
  };
  const stopLooking = every(clock, Math.min(policy.deadline - clock.now(), LONGEST_SWEEP_MS), look);
  const signal = AbortSignal.any([task.stop.signal, enough.signal]);
  try {
    const done = await Promise.all(policy.after.map(id => resultOf(store, id, signal)));
    const results = new Map(done.map(record => [record.taskId, record]));
    const bound: BoundInput[] = [];
    for (const { task: from, output } of givenInputs(await store.spec(taskId)))
      bound.push(await writtenBy(components, results.get(from), output));
    if (bound.reduce((sum, { size }) => sum + size, 0) > MAX_INPUTS_BYTES)
      throw new CodedError(
        { code: 'INPUTS_TOO_LARGE' },
        `the files of its predecessors have more than ${MAX_INPUTS_BYTES} bytes together`,
      );
    const cids = new Set([...task.record.inputs, ...bound.map(({ cid }) => cid)]);
    await store.update(task, { waiting: null, bound, inputs: [...cids] });
  } finally {
    stopLooking();
    enough.abort();
  }
}

async function resultOf(store: TaskStore, taskId: string, signal: AbortSignal): Promise<TaskRecord> {
  // an array has no result of its own
  const isDone = (record: TaskRecord) => (record.array ? hasEnded(record) : isTaken(record));
  for (let live = store.live.get(taskId); live && !isDone(live.record); )
    await raceSignal(live.changed.promise, signal);
  signal.throwIfAborted();
  const record = await store.get(taskId).catch(error => fail(taskId, messageOf(error)));
  const { state, failure, result, array } = record;
  if (failure || !(result || array) || state === 'cancelled')
    return fail(taskId, failure?.message ?? `it is ${state} without a result`);
  return record;
}

function fail(taskId: string, why: string): never {
  throw new CodedError(
    { code: 'PREDECESSOR_FAILED', taskId },
    `the task ${taskId}, which this one comes after, came to nothing: ${why}`,
  );
}

async function writtenBy(
  { blobs }: RequesterComponents,
  record: TaskRecord | undefined,
  path: string,
): Promise<BoundInput> {
  const file = record?.result?.outputs.find(output => output.path === path);
  if (!file)
    throw new CodedError({ code: 'OUTPUT_MISSING', path }, `its predecessor wrote no outputs/${path}`);
  const { cid, size } = file;
  if ((await blobs.touch(cid)) !== size)
    throw new CodedError(
      { code: 'RESULT_EXPIRED', cid },
      `its predecessor’s outputs/${path} was removed after the retention time`,
    );
  return { cid, size };
}
