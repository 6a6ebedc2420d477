import type { Bus, Clock, Logger } from '../util/index.ts';
import { openDatastore } from './datastore.ts';
import { createDiscovery, type Discovery } from './discovery.ts';
import { createGater } from './gater.ts';
import type { NetworkEvents } from './interface.ts';
import { createNode, type Node, type NodeInit } from './libp2p.ts';
import { createMembers, type Members } from './members.ts';
import { FULL_SCORE } from './options.ts';
import type { PeerScores } from './peer-scores.ts';
import type { Protocols } from './protocols.ts';
import type { RateLimits } from './rate-limits.ts';
import { createTopics, type Topics } from './topics.ts';

export interface RuntimeComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bus: Bus<NetworkEvents>;
  readonly scores: PeerScores;
  readonly rates: RateLimits;
  readonly protocols: Protocols;
}

export type RuntimeInit = Omit<NodeInit, 'datastore' | 'gater' | 'gossipScore'> & {
  readonly datastoreDir: string | null;
  readonly meshUpTo?: number | undefined;
};

/** What there is between `start` and `stop`. */
export interface Runtime {
  readonly node: Node;
  readonly members: Members;
  readonly topics: Topics;
  readonly discovery: Discovery;
  stop(): Promise<void>;
}

/** Opens the datastore and builds the node over it, with its listeners in place; the node itself is not started yet. */
export async function createRuntime(components: RuntimeComponents, init: RuntimeInit): Promise<Runtime> {
  const { scores, protocols } = components;
  const datastore = await openDatastore(init.datastoreDir);
  try {
    const node = await createNode({
      ...init,
      datastore: datastore.store,
      gater: createGater(scores.isBanned),
      gossipScore: peer => scores.score(peer) - FULL_SCORE,
    });
    await protocols.attach(node);
    const members = createMembers({ ...components, node, score: scores.score }, init.networkId);
    const topics = createTopics({ ...components, node, report: scores.report }, init.networkId);
    const discovery = createDiscovery({ ...components, node }, init.meshUpTo);
    return {
      node,
      members,
      topics,
      discovery,
      async stop() {
        discovery.stop();
        topics.stop();
        protocols.detach();
        await node.stop();
        members.stop();
        // libp2p writes to it until the end of its stop.
        await datastore.close();
      },
    };
  } catch (error) {
    await datastore.close();
    throw error;
  }
}
