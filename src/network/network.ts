import './polyfill.ts';
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id';
import { type Abortable, type Bus, type Clock, createBus, type Logger, type Metrics } from '../util/index.ts';
import { createCallClient } from './call-client.ts';
import { serveCalls } from './call-server.ts';
import { openStream, parseAddress, peerOfAddress } from './dial.ts';
import { stopped, tooLarge } from './errors.ts';
import { answerGenesis } from './genesis-exchange.ts';
import type { Network, NetworkEvents, ProtocolLimits } from './interface.ts';
import { prefixOf, type RecordRules, type TransportKind } from './libp2p.ts';
import { DEFAULT_MAX_BYTES, GENESIS_PROTOCOL, MAX_GENESIS_BYTES, OPEN_MS } from './options.ts';
import { createPeerScores } from './peer-scores.ts';
import { createProtocols, type Protocols } from './protocols.ts';
import { createRateLimits, type RateLimits } from './rate-limits.ts';
import { createRedialer, type Redialer } from './redial.ts';
import { createRuntime, type Runtime } from './runtime.ts';
import { createMessageStream, serveStream } from './streams.ts';
import type { Validator } from './topics.ts';

export interface NetworkComponents {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

export interface NetworkInit {
  /** An Ed25519 key of libp2p: `Identity.privateKey`. */
  readonly privateKey: PrivateKey;
  readonly networkId: string;
  /** Of the peer store and the DHT's records; null keeps them in memory. */
  readonly datastoreDir: string | null;
  /** Multiaddrs; a port of 0 takes a free one. */
  readonly listen: readonly string[];
  /** Joined from the start: multiaddrs with a peer id. */
  readonly bootstrap: readonly string[];
  readonly transport: TransportKind;
  /** Answered to any joiner, before it is of the network; at most 16 KiB. */
  readonly genesis?: Uint8Array;
  readonly maxConnections?: number;
  /** Up to so many connections every discovered peer is dialled. Default: 64. */
  readonly meshUpTo?: number | undefined;
  readonly agent?: string;
  readonly records?: RecordRules;
}

/** A joiner asks once; an unknown key costs nothing, so this bounds only the mistaken. */
const GENESIS_LIMITS: ProtocolLimits = {
  maxBytes: MAX_GENESIS_BYTES,
  rate: 1,
  burst: 10,
  deadlineMs: OPEN_MS,
};

/** The network over libp2p; see `Network`. Nothing listens or dials before `start`. */
export function createNetwork(components: NetworkComponents, init: NetworkInit): Network {
  const { logger, clock, metrics } = components;
  const prefix = `/${prefixOf(init.networkId)}`;
  const full = (name: string): string => `${prefix}/${name}/1.0.0`;

  const bus = createBus<NetworkEvents>();
  const rates = createRateLimits(clock);
  const protocols = createProtocols(logger);
  const topics = new Map<string, { maxBytes: number; validate: Validator }>();
  const scores = createPeerScores({ ...components, onBan: peer => disconnect(runtime, peer) });
  const { report } = scores;
  const parts = { ...components, bus, rates, scores, protocols, report };

  let runtime: Runtime | undefined;
  const running = (): Runtime => {
    if (!runtime) throw stopped();
    return runtime;
  };

  const limitsOf = (protocol: string) => protocols.limitsOf(full(protocol));
  const openByName = async (peer: string, protocol: string, options: Abortable = {}) =>
    openStream({ node: running().node, clock }, peer, full(protocol), options);
  const calls = createCallClient({ clock, report, limitsOf, openStream: openByName });
  const redialer = createJoining(parts, () => runtime);
  for (const address of init.bootstrap) redialer.join(peerOfAddress(address), address);
  if (init.genesis) serveGenesis(parts, init.genesis);

  return {
    self: peerIdFromPrivateKey(init.privateKey).toString(),
    addresses: () => runtime?.node.getMultiaddrs().map(String) ?? [],
    peers: () => runtime?.members.peers() ?? [],
    isConnected: peer => runtime?.members.isConnected(peer) ?? false,
    rtt: peer => runtime?.members.rtt(peer) ?? null,
    join: address => redialer.join(peerOfAddress(address), address),
    walk: async () => running().discovery.walk(),
    on: (name, listener) => bus.on(name, listener),
    report,

    async start() {
      const started = await createRuntime(parts, init);
      for (const [topic, { maxBytes, validate }] of topics) started.topics.prepare(topic, maxBytes, validate);
      try {
        await started.node.start();
      } catch (error) {
        await started.stop();
        throw error;
      }
      runtime = started;
      for (const [topic, { maxBytes, validate }] of topics) {
        started.topics.prepare(topic, maxBytes, validate);
        started.topics.join(topic);
      }
      redialer.start();
      await started.discovery.dialKnown();
    },
    async stop() {
      redialer.stop();
      calls.close();
      const stopping = runtime;
      runtime = undefined;
      await stopping?.stop();
    },

    call(peer, protocol, request, options) {
      metrics.count('network_messages_total', { protocol });
      return calls.call(peer, protocol, request, options);
    },
    serve(protocol, limits, handler) {
      const served = { protocol, limits, handler };
      protocols.add(full(protocol), limits, (stream, from) => serveCalls(parts, served, stream, from));
    },
    async open(peer, protocol, options) {
      const stream = await openByName(peer, protocol, options);
      return createMessageStream(parts, stream, peer, limitsOf(protocol)?.maxBytes ?? DEFAULT_MAX_BYTES);
    },
    handle(protocol, limits, handler) {
      protocols.add(full(protocol), limits, (stream, from) =>
        serveStream(parts, protocol, limits, handler, stream, from),
      );
    },
    publish: async (topic, message) => running().topics.publish(topic, message),
    subscribe(topic, maxBytes, validate) {
      topics.set(topic, { maxBytes, validate });
      runtime?.topics.prepare(topic, maxBytes, validate);
      runtime?.topics.join(topic);
    },
  };
}

function disconnect(runtime: Runtime | undefined, peer: string): void {
  for (const connection of runtime?.node.getConnections(peerIdFromString(peer)) ?? [])
    connection.abort(new Error('banned'));
}

function serveGenesis(
  { protocols, rates }: { readonly protocols: Protocols; readonly rates: RateLimits },
  genesis: Uint8Array,
): void {
  if (genesis.length > MAX_GENESIS_BYTES) throw tooLarge(MAX_GENESIS_BYTES, genesis.length);
  protocols.add(GENESIS_PROTOCOL, GENESIS_LIMITS, async (stream, from) => {
    if (rates.take(from, GENESIS_PROTOCOL, GENESIS_LIMITS)) return answerGenesis(genesis, stream, from);
    stream.abort(new Error('asked too often'));
  });
}

function createJoining(
  { clock, logger, bus }: NetworkComponents & { readonly bus: Bus<NetworkEvents> },
  runtime: () => Runtime | undefined,
): Redialer {
  const redialer = createRedialer({
    clock,
    logger,
    isUp: peer => runtime()?.members.isConnected(peer) ?? false,
    async dial(addresses) {
      const node = runtime()?.node;
      if (!node) throw stopped();
      const { remotePeer } = await node.dial(addresses.map(parseAddress), {
        signal: AbortSignal.timeout(OPEN_MS),
      });
      // When connections must be cut, those of joined peers go last.
      await node.peerStore.merge(remotePeer, { tags: { 'duxnode-joined': { value: 100 } } });
    },
  });
  bus.on('peer:up', ({ peer }) => redialer.onUp(peer));
  bus.on('peer:down', ({ peer }) => redialer.onDown(peer));
  return redialer;
}
