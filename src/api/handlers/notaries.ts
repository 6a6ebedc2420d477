import { withDeadline } from '../../util/index.ts';
import { ApiError } from '../errors.ts';
import type { notaryRoutes } from '../routes/notaries.ts';
import type { HandlerParts, Handlers } from './context.ts';

/** Too few notaries may be up to decide: then the caller hears of it, and asks again. */
const CHANGE_WAIT_MS = 30_000;
const MAX_NOTARIES = 7;

export function notaryHandlers(parts: HandlerParts): Pick<Handlers, keyof typeof notaryRoutes> {
  const { settlement, network, clock, promoter } = parts;
  const isHere = (peer: string) =>
    peer === network.self || network.peers().some(other => other.peer === peer);
  const list = () => {
    const { epoch, keys, quorum, faults, info } = settlement.committee;
    const notaries = keys.map(peer_id => ({
      peer_id,
      is_admin: peer_id === info.genesis.admin,
      connected: isHere(peer_id),
    }));
    const bears = { quorum, may_be_away: keys.length - quorum, may_lie: faults };
    const body = { epoch, ...bears, automatic: promoter?.outlook ?? null, notaries };
    return { status: 200 as const, body };
  };
  const change = async (keys: readonly string[], signal: AbortSignal) => {
    await withDeadline(
      CHANGE_WAIT_MS,
      'the notaries’ decision',
      own => settlement.changeNotaries(keys, { signal: own }),
      { signal, clock },
    );
    return list();
  };
  return {
    async listNotaries() {
      return list();
    },
    async addNotary({ params: { peer_id: peer } }, { signal }) {
      const { keys } = settlement.committee;
      if (keys.includes(peer)) return list();
      if (keys.length === MAX_NOTARIES)
        throw new ApiError(
          { code: 'NOTARIES_FULL', limit: MAX_NOTARIES },
          `a network has ${MAX_NOTARIES} notaries at most: remove one first`,
        );
      if (!isHere(peer))
        throw new ApiError(
          { code: 'NOTARY_AWAY', peer },
          `${peer} is not connected to this node: payments could have to wait for it`,
        );
      return change([...keys, peer], signal);
    },
    async removeNotary({ params: { peer_id: peer } }, { signal }) {
      const { keys } = settlement.committee;
      if (!keys.includes(peer)) return list();
      if (keys.length === 1)
        throw new ApiError({ code: 'NOTARY_LAST', peer }, 'it is the last one: add another first');
      return change(
        keys.filter(key => key !== peer),
        signal,
      );
    },
  };
}
