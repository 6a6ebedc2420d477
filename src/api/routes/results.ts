import * as z from 'zod';
import { elementIndex, flag, queryInt, taskParams } from '../fields.ts';
import { bytes, defineRoute, file, json, stream } from '../route.ts';
import { logLine, taskEventReply, taskResultReply, taskStatusReply } from '../task-replies.ts';

export const RECEIPT_TYPE = 'application/vnd.duxnode.receipt';
const common = { tag: 'tasks', access: 'local', method: 'GET' } as const;
const lastEventId = z.object({ 'last-event-id': z.string().max(100).optional() });

/** A client that waits longer asks again; proxies and load balancers cut at 60 s. */
export const MAX_WAIT_SECONDS = 60;

export const resultRoutes = {
  getTaskResult: defineRoute({
    ...common,
    path: '/tasks/{task_id}/result',
    summary:
      'The result, with index of one element of an array; with wait=N answers as soon as it is there, after N seconds at the latest',
    params: taskParams,
    query: z.strictObject({ wait: queryInt(0, MAX_WAIT_SECONDS).optional(), index: elementIndex }),
    responses: {
      200: json(taskResultReply, 'The task has ended (or waits for its payment)'),
      202: json(taskStatusReply, 'It still runs: ask again after Retry-After seconds'),
    },
  }),
  getTaskLogs: defineRoute({
    ...common,
    path: '/tasks/{task_id}/logs',
    summary: 'Output so far, and with follow what comes; NDJSON, or SSE when Accept is text/event-stream',
    params: taskParams,
    query: z.strictObject({
      follow: flag,
      stream: z.enum(['stdout', 'stderr']).optional(),
      stdout_from: queryInt(0, Number.MAX_SAFE_INTEGER).optional(),
      stderr_from: queryInt(0, Number.MAX_SAFE_INTEGER).optional(),
    }),
    headers: lastEventId,
    responses: { 200: stream(logLine, 'ndjson', 'Each stream is in order; the two are not with each other') },
  }),
  getTaskOutput: defineRoute({
    ...common,
    path: '/tasks/{task_id}/outputs/{path*}',
    summary: 'One file that the task left in /task/outputs',
    params: taskParams.extend({ path: z.string().min(1).max(255) }),
    query: z.strictObject({ index: elementIndex }),
    responses: { 200: file('application/octet-stream', 'The file, as a download') },
  }),
  getTaskReceipt: defineRoute({
    ...common,
    tag: 'receipts',
    path: '/tasks/{task_id}/receipt',
    summary:
      'The receipt, with index of the bundle that ran an element: proves the whole deal offline; with format=json what it proves, as JSON',
    params: taskParams,
    query: z.strictObject({ format: z.enum(['binary', 'json']).default('binary'), index: elementIndex }),
    responses: { 200: bytes(RECEIPT_TYPE, 'Canonical dag-cbor') },
  }),
  streamEvents: defineRoute({
    ...common,
    path: '/events',
    summary: 'Every change of a task’s state, as server-sent events; Last-Event-ID resumes',
    query: z.strictObject({ task_id: z.string().max(200).optional() }),
    headers: lastEventId,
    responses: { 200: stream(taskEventReply, 'sse', 'Events named `task`') },
  }),
};
