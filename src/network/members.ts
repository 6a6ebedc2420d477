import type { Connection, IdentifyResult, PeerId } from '@libp2p/interface';
import { type Bus, type Clock, type Logger, messageOf } from '../util/index.ts';
import type { NetworkEvents, PeerInfo } from './interface.ts';
import { type Node, pingProtocol } from './libp2p.ts';
import { FIRST_PINGS, PING_TIMEOUT_MS, STRANGER_MS } from './options.ts';

export interface MembersComponents {
  readonly node: Node;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bus: Bus<NetworkEvents>;
  readonly score: (peer: string) => number;
}

export interface Members {
  peers(): PeerInfo[];
  isConnected(peer: string): boolean;
  rtt(peer: string): number | null;
  stop(): void;
}

interface Member {
  readonly id: PeerId;
  readonly agent: string | null;
  readonly addresses: readonly string[];
  readonly connectedAt: number;
  /** Before the connection monitor has measured. */
  firstRttMs: number | null;
}

/** An agent is shown to users: short, and without control characters. */
function agentOf(text: string | undefined): string | null {
  return text === undefined ? null : text.slice(0, 64).replace(/\p{Cc}/gu, ' ');
}

/**
 * The connected peers that are of this network. A connection alone says nothing: one who asks for the genesis, or a node of another
 * network, has one too. A peer counts once identify has shown the network's own protocols; others are sent away after a while.
 */
export function createMembers(
  { node, clock, logger, bus, score }: MembersComponents,
  networkId: string,
): Members {
  const members = new Map<string, Member>();
  const protocol = pingProtocol(networkId);

  const onIdentify = ({ detail }: CustomEvent<IdentifyResult>): void => {
    const peer = detail.peerId.toString();
    if (!detail.protocols.includes(protocol) || node.getConnections(detail.peerId).length === 0) return;
    const known = members.get(peer);
    const member: Member = {
      id: detail.peerId,
      agent: agentOf(detail.agentVersion),
      addresses: detail.listenAddrs.slice(0, 16).map(String),
      connectedAt: known?.connectedAt ?? clock.now(),
      firstRttMs: known?.firstRttMs ?? null,
    };
    members.set(peer, member);
    if (known) return;
    void measure(member);
    bus.emit('peer:up', { peer });
  };

  const onDisconnect = ({ detail }: CustomEvent<PeerId>): void => {
    const peer = detail.toString();
    if (members.delete(peer)) bus.emit('peer:down', { peer });
  };

  const onOpen = ({ detail: connection }: CustomEvent<Connection>): void => {
    clock.after(STRANGER_MS, () => {
      if (connection.status !== 'open' || members.has(connection.remotePeer.toString())) return;
      logger.debug({ peer: connection.remotePeer.toString() }, 'not of this network; sent away');
      connection.abort(new Error('not of this network'));
    });
  };

  /** The smallest of a few: the first ones share the line with identify, gossip and the DHT. */
  async function measure(member: Member): Promise<void> {
    try {
      for (let i = 0; i < FIRST_PINGS; i++) {
        const ms = await node.services.ping.ping(member.id, { signal: AbortSignal.timeout(PING_TIMEOUT_MS) });
        member.firstRttMs = Math.min(ms, member.firstRttMs ?? ms);
      }
    } catch (error) {
      logger.debug({ peer: member.id.toString(), error: messageOf(error) }, 'a first ping failed');
    }
  }

  function rtt(peer: string): number | null {
    const member = members.get(peer);
    if (!member) return null;
    const measured = node.getConnections(member.id).find(connection => connection.rtt !== undefined);
    return measured?.rtt ?? member.firstRttMs;
  }

  node.addEventListener('peer:identify', onIdentify);
  node.addEventListener('peer:disconnect', onDisconnect);
  node.addEventListener('connection:open', onOpen);

  return {
    rtt,
    isConnected: peer => members.has(peer),
    peers: () =>
      [...members].map(([peer, { id, agent, addresses, connectedAt }]) => ({
        peer,
        agent,
        addresses,
        connectedAt,
        direction: node.getConnections(id)[0]?.direction ?? 'inbound',
        rttMs: rtt(peer),
        score: score(peer),
      })),
    stop() {
      node.removeEventListener('peer:identify', onIdentify);
      node.removeEventListener('peer:disconnect', onDisconnect);
      node.removeEventListener('connection:open', onOpen);
      for (const peer of [...members.keys()]) if (members.delete(peer)) bus.emit('peer:down', { peer });
    },
  };
}
