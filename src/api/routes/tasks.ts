import * as z from 'zod';
import { taskStateSchema } from '../../wire/index.ts';
import { elementIndex, queryInt, taskParams } from '../fields.ts';
import { defineRoute, json } from '../route.ts';
import { elementReply, quoteReply, taskReply, taskStatusReply, taskSummaryReply } from '../task-replies.ts';
import { taskBodySchema } from '../task-schema.ts';

const common = { tag: 'tasks', access: 'local' } as const;

export const idempotencyHeaders = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/, 'must be 1 to 128 visible characters')
    .optional(),
});

export const taskRoutes = {
  submitTask: defineRoute({
    ...common,
    method: 'POST',
    path: '/tasks/submit',
    summary: 'Submit a task',
    headers: idempotencyHeaders,
    body: { kind: 'json', schema: taskBodySchema },
    responses: { 202: json(taskStatusReply, 'Taken; Location names the task') },
  }),
  quoteTask: defineRoute({
    ...common,
    method: 'POST',
    path: '/tasks/quote',
    summary: 'What each connected node would do with a task; costs nothing and submits nothing',
    body: { kind: 'json', schema: taskBodySchema },
    responses: { 200: json(quoteReply, 'Who would run it, for what, and when; why each other would not') },
  }),
  listTasks: defineRoute({
    ...common,
    method: 'GET',
    path: '/tasks',
    summary: 'List tasks, newest first',
    query: z.strictObject({
      status: taskStateSchema.optional(),
      label: z
        .string()
        .regex(/^[^=]{1,63}=.{0,256}$/, 'must be name=value')
        .optional(),
      limit: queryInt(1, 200).optional(),
      cursor: z.string().max(200).optional(),
    }),
    responses: {
      200: json(
        z.object({ tasks: z.array(taskSummaryReply), cursor: z.string().nullable() }),
        'A page; cursor names the next one',
      ),
    },
  }),
  getTask: defineRoute({
    ...common,
    method: 'GET',
    path: '/tasks/{task_id}',
    summary: 'Everything known of a task, with every attempt and bid',
    params: taskParams,
    responses: { 200: json(taskReply, 'The task') },
  }),
  getTaskStatus: defineRoute({
    ...common,
    method: 'GET',
    path: '/tasks/{task_id}/status',
    summary: 'How far a task is',
    params: taskParams,
    responses: { 200: json(taskStatusReply, 'Status, phase, worker, timings and price') },
  }),
  listElements: defineRoute({
    ...common,
    method: 'GET',
    path: '/tasks/{task_id}/elements',
    summary: 'The elements of an array, in the order of their indices',
    params: taskParams,
    query: z.strictObject({
      status: elementReply.shape.status.optional(),
      limit: queryInt(1, 1000).optional(),
      cursor: elementIndex,
    }),
    responses: {
      200: json(
        z.object({ elements: z.array(elementReply), cursor: z.string().nullable() }),
        'A page; cursor names the next one',
      ),
    },
  }),
  retryTask: defineRoute({
    ...common,
    method: 'POST',
    path: '/tasks/{task_id}/retry',
    summary: 'Run again what of an array has failed, or was never run',
    params: taskParams,
    responses: { 200: json(taskStatusReply, 'The new state') },
  }),
  cancelTask: defineRoute({
    ...common,
    method: 'DELETE',
    path: '/tasks/{task_id}',
    summary: 'Cancel a task; its escrow is refunded',
    params: taskParams,
    responses: { 200: json(taskStatusReply, 'The new state') },
  }),
  acceptTask: defineRoute({
    ...common,
    method: 'POST',
    path: '/tasks/{task_id}/accept',
    summary: 'Release the payment of a verified task that waits for it',
    params: taskParams,
    responses: { 200: json(taskStatusReply, 'The new state') },
  }),
  disputeTask: defineRoute({
    ...common,
    method: 'POST',
    path: '/tasks/{task_id}/dispute',
    summary: 'Dispute a result whose payment waits',
    params: taskParams,
    body: { kind: 'json', schema: z.strictObject({ reason: z.string().min(1).max(300) }) },
    responses: { 200: json(taskStatusReply, 'The new state') },
  }),
};
