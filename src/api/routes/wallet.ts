import * as z from 'zod';
import { queryInt } from '../fields.ts';
import { defineRoute, json } from '../route.ts';
import { historyReply, sendBodySchema, sendReply, walletReply } from '../wallet-replies.ts';
import { idempotencyHeaders } from './tasks.ts';

const get = { access: 'local', method: 'GET' } as const;

export const walletRoutes = {
  getWallet: defineRoute({
    ...get,
    tag: 'money',
    path: '/wallet',
    summary: 'What this node’s account holds',
    responses: { 200: json(walletReply, 'Decimal FLOP') },
  }),
  getWalletHistory: defineRoute({
    ...get,
    tag: 'money',
    path: '/wallet/history',
    summary: 'The account’s trail, newest first',
    query: z.strictObject({
      limit: queryInt(1, 500).optional(),
      before: queryInt(0, Number.MAX_SAFE_INTEGER).optional(),
    }),
    responses: { 200: json(historyReply, 'A page') },
  }),
  sendMoney: defineRoute({
    access: 'token',
    method: 'POST',
    tag: 'money',
    path: '/wallet/send',
    summary: 'Send money to another account; with an Idempotency-Key once for each key',
    headers: idempotencyHeaders,
    body: { kind: 'json', schema: sendBodySchema },
    responses: {
      200: json(sendReply, 'It is certified'),
      202: json(sendReply, 'It is signed, and goes through when a notary answers'),
    },
  }),
};
