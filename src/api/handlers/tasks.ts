import { LRUCache } from 'lru-cache';
import type { TaskRequest } from '../../market/index.ts';
import { isRawCid } from '../../storage/index.ts';
import { hasCode } from '../../util/index.ts';
import { compileResultSchema } from '../../verification/index.ts';
import { ApiError, invalidRequest } from '../errors.ts';
import type { taskRoutes } from '../routes/tasks.ts';
import { cidsOfInputs, toTaskRequest } from '../task-body.ts';
import type { TaskBody } from '../task-schema.ts';
import { bidOf, elementOf, statusOf, summaryOf, taskOf } from '../task-views.ts';
import type { HandlerParts, Handlers } from './context.ts';

/** A page, unless the caller wants another size. */
const DEFAULT_LIMIT = 50;
/** Repetitions come within minutes; a forgotten key only counts a second time, and then only until it is known. */
const MAX_COUNTED_KEYS = 10_000;

/** A schema that cannot be compiled would fail the task after it ran. */
function checkResultSchema(schema: string | null): void {
  if (schema === null) return;
  try {
    compileResultSchema(schema);
  } catch (error) {
    if (!hasCode(error, 'SCHEMA_INVALID', 'SCHEMA_TOO_LARGE')) throw error;
    throw invalidRequest([{ field: 'result_schema', message: error.message }]);
  }
}

/** Of inputs that were uploaded before. @throws ApiError `BLOB_NOT_FOUND`. */
async function sizesOf({ blobs }: HandlerParts, cids: readonly string[]): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const cid of cids) {
    const size = isRawCid(cid) ? await blobs.sizeOf(cid) : undefined;
    if (size === undefined)
      throw new ApiError(
        { code: 'BLOB_NOT_FOUND', cid },
        `this node has no blob ${cid}: send it by PUT /blobs`,
      );
    sizes.set(cid, size);
  }
  return sizes;
}

function labelOf(text: string | undefined): readonly [string, string] | undefined {
  if (text === undefined) return undefined;
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}

export function taskHandlers(parts: HandlerParts): Pick<Handlers, keyof typeof taskRoutes> {
  const { market, clock, options, spendingCap } = parts;
  /** Idempotency keys whose task's money is counted: a repetition spends nothing. */
  const countedKeys = new LRUCache<string, true>({ max: MAX_COUNTED_KEYS });
  const requestOf = async (body: TaskBody, now: number): Promise<TaskRequest> => {
    const sizes = await sizesOf(parts, cidsOfInputs(body));
    const request = toTaskRequest(body, options.taskDefaults, now, sizes);
    checkResultSchema(request.policy.resultSchema);
    return request;
  };
  return {
    async submitTask({ body, headers }, { tokenless }) {
      const now = clock.now();
      const request = await requestOf(body, now);
      const idempotencyKey = headers['idempotency-key'];
      const counted = !tokenless || countedKeys.has(idempotencyKey ?? '');
      const giveBack = await spendingCap.reserve(counted ? 0n : request.policy.maxTotal);
      try {
        const task = await market.submit(request, { idempotencyKey });
        // A key of an earlier run of this node: its money was counted then.
        if (task.submittedAt < now) await giveBack();
        if (idempotencyKey !== undefined) countedKeys.set(idempotencyKey, true);
        return { status: 202, headers: { location: `/tasks/${task.taskId}` }, body: statusOf(task) };
      } catch (error) {
        await giveBack();
        throw error;
      }
    },
    async quoteTask({ body }, { signal }) {
      const nodes = (await market.quote(await requestOf(body, clock.now()), { signal })).map(bidOf);
      const bids = nodes.filter(({ refusal }) => refusal === null);
      return { status: 200, body: { would_bid: bids.length, nodes } };
    },
    async listTasks({ query: { status, label, limit = DEFAULT_LIMIT, cursor } }) {
      const page = await market.list({ state: status, label: labelOf(label), limit, cursor });
      return { status: 200, body: { tasks: page.tasks.map(summaryOf), cursor: page.cursor } };
    },
    async getTask({ params }) {
      return { status: 200, body: taskOf(await market.get(params.task_id)) };
    },
    async getTaskStatus({ params }) {
      return { status: 200, body: statusOf(await market.get(params.task_id)) };
    },
    async listElements({ params, query: { status, limit = DEFAULT_LIMIT, cursor } }) {
      const page = await market.elements(params.task_id, { state: status, limit, cursor });
      const next = page.cursor === null ? null : String(page.cursor);
      return { status: 200, body: { elements: page.elements.map(elementOf), cursor: next } };
    },
    async retryTask({ params }) {
      return { status: 200, body: statusOf(await market.retry(params.task_id)) };
    },
    async cancelTask({ params }) {
      return { status: 200, body: statusOf(await market.cancel(params.task_id)) };
    },
    async acceptTask({ params }) {
      return { status: 200, body: statusOf(await market.accept(params.task_id)) };
    },
    async disputeTask({ params, body }) {
      return { status: 200, body: statusOf(await market.dispute(params.task_id, body.reason)) };
    },
  };
}
