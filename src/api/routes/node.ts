import * as z from 'zod';
import { flag } from '../fields.ts';
import {
  aliveReply,
  engineReply,
  healthReply,
  nodeReply,
  peerReply,
  pruneReply,
  receiptReportReply,
  statsReply,
} from '../node-replies.ts';
import { defineRoute, json } from '../route.ts';
import { RECEIPT_TYPE } from './results.ts';

const get = { access: 'local', method: 'GET' } as const;
const post = { access: 'local', method: 'POST' } as const;
const statusReply = z.object({ status: z.literal('stopping') });

export const nodeRoutes = {
  getStats: defineRoute({
    ...get,
    tag: 'engine',
    path: '/engine/stats',
    summary: 'Counts of this node’s tasks, and of its worker',
    responses: { 200: json(statsReply, 'The counts') },
  }),
  startEngine: defineRoute({
    ...post,
    tag: 'engine',
    path: '/engine/start',
    summary: 'Take and run work',
    responses: { 200: json(engineReply, 'It does') },
  }),
  stopEngine: defineRoute({
    ...post,
    tag: 'engine',
    path: '/engine/stop',
    summary: 'Drain: running tasks end, nothing new starts',
    responses: { 200: json(engineReply, 'It does') },
  }),
  pruneEngine: defineRoute({
    ...post,
    tag: 'engine',
    path: '/engine/prune',
    summary:
      'Free what old tasks and images hold; with all every image that this node pulled and nobody uses',
    query: z.strictObject({ all: flag }),
    responses: { 200: json(pruneReply, 'What was removed') },
  }),
  getHealth: defineRoute({
    ...get,
    tag: 'node',
    path: '/health',
    summary: 'How each part is',
    responses: {
      200: json(healthReply, 'The parts; degraded still serves'),
      503: json(healthReply, 'It cannot serve'),
    },
  }),
  getLive: defineRoute({
    ...get,
    tag: 'node',
    path: '/health/live',
    summary: 'The process answers',
    responses: { 200: json(aliveReply, 'It does') },
  }),
  getReady: defineRoute({
    ...get,
    tag: 'node',
    path: '/health/ready',
    summary: 'Whether it can take tasks from its user',
    responses: { 200: json(aliveReply, 'It can'), 503: json(aliveReply, 'It cannot') },
  }),
  getNode: defineRoute({
    ...get,
    tag: 'node',
    path: '/node',
    summary: 'Who this node is',
    responses: { 200: json(nodeReply, 'Identity, network, sandbox and ledger') },
  }),
  stopNode: defineRoute({
    ...post,
    access: 'token',
    tag: 'node',
    path: '/node/stop',
    summary: 'End the daemon cleanly',
    responses: { 202: json(statusReply, 'It ends') },
  }),
  listPeers: defineRoute({
    ...get,
    tag: 'node',
    path: '/peers',
    summary: 'Who is connected',
    responses: { 200: json(z.object({ peers: z.array(peerReply) }), 'The peers') },
  }),
  verifyReceipt: defineRoute({
    ...post,
    tag: 'receipts',
    path: '/receipts/verify',
    summary: 'Check a receipt, by itself alone',
    body: { kind: 'bytes', type: RECEIPT_TYPE },
    responses: { 200: json(receiptReportReply, 'Whether it holds, and what it proves') },
  }),
};
