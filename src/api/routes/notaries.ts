import { notariesReply, notaryParams } from '../notary-replies.ts';
import { defineRoute, json } from '../route.ts';

const reply = { responses: { 200: json(notariesReply, 'Those of now') }, tag: 'node' } as const;
const change = { ...reply, access: 'token', path: '/notaries/{peer_id}', params: notaryParams } as const;

export const notaryRoutes = {
  listNotaries: defineRoute({
    ...reply,
    access: 'local',
    method: 'GET',
    path: '/notaries',
    summary: 'The nodes that decide on payments',
  }),
  addNotary: defineRoute({
    ...change,
    method: 'PUT',
    summary: 'Make a connected node a notary; on the admin’s node alone',
  }),
  removeNotary: defineRoute({
    ...change,
    method: 'DELETE',
    summary: 'Have a notary decide no more; on the admin’s node alone',
  }),
};
