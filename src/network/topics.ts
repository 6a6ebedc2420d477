import { createTopicScoreParams } from '@chainsafe/libp2p-gossipsub/score';
import {
  type Message,
  type PeerId,
  type SubscriptionChangeData,
  TopicValidatorResult,
} from '@libp2p/interface';
import { type Clock, type Logger, messageOf, withDeadline } from '../util/index.ts';
import { tooLarge } from './errors.ts';
import type { Verdict } from './interface.ts';
import { type Node, prefixOf } from './libp2p.ts';
import {
  COST,
  GOSSIP_BURST,
  GOSSIP_RATE,
  MAX_GOSSIP_BYTES,
  MAX_PEER_TOPICS,
  MAX_VALIDATING,
  VALIDATE_MS,
} from './options.ts';
import { createOutbox } from './outbox.ts';
import type { RateLimits } from './rate-limits.ts';

export interface TopicsComponents {
  readonly node: Node;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly rates: RateLimits;
  readonly report: (peer: string, reason: string, cost: number) => void;
}

export type Validator = (message: Uint8Array, from: string) => Promise<Verdict>;

export interface Topics {
  publish(topic: string, message: Uint8Array): Promise<void>;
  /** Sets a topic's limit and validator: before the node starts, so that no message comes in unchecked. */
  prepare(topic: string, maxBytes: number, validate: Validator): void;
  /** Subscribes, once the node has started. */
  join(topic: string): void;
  stop(): void;
}

const RESULT: Record<Verdict, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
};

/**
 * Scores of one topic (https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.1.md#peer-scoring): without an entry a
 * reject costs nothing. Three rejects pass the graylist threshold of -80; delivery quotas (P3) would punish quiet topics.
 */
const TOPIC_SCORE = createTopicScoreParams({
  topicWeight: 1,
  meshMessageDeliveriesWeight: 0,
  meshFailurePenaltyWeight: 0,
  invalidMessageDeliveriesWeight: -10,
  invalidMessageDeliveriesDecay: 0.98,
});

/** Publishing and checked receiving of the network's topics, by their short names. */
export function createTopics(components: TopicsComponents, networkId: string): Topics {
  const { node, clock, logger, rates, report } = components;
  const { pubsub } = node.services;
  const prefix = `/${prefixOf(networkId)}/`;
  const limits = new Map<string, number>();
  const outbox = createOutbox({ pubsub, clock, logger });

  /** A peer that subscribes to what is not ours, or to ever more, fills our tables. */
  const onSubscriptions = ({ detail }: CustomEvent<SubscriptionChangeData>): void => {
    const peer = detail.peerId.toString();
    const allowed = { rate: 1, burst: MAX_PEER_TOPICS };
    for (const { topic } of detail.subscriptions)
      if (!topic.startsWith(prefix) || !rates.take(peer, 'subscriptions', allowed))
        report(peer, 'subscription', COST.rate);
    outbox.flush();
  };
  pubsub.addEventListener('subscription-change', onSubscriptions);

  return {
    async publish(name, message) {
      const maxBytes = limits.get(name) ?? MAX_GOSSIP_BYTES;
      if (message.length > maxBytes) throw tooLarge(maxBytes, message.length);
      await outbox.publish(prefix + name, message);
    },
    prepare(name, maxBytes, validate) {
      const topic = prefix + name;
      const limit = Math.min(maxBytes, MAX_GOSSIP_BYTES);
      limits.set(name, limit);
      pubsub.score.params.topics[topic] = TOPIC_SCORE;
      pubsub.topicValidators.set(topic, createJudge(components, name, limit, validate));
    },
    join: name => pubsub.subscribe(prefix + name),
    stop() {
      pubsub.removeEventListener('subscription-change', onSubscriptions);
      outbox.stop();
    },
  };
}

/** The checks before the room's own validator, and what its verdict costs the neighbour who relayed the message. */
function createJudge(
  { clock, logger, rates, report }: TopicsComponents,
  topic: string,
  maxBytes: number,
  validate: Validator,
): (from: PeerId, message: Message) => Promise<TopicValidatorResult> {
  let running = 0;

  async function verdictOf(message: Uint8Array, from: string): Promise<Verdict> {
    if (message.length > maxBytes) return 'reject';
    if (!rates.take(from, 'gossip', { rate: GOSSIP_RATE, burst: GOSSIP_BURST })) {
      report(from, 'gossip_rate', COST.rate);
      return 'ignore';
    }
    if (running >= MAX_VALIDATING) return 'ignore';
    running++;
    try {
      return await withDeadline(VALIDATE_MS, `checking ${topic}`, () => validate(message, from), { clock });
    } catch (error) {
      logger.warn({ topic, peer: from, error: messageOf(error) }, 'a validator failed; message ignored');
      return 'ignore';
    } finally {
      running--;
    }
  }

  return async (from, message) => {
    const peer = from.toString();
    const verdict = await verdictOf(message.data, peer);
    if (verdict === 'reject') report(peer, 'gossip_reject', COST.rejected);
    return RESULT[verdict];
  };
}
