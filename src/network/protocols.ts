import type { Stream } from '@libp2p/interface';
import { type Logger, messageOf } from '../util/index.ts';
import type { ProtocolLimits } from './interface.ts';
import type { Node } from './libp2p.ts';
import { MAX_STREAMS } from './options.ts';

/** Serves one stream to its end; never rejects. */
export type OnStream = (stream: Stream, from: string) => Promise<void>;

export interface Protocols {
  /** By the full name. Before the start or after. */
  add(protocol: string, limits: ProtocolLimits, onStream: OnStream): void;
  limitsOf(protocol: string): ProtocolLimits | undefined;
  attach(node: Node): Promise<void>;
  detach(): void;
}

/** What this node serves, kept across starts. */
export function createProtocols(logger: Logger): Protocols {
  const served = new Map<string, { limits: ProtocolLimits; onStream: OnStream }>();
  let node: Node | undefined;

  const handle = (target: Node, protocol: string, onStream: OnStream): Promise<void> =>
    target.handle(
      protocol,
      ({ stream, connection }) => void onStream(stream, connection.remotePeer.toString()),
      { maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS },
    );

  return {
    limitsOf: protocol => served.get(protocol)?.limits,
    add(protocol, limits, onStream) {
      if (served.has(protocol)) throw new Error(`${protocol} is served already`);
      served.set(protocol, { limits, onStream });
      if (node)
        handle(node, protocol, onStream).catch(error => {
          logger.error({ protocol, error: messageOf(error) }, 'a protocol could not be served');
        });
    },
    async attach(target) {
      for (const [protocol, { onStream }] of served) await handle(target, protocol, onStream);
      node = target;
    },
    detach() {
      node = undefined;
    },
  };
}
