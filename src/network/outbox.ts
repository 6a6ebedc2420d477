import type { GossipSub } from '@chainsafe/libp2p-gossipsub';
import { type Clock, type Logger, messageOf } from '../util/index.ts';
import { MAX_QUEUED_MESSAGES, OUTBOX_RETRY_MS, QUEUED_MESSAGE_MS } from './options.ts';

export interface Outbox {
  /** Sends to whoever subscribes, or keeps the message for the first who does. */
  publish(topic: string, message: Uint8Array): Promise<void>;
  flush(): void;
  stop(): void;
}

interface Queued {
  readonly topic: string;
  readonly message: Uint8Array;
  readonly until: number;
}

export interface OutboxComponents {
  readonly pubsub: GossipSub;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * gossipsub loses a message for good when no subscriber is known, or its stream is not open yet, at the moment of publishing. Such
 * messages wait here, in order; the oldest goes when there are too many.
 */
export function createOutbox({ pubsub, clock, logger }: OutboxComponents): Outbox {
  let queue: Queued[] = [];
  let cancelRetry: (() => void) | undefined;

  /** Somebody subscribes and can be sent to. */
  const isHeard = (topic: string): boolean =>
    pubsub.getSubscribers(topic).some(peer => pubsub.streamsOutbound.has(peer.toString()));

  function enqueue(topic: string, message: Uint8Array): void {
    if (queue.length >= MAX_QUEUED_MESSAGES) {
      queue.shift();
      logger.warn({ topic }, 'a message was dropped: nobody subscribes to its topic');
    }
    queue.push({ topic, message, until: clock.monotonic() + QUEUED_MESSAGE_MS });
    retryLater();
  }

  /** A subscription may be known before the stream to it is open, and that gives no event. */
  function retryLater(): void {
    cancelRetry ??= clock.after(OUTBOX_RETRY_MS, () => {
      cancelRetry = undefined;
      flush();
    });
  }

  function flush(): void {
    const now = clock.monotonic();
    const due = queue.filter(({ until }) => until > now);
    queue = due.filter(({ topic }) => !isHeard(topic));
    for (const { topic, message } of due)
      if (isHeard(topic))
        pubsub.publish(topic, message).catch(error => {
          logger.warn({ topic, error: messageOf(error) }, 'a queued message was not published');
        });
    if (queue.length > 0) retryLater();
  }

  return {
    flush,
    async publish(topic, message) {
      if (isHeard(topic)) await pubsub.publish(topic, message);
      else enqueue(topic, message);
    },
    stop() {
      cancelRetry?.();
      queue = [];
    },
  };
}
