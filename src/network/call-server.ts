import { setMaxListeners } from 'node:events';
import type { Stream } from '@libp2p/interface';
import {
  type Abortable,
  type Clock,
  hasCode,
  type Logger,
  type Metrics,
  messageOf,
  withDeadline,
} from '../util/index.ts';
import { decodeFrame, encodeError, encodeFrame, FRAME_KIND, HEADER_BYTES } from './call-frame.ts';
import { broken, NetworkError, tooLarge } from './errors.ts';
import { createFrames } from './frames.ts';
import type { ProtocolLimits } from './interface.ts';
import { COST, MAX_RUNNING, SEND_MS } from './options.ts';
import type { RateLimits } from './rate-limits.ts';

export type CallHandler = (request: Uint8Array, from: string, options: Abortable) => Promise<Uint8Array>;

export interface CallServerComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly rates: RateLimits;
  readonly report: (peer: string, reason: string, cost: number) => void;
}

export interface ServedProtocol {
  readonly protocol: string;
  readonly limits: ProtocolLimits;
  readonly handler: CallHandler;
}

/** Answers the requests of one stream until it ends. Never rejects. */
export async function serveCalls(
  components: CallServerComponents,
  served: ServedProtocol,
  stream: Stream,
  from: string,
): Promise<void> {
  const { clock, logger, report } = components;
  const frames = createFrames(stream, from, served.limits.maxBytes + HEADER_BYTES);
  const gone = new AbortController();
  setMaxListeners(MAX_RUNNING + 1, gone.signal);
  const running = new Set<Promise<void>>();

  const reply = async (kind: number, id: number, payload: Uint8Array): Promise<void> => {
    try {
      const frame = encodeFrame(kind, id, payload);
      await withDeadline(SEND_MS, 'an answer', signal => frames.send(frame, { signal }), { clock });
    } catch (error) {
      logger.debug({ peer: from, protocol: served.protocol, error: messageOf(error) }, 'answer not sent');
      frames.abort(broken(from, error));
    }
  };

  try {
    for (;;) {
      const bytes = await frames.receive();
      if (!bytes) break;
      const frame = decodeFrame(bytes);
      if (frame?.kind !== FRAME_KIND.request) {
        report(from, 'malformed_request', COST.malformed);
        throw broken(from, new Error('a request was malformed'));
      }
      const work = answer(components, served, frame.payload, from, gone.signal)
        .then(({ kind, payload }) => reply(kind, frame.id, payload))
        .finally(() => running.delete(work));
      running.add(work);
      // Not reading on is what slows the caller down.
      while (running.size >= MAX_RUNNING) await Promise.race(running);
    }
    await Promise.all(running);
  } catch (error) {
    logger.debug({ peer: from, protocol: served.protocol, error: messageOf(error) }, 'call stream ended');
    if (hasCode(error, 'MESSAGE_TOO_LARGE')) {
      report(from, 'oversize_request', COST.oversize);
      await reply(FRAME_KIND.fatal, 0, encodeError(error));
    }
  } finally {
    gone.abort(broken(from));
    await frames.close();
  }
}

/** One request's answer or error, within its rate and deadline. */
async function answer(
  { clock, logger, metrics, rates, report }: CallServerComponents,
  { protocol, limits, handler }: ServedProtocol,
  request: Uint8Array,
  from: string,
  signal: AbortSignal,
): Promise<{ kind: number; payload: Uint8Array }> {
  try {
    if (!rates.take(from, protocol, limits)) {
      report(from, 'rate', COST.rate);
      throw new NetworkError({ code: 'RATE_LIMITED', peer: from }, 'too many requests; wait a little');
    }
    const payload = await withDeadline(
      limits.deadlineMs,
      protocol,
      deadline => handler(request, from, { signal: deadline }),
      { signal, clock },
    );
    if (payload.length > limits.maxBytes) throw tooLarge(limits.maxBytes, payload.length);
    metrics.count('network_messages_total', { protocol });
    return { kind: FRAME_KIND.answer, payload };
  } catch (error) {
    logger.debug({ peer: from, protocol, error: messageOf(error) }, 'request refused or failed');
    return { kind: FRAME_KIND.error, payload: encodeError(error) };
  }
}
