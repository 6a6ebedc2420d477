import {
  type ElementView,
  type ResultView,
  runFailure,
  type TaskFailure,
  type TaskMarket,
  type TaskView,
} from '../../market/index.ts';
import { type Clock, deferred, hasCode } from '../../util/index.ts';
import { ApiError } from '../errors.ts';
import { reportReceipt } from '../receipt-report.ts';
import { attachment } from '../reply.ts';
import { logLineOf, resultOf } from '../result-view.ts';
import type { Frame } from '../route.ts';
import { RECEIPT_TYPE, type resultRoutes } from '../routes/results.ts';
import type { LogLine, TaskResultReply } from '../task-replies.ts';
import { statusOf } from '../task-views.ts';
import type { HandlerParts, Handlers } from './context.ts';

/** Most tasks are done within it; a client in a hurry uses `wait`. */
const RETRY_AFTER_SECONDS = '1';
const ENDED = new Set(['completed', 'failed', 'cancelled']);

/** A checked result is handed out at once: its payment settles behind the user's back. */
function isReady(task: TaskView): boolean {
  return ENDED.has(task.state) || task.state === 'paying';
}

/** What `look` sees as soon as that is ready, looking with each change of the task; what it sees after `ms` or when the signal aborts. */
async function waitUntilReady<T extends { readonly isReady: boolean }>(
  { market, clock }: { market: TaskMarket; clock: Clock },
  taskId: string,
  look: () => Promise<T>,
  ms: number,
  signal: AbortSignal,
): Promise<T> {
  const over = deferred<void>();
  let changed = deferred<void>();
  const off = market.onEvent(event => {
    if (event.taskId !== taskId) return;
    changed.resolve();
    changed = deferred<void>();
  });
  const cancel = clock.after(ms, () => over.resolve());
  const onAbort = () => over.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    let isOver = signal.aborted || ms <= 0;
    for (;;) {
      const change = changed.promise;
      const seen = await look();
      if (isOver || seen.isReady) return seen;
      await Promise.race([change, over.promise.then(() => (isOver = true))]);
    }
  } finally {
    off();
    cancel();
    signal.removeEventListener('abort', onAbort);
  }
}

/** A task that ended before it had a result has none; nor has an array as a whole. */
async function resultOrNull(market: TaskMarket, task: TaskView, index?: number): Promise<ResultView | null> {
  try {
    return await market.result(task.taskId, index);
  } catch (error) {
    const mayHaveNone = task.state !== 'completed' || task.array !== null;
    if (mayHaveNone && hasCode(error, 'RESULT_NOT_READY')) return null;
    throw error;
  }
}

const UNFIT: TaskFailure = {
  class: 'user',
  code: 'RESULT_UNFIT',
  message:
    'it ended well, but what it wrote is not what the task asks for: its result_schema, or a file of outputs',
};

/** One element as if it were a task of its own. */
async function elementResult(
  market: TaskMarket,
  task: TaskView,
  { index, state, bundle }: ElementView,
): Promise<TaskResultReply> {
  const result = await resultOrNull(market, task, index);
  const isOut = state === 'failed';
  const whole = isOut && !result && bundle !== null ? (await market.get(bundle)).failure : null;
  const failure = isOut ? ((result && runFailure(result)) ?? whole ?? UNFIT) : null;
  const isDone = state === 'completed' || isOut;
  // what never ran has ended as its array has
  const view = isDone ? { ...task, state, failure } : task;
  return resultOf({ ...view, payment: null, waiting: null, array: null }, result);
}

const LOG_EVENT_ID = /^(\d{1,15})-(\d{1,15})$/;

/** The ids of log events are the offsets that come next: `<stdout>-<stderr>`. */
async function* logFrames(
  { market }: HandlerParts,
  taskId: string,
  from: { stdout: number; stderr: number },
  { only, follow, signal }: { only: string | undefined; follow: boolean; signal: AbortSignal },
): AsyncGenerator<Frame<LogLine>> {
  const next = { ...from };
  const chunks = market.logs(taskId, {
    follow,
    stdoutFrom: from.stdout,
    stderrFrom: from.stderr,
    signal,
  });
  for await (const chunk of chunks) {
    next[chunk.stream] = chunk.offset + chunk.bytes.length;
    if (only !== undefined && chunk.stream !== only) continue;
    yield { id: `${next.stdout}-${next.stderr}`, event: 'log', data: logLineOf(chunk) };
  }
}

export function resultHandlers(parts: HandlerParts): Pick<Handlers, keyof typeof resultRoutes> {
  const { market, events } = parts;
  return {
    async getTaskResult({ params: { task_id: id }, query: { wait = 0, index } }, { signal }) {
      const look = async () => {
        const task = await market.get(id);
        const element = index === undefined ? null : await market.element(id, index);
        const isDone = element?.state === 'completed' || element?.state === 'failed';
        return { task, element, isReady: isDone || isReady(task) };
      };
      const seen = await waitUntilReady(parts, id, look, wait * 1000, signal);
      const { task, element } = seen;
      if (!seen.isReady)
        return { status: 202, headers: { 'retry-after': RETRY_AFTER_SECONDS }, body: statusOf(task) };
      if (element) return { status: 200, body: await elementResult(market, task, element) };
      return { status: 200, body: resultOf(task, await resultOrNull(market, task)) };
    },
    async getTaskLogs({ params, query, headers }, { signal }) {
      await market.get(params.task_id);
      const resumed = LOG_EVENT_ID.exec(headers['last-event-id'] ?? '');
      const from = {
        stdout: resumed ? Number(resumed[1]) : (query.stdout_from ?? 0),
        stderr: resumed ? Number(resumed[2]) : (query.stderr_from ?? 0),
      };
      const options = { only: query.stream, follow: query.follow, signal };
      return { status: 200, body: logFrames(parts, params.task_id, from, options) };
    },
    async getTaskOutput({ params, query: { index } }) {
      const { outputs } = await market.result(params.task_id, index);
      if (!outputs.some(output => output.path === params.path))
        throw new ApiError(
          { code: 'OUTPUT_NOT_FOUND', path: params.path },
          'the task left no such file in /task/outputs; its result lists those that are there',
        );
      const file = await market.output(params.task_id, params.path, index);
      return { status: 200, headers: { 'content-disposition': attachment(params.path) }, body: file };
    },
    async getTaskReceipt({ params, query }) {
      const { index } = query;
      const { bundle } = index === undefined ? { bundle: null } : await market.element(params.task_id, index);
      const task = await market.get(bundle ?? params.task_id);
      if (!task.hasReceipt)
        throw new ApiError(
          { code: 'RECEIPT_NOT_READY', taskId: task.taskId },
          'the task has no receipt (yet): one is made when a worker’s result was verified and settled',
        );
      const receipt = await market.receipt(task.taskId);
      if (query.format === 'binary')
        return { status: 200, headers: { 'content-type': RECEIPT_TYPE }, body: receipt };
      const report = Buffer.from(JSON.stringify(reportReceipt(receipt)));
      return { status: 200, headers: { 'content-type': 'application/json; charset=utf-8' }, body: report };
    },
    async streamEvents({ query, headers }, { signal }) {
      const follower = events.follow({ after: headers['last-event-id'], taskId: query.task_id }, { signal });
      return { status: 200, body: follower };
    },
  };
}
