import * as z from 'zod';
import { queryInt } from '../fields.ts';
import { defineRoute, file, json } from '../route.ts';
import { TRAIL_FORMATS } from '../trail-file.ts';
import {
  certificateReply,
  historyReply,
  sendBodySchema,
  sendReply,
  sharesReply,
  walletReply,
} from '../wallet-replies.ts';
import { idempotencyHeaders } from './tasks.ts';

const get = { access: 'local', method: 'GET' } as const;

export const walletRoutes = {
  getWallet: defineRoute({
    ...get,
    tag: 'money',
    path: '/wallet',
    summary: 'What this node’s account holds',
    responses: { 200: json(walletReply, 'Decimal amounts') },
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
  getShares: defineRoute({
    ...get,
    tag: 'money',
    path: '/wallet/shares',
    summary: 'Who lent to this node and who used it, and how much, by receipts',
    responses: { 200: json(sharesReply, 'Latest first') },
  }),
  getCertificate: defineRoute({
    ...get,
    tag: 'money',
    path: '/wallet/certificates/{slot*}',
    summary: 'The certificate behind a line of the history, and the statement that it decides',
    params: z.strictObject({ slot: z.string().min(1).max(200) }),
    responses: { 200: json(certificateReply, 'Both as base 64') },
  }),
  exportWallet: defineRoute({
    ...get,
    tag: 'money',
    path: '/wallet/export',
    summary: 'The account’s certificates from the beginning on, as a file that is checked offline',
    query: z.strictObject({ format: z.enum(TRAIL_FORMATS).optional() }),
    responses: { 200: file('application/json', 'The trail; `format=csv` for spreadsheets') },
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
