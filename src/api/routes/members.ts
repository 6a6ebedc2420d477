import * as z from 'zod';
import {
  inviteBodySchema,
  inviteReply,
  invitesReply,
  joinBodySchema,
  joinReply,
  membersReply,
  removedReply,
  revokedReply,
} from '../member-replies.ts';
import { defineRoute, json } from '../route.ts';

const common = { access: 'token', tag: 'members' } as const;
const idParams = z.strictObject({ id: z.string().min(1).max(100) });

export const memberRoutes = {
  createInvite: defineRoute({
    ...common,
    method: 'POST',
    path: '/invites',
    summary: 'Make an invite to the network, and set its grants aside; on the admin’s node',
    body: { kind: 'json', schema: inviteBodySchema },
    responses: { 201: json(inviteReply, 'The invite') },
  }),
  listInvites: defineRoute({
    ...common,
    method: 'GET',
    path: '/invites',
    summary: 'The invites that this node made and has not revoked',
    responses: { 200: json(invitesReply, 'Newest first') },
  }),
  revokeInvite: defineRoute({
    ...common,
    method: 'DELETE',
    path: '/invites/{id}',
    summary: 'End an invite, and take back what is left of it',
    params: idParams,
    responses: { 200: json(revokedReply, 'It admits nobody any more') },
  }),
  listMembers: defineRoute({
    ...common,
    method: 'GET',
    path: '/members',
    summary: 'Who is a member of the network, as the notaries certified it',
    responses: { 200: json(membersReply, 'The admin first') },
  }),
  removeMember: defineRoute({
    ...common,
    method: 'DELETE',
    path: '/members/{id}',
    summary: 'Make a guest of a member; on the admin’s node',
    params: idParams,
    responses: { 200: json(removedReply, 'No member any more') },
  }),
  joinNetwork: defineRoute({
    ...common,
    method: 'POST',
    path: '/network/join',
    summary: 'Redeem an invite to the network that this node is in',
    body: { kind: 'json', schema: joinBodySchema },
    responses: { 200: json(joinReply, 'This node is a member') },
  }),
};
