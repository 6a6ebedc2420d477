import { formatAmount } from '../money.ts';
import type { memberRoutes } from '../routes/members.ts';
import { iso } from '../task-views.ts';
import { type HandlerParts, type Handlers, withNotaries } from './context.ts';

const isOwn = (address: string) => /^\/ip4\/127\.|^\/ip6\/::1\//.test(address);

export function memberHandlers(parts: HandlerParts): Pick<Handlers, keyof typeof memberRoutes> {
  const { membership, invitations, network, node } = parts;
  return {
    createInvite: ({ body: { grant, uses, expires_seconds } }, call) =>
      withNotaries(parts, call, async signal => {
        const terms = { grant, uses, expiresMs: expires_seconds * 1000 };
        // Those that reach this machine from itself alone come last.
        const addresses = network.addresses().sort((a, b) => Number(isOwn(a)) - Number(isOwn(b)));
        const { id, text, expires } = await invitations.create(terms, addresses, { signal });
        return { status: 201, body: { id, invite: text, expires_at: iso(expires) } };
      }),
    listInvites: (_request, call) =>
      withNotaries(parts, call, async signal => {
        const invites = (await invitations.list(signal)).map(
          ({ id, grant, uses, used, state, ...times }) => ({
            id,
            grant: formatAmount(grant),
            uses,
            used,
            state,
            created_at: iso(times.createdAt),
            expires_at: iso(times.expires),
          }),
        );
        return { status: 200, body: { invites } };
      }),
    revokeInvite: ({ params: { id } }, call) =>
      withNotaries(parts, call, async signal => {
        const { returned } = await invitations.revoke(id, signal);
        return { status: 200, body: { id, returned: formatAmount(returned) } };
      }),
    listMembers: (_request, call) =>
      withNotaries(parts, call, async signal => {
        await membership.sync({ signal });
        const { membership: mode, admin } = node.facts();
        const members = membership.list().map(({ account, invite }) => ({ peer_id: account, invite }));
        return { status: 200, body: { membership: mode, admin, members } };
      }),
    removeMember: ({ params: { id } }, call) =>
      withNotaries(parts, call, async signal => {
        await invitations.remove(id, signal);
        return { status: 200, body: { peer_id: id } };
      }),
    joinNetwork: ({ body: { invite } }, call) =>
      withNotaries(parts, call, async signal => {
        await membership.redeem(invite, { signal });
        const { network: name, networkId } = node.facts();
        const granted = formatAmount(invite.invite.body.grant);
        return { status: 200, body: { network: name, network_id: networkId, granted } };
      }),
  };
}
