import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { PeerId, PeerInfo } from '@libp2p/interface';
import { type Bus, type Clock, type Logger, messageOf } from '../util/index.ts';
import type { NetworkEvents } from './interface.ts';
import type { Node } from './libp2p.ts';
import { LOOK_AROUND_MS, OPEN_MS, SMALL_NETWORK } from './options.ts';

export interface DiscoveryComponents {
  readonly node: Node;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bus: Bus<NetworkEvents>;
}

export interface Discovery {
  /** Dials peers known from an earlier run. */
  dialKnown(): Promise<void>;
  /** Peers near a random point. */
  walk(): Promise<string[]>;
  stop(): void;
}

/**
 * libp2p 2.x does not dial what it discovers. Here each discovered peer is dialled while there are few connections, so that a small network
 * becomes a full mesh; in a large one, the DHT and the gossip mesh choose. After a peer came up its neighbours are looked up, a few times:
 * it may not know them itself yet.
 */
export function createDiscovery(
  { node, clock, logger, bus }: DiscoveryComponents,
  meshUpTo = SMALL_NETWORK,
): Discovery {
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  let cancelLook: () => void = () => undefined;

  const isWanted = (id: PeerId): boolean =>
    node.status === 'started' &&
    !id.equals(node.peerId) &&
    node.getPeers().length < meshUpTo &&
    node.getConnections(id).length === 0;

  async function dial(id: PeerId): Promise<void> {
    if (!isWanted(id)) return;
    try {
      await node.dial(id, { signal: AbortSignal.timeout(OPEN_MS) });
    } catch (error) {
      logger.debug({ peer: id.toString(), error: messageOf(error) }, 'a discovered peer was not reached');
    }
  }

  /** What the DHT says of the peers nearest to a key. */
  function nearest(key: Uint8Array) {
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(OPEN_MS)]);
    setMaxListeners(0, signal);
    return node.services.dht.getClosestPeers(key, { signal });
  }

  /** Asks the DHT for the peers nearest to this node: in a small network, all of them. */
  async function look(round: number): Promise<void> {
    const pause = LOOK_AROUND_MS[round + 1];
    if (pause !== undefined) cancelLook = clock.after(pause, () => look(round + 1));
    if (node.getPeers().length >= meshUpTo) return;
    try {
      for await (const event of nearest(node.peerId.toMultihash().bytes))
        if (event.name === 'PEER_RESPONSE') for (const { id } of event.closer) void dial(id);
    } catch (error) {
      logger.debug({ error: messageOf(error) }, 'looking for neighbours failed');
    }
  }

  const onDiscovery = ({ detail }: CustomEvent<PeerInfo>): void => {
    if (detail.multiaddrs.length > 0) void dial(detail.id);
  };
  node.addEventListener('peer:discovery', onDiscovery);
  const offUp = bus.on('peer:up', () => {
    cancelLook();
    cancelLook = clock.after(LOOK_AROUND_MS[0], () => look(0));
  });

  return {
    async dialKnown() {
      const known = await node.peerStore.all({ limit: meshUpTo });
      for (const { id, addresses } of known) if (addresses.length > 0) void dial(id);
    },
    async walk() {
      const found: string[] = [];
      for await (const event of nearest(randomBytes(32)))
        if (event.name === 'FINAL_PEER') found.push(event.peer.id.toString());
      return found;
    },
    stop() {
      stopping.abort();
      cancelLook();
      offUp();
      node.removeEventListener('peer:discovery', onDiscovery);
    },
  };
}
