import type { Stream } from '@libp2p/interface';
import { type Clock, hasCode, type Logger, messageOf, sleep, withDeadline } from '../util/index.ts';
import { broken, NetworkError } from './errors.ts';
import { createFrames } from './frames.ts';
import type { MessageStream, ProtocolLimits } from './interface.ts';
import { COST, SEND_MS } from './options.ts';
import type { RateLimits } from './rate-limits.ts';

export interface StreamsComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly rates: RateLimits;
  readonly report: (peer: string, reason: string, cost: number) => void;
}

/** A MessageStream over a libp2p stream; oversized messages of the other side break it and cost score. */
export function createMessageStream(
  { clock, report }: Pick<StreamsComponents, 'clock' | 'report'>,
  stream: Stream,
  peer: string,
  maxBytes: number,
): MessageStream {
  const frames = createFrames(stream, peer, maxBytes);
  return {
    peer,
    close: () => frames.close(),
    abort: error => frames.abort(error),
    async send(message, { signal } = {}) {
      try {
        await withDeadline(
          SEND_MS,
          `a message to ${peer}`,
          deadline => frames.send(message, { signal: deadline }),
          {
            signal,
            clock,
          },
        );
      } catch (error) {
        if (hasCode(error, 'TIMEOUT')) frames.abort(broken(peer, error));
        throw error;
      }
    },
    async receive(options) {
      try {
        return await frames.receive(options);
      } catch (error) {
        if (hasCode(error, 'MESSAGE_TOO_LARGE')) {
          report(peer, 'oversize_message', COST.oversize);
          frames.abort(error);
        }
        throw error;
      }
    },
  };
}

/** Runs `handler` on one incoming stream and closes it after. Never rejects. */
export async function serveStream(
  components: StreamsComponents,
  protocol: string,
  limits: ProtocolLimits,
  handler: (stream: MessageStream) => Promise<void>,
  stream: Stream,
  from: string,
): Promise<void> {
  const { logger, rates, report } = components;
  const messages = createMessageStream(components, stream, from, limits.maxBytes);
  if (!rates.take(from, protocol, limits)) {
    report(from, 'rate', COST.rate);
    return messages.abort(new NetworkError({ code: 'RATE_LIMITED', peer: from }, 'too many streams'));
  }
  try {
    await handler(paced(components, protocol, limits, messages));
    await messages.close();
  } catch (error) {
    logger.debug({ peer: from, protocol, error: messageOf(error) }, 'stream ended with an error');
    messages.abort(error instanceof Error ? error : broken(from, error));
  }
}

/** Takes messages no faster than the limit allows: what is not read holds the sender back. */
function paced(
  { clock, rates }: StreamsComponents,
  protocol: string,
  limits: ProtocolLimits,
  messages: MessageStream,
): MessageStream {
  return {
    ...messages,
    async receive(options = {}) {
      while (!rates.take(messages.peer, `${protocol} messages`, limits))
        await sleep(1000 / limits.rate, { signal: options.signal, clock });
      return messages.receive(options);
    },
  };
}
