import './polyfill.ts';
import { createHash } from 'node:crypto';
import { type GossipSub, gossipsub } from '@chainsafe/libp2p-gossipsub';
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { type Identify, identify } from '@libp2p/identify';
import type { ConnectionGater, Libp2p, Message, PrivateKey } from '@libp2p/interface';
import { type KadDHT, kadDHT, passthroughMapper, type Selectors, type Validators } from '@libp2p/kad-dht';
import { memory } from '@libp2p/memory';
import { type Ping, ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import type { Datastore } from 'interface-datastore';
import { createLibp2p } from 'libp2p';
import {
  MAX_CONNECTIONS,
  MAX_GOSSIP_RPC_BYTES,
  MAX_STREAMS,
  OPEN_MS,
  PING_INTERVAL_MS,
  PING_TIMEOUT_MS,
} from './options.ts';

/** `memory` is for tests: the same node, but within one process. */
export type TransportKind = 'tcp' | 'memory';

export interface RecordRules {
  readonly validators: Validators;
  readonly selectors: Selectors;
}

export interface NodeInit {
  readonly privateKey: PrivateKey;
  readonly networkId: string;
  readonly datastore: Datastore;
  readonly listen: readonly string[];
  readonly transport: TransportKind;
  readonly maxConnections?: number;
  /** What others see in `PeerInfo.agent`. */
  readonly agent?: string;
  /** Names of DHT records by the first part of their key; records of other names are refused. */
  readonly records?: RecordRules;
  readonly gater?: ConnectionGater;
  /** Added to a peer's gossip score; 0 or less. */
  readonly gossipScore?: (peer: string) => number;
}

export interface NodeServices extends Record<string, unknown> {
  readonly identify: Identify;
  readonly ping: Ping;
  readonly pubsub: GossipSub;
  readonly dht: KadDHT;
}

export type Node = Libp2p<NodeServices>;

/** Prefix of every protocol of a network, so that networks never mix. */
export const prefixOf = (networkId: string): string => `duxnet/${networkId}`;
export const pingProtocol = (networkId: string): string => `/${prefixOf(networkId)}/ping/1.0.0`;

export function transportOf(kind: TransportKind) {
  return kind === 'memory' ? memory() : tcp();
}

/** The most that one message of noise carries, without its tag: a frame of yamux that is one byte larger is sent as two. */
const NOISE_PAYLOAD_BYTES = 65_519;

/** Streams of one connection together, and how much one of them may send unread: what a hostile peer can make us hold. */
export function muxer() {
  return yamux({
    maxInboundStreams: 1024,
    maxOutboundStreams: 1024,
    maxStreamWindowSize: 1024 * 1024,
    maxMessageSize: NOISE_PAYLOAD_BYTES,
  });
}

/** One content is one message, whoever publishes it; see https://github.com/libp2p/specs/tree/master/pubsub#message-identification */
function messageId(message: Message): Uint8Array {
  return createHash('sha256').update(`${message.topic}\0`).update(message.data).digest().subarray(0, 20);
}

/** Gossip: flood publish (no message waits for a mesh), signed, scored by our own rules instead of by address. */
function gossip(score: (peer: string) => number) {
  return gossipsub({
    globalSignaturePolicy: 'StrictSign',
    floodPublish: true,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    fallbackToFloodsub: false,
    msgIdFn: messageId,
    maxInboundDataLength: MAX_GOSSIP_RPC_BYTES,
    maxOutboundBufferSize: 2 * MAX_GOSSIP_RPC_BYTES,
    // Many nodes on one address are an office or a test, not an attack.
    scoreParams: { IPColocationFactorWeight: 0, appSpecificScore: score, appSpecificWeight: 1 },
  });
}

/** The one libp2p node of the program, not started. */
export async function createNode(init: NodeInit): Promise<Node> {
  const protocolPrefix = prefixOf(init.networkId);
  const node = await createLibp2p({
    privateKey: init.privateKey,
    datastore: init.datastore,
    start: false,
    nodeInfo: { name: 'duxnode', userAgent: init.agent ?? 'duxnode' },
    addresses: { listen: [...init.listen] },
    transports: [transportOf(init.transport)],
    connectionEncrypters: [noise()],
    streamMuxers: [muxer()],
    ...(init.gater ? { connectionGater: init.gater } : {}),
    connectionManager: {
      maxConnections: init.maxConnections ?? MAX_CONNECTIONS,
      inboundConnectionThreshold: 50,
      maxIncomingPendingConnections: 50,
      dialTimeout: OPEN_MS,
      // libp2p's defaults give up within 18 ms.
      reconnectRetries: 20,
      reconnectRetryInterval: 500,
      reconnectBackoffFactor: 1.5,
    },
    connectionMonitor: {
      protocolPrefix,
      pingInterval: PING_INTERVAL_MS,
      pingTimeout: { minTimeout: PING_TIMEOUT_MS, maxTimeout: PING_TIMEOUT_MS },
    },
    services: {
      identify: identify({ protocolPrefix, maxInboundStreams: 8, maxOutboundStreams: 8 }),
      ping: ping({ protocolPrefix, maxInboundStreams: 8, maxOutboundStreams: 8 }),
      pubsub: gossip(init.gossipScore ?? (() => 0)),
      dht: kadDHT({
        protocol: `/${protocolPrefix}/kad/1.0.0`,
        peerInfoMapper: passthroughMapper,
        clientMode: false,
        initialQuerySelfInterval: 100,
        allowQueryWithZeroPeers: true,
        maxInboundStreams: MAX_STREAMS,
        maxOutboundStreams: MAX_STREAMS,
        validators: init.records?.validators ?? {},
        selectors: init.records?.selectors ?? {},
      }),
    },
  });
  return node as unknown as Node;
}
