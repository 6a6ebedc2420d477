import type { Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { type Abortable, type Clock, withDeadline } from '../util/index.ts';
import { NetworkError, openError } from './errors.ts';
import type { Node } from './libp2p.ts';
import { MAX_STREAMS, OPEN_MS } from './options.ts';

/** A connection on its way out may still be picked for a new stream. */
const CLOSING = new Set(['ConnectionClosingError', 'ConnectionClosedError']);

/**
 * A multiaddr from a user or a file.
 * @throws NetworkError `ADDRESS_INVALID`.
 */
export function parseAddress(address: string): Multiaddr {
  try {
    return multiaddr(address);
  } catch (cause) {
    throw new NetworkError(
      { code: 'ADDRESS_INVALID', address },
      `${address} is not an address; one looks like /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…`,
      { cause },
    );
  }
}

/**
 * The peer that an address names.
 * @throws NetworkError `ADDRESS_INVALID`.
 */
export function peerOfAddress(address: string): string {
  const peer = parseAddress(address).getPeerId();
  if (!peer)
    throw new NetworkError(
      { code: 'ADDRESS_INVALID', address },
      `${address} names no peer; it must end in /p2p/12D3Koo…`,
    );
  return peer;
}

/**
 * A stream to a peer by a protocol's full name, dialling it when needed.
 * @throws NetworkError `PEER_UNREACHABLE`, `PROTOCOL_UNSUPPORTED`; CodedError `TIMEOUT`.
 */
export async function openStream(
  { node, clock }: { readonly node: Node; readonly clock: Clock },
  peer: string,
  protocol: string,
  { signal }: Abortable = {},
): Promise<Stream> {
  const attempt = () =>
    withDeadline(
      OPEN_MS,
      `opening a stream to ${peer}`,
      deadline =>
        node.dialProtocol(peerIdFromString(peer), protocol, {
          signal: deadline,
          maxOutboundStreams: MAX_STREAMS,
        }),
      { signal, clock },
    );
  try {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof Error && CLOSING.has(error.name)) return await attempt();
      throw error;
    }
  } catch (error) {
    throw openError(error, peer, protocol);
  }
}
