import type { Abortable } from '../util/index.ts';

/** A peer id as text (`12D3Koo…`). */
export type Peer = string;

export interface PeerInfo {
  readonly peer: Peer;
  readonly addresses: readonly string[];
  readonly direction: 'inbound' | 'outbound';
  /** Of the last ping, milliseconds. */
  readonly rttMs: number | null;
  readonly agent: string | null;
  readonly connectedAt: number;
  /** Falls with each breach; see `report`. */
  readonly score: number;
}

/** Limits of one served protocol; each peer has its own token bucket. */
export interface ProtocolLimits {
  readonly maxBytes: number;
  /** Requests or messages a second from one peer, and the burst above it. */
  readonly rate: number;
  readonly burst: number;
  /** How long one request may take here. */
  readonly deadlineMs: number;
}

/** A long-lived stream of messages, in order, in both directions. */
export interface MessageStream {
  readonly peer: Peer;
  /** Waits while the other side is slow. */
  send(message: Uint8Array, options?: Abortable): Promise<void>;
  /** Undefined once the other side has closed. Rejects when the stream broke. */
  receive(options?: Abortable): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
  abort(error: Error): void;
}

/** `accept` relays, `ignore` drops, `reject` drops and lowers the sender's score. */
export type Verdict = 'accept' | 'ignore' | 'reject';

export interface NetworkEvents {
  'peer:up': { readonly peer: Peer };
  'peer:down': { readonly peer: Peer };
}

/**
 * All that other rooms know of libp2p. Protocol and topic names given here are the short ones (`offer`, `offer/all`);
 * the network's own prefix and version are added inside. Coded errors: `PEER_UNREACHABLE`, `PROTOCOL_UNSUPPORTED`,
 * `MESSAGE_TOO_LARGE`, `TIMEOUT`, `STREAM_BROKEN`, `RATE_LIMITED`, `ADDRESS_INVALID`, `NETWORK_STOPPED`, and `REMOTE`
 * (`{ remoteCode, message }`) for an error that the other side answered.
 */
export interface Network {
  readonly self: Peer;
  start(): Promise<void>;
  stop(): Promise<void>;
  addresses(): string[];
  peers(): PeerInfo[];
  isConnected(peer: Peer): boolean;
  /** The last measured round trip, or null. */
  rtt(peer: Peer): number | null;
  /** Connects to a multiaddr with a peer id, and keeps trying for as long as the node runs. */
  join(address: string): void;
  /** A random walk through the DHT: peers near a random point, connected or not. At most 10 s. */
  walk(): Promise<Peer[]>;
  on<K extends keyof NetworkEvents>(name: K, listener: (event: NetworkEvents[K]) => void): () => void;

  /** One request and its answer over a stream kept open for each peer and protocol (pipelined). */
  call(peer: Peer, protocol: string, request: Uint8Array, options?: Abortable): Promise<Uint8Array>;
  /** Answers `call`. A CodedError that the handler throws reaches the caller as `REMOTE`. */
  serve(
    protocol: string,
    limits: ProtocolLimits,
    handler: (request: Uint8Array, from: Peer, options: Abortable) => Promise<Uint8Array>,
  ): void;

  /** Opens a stream of its own. */
  open(peer: Peer, protocol: string, options?: Abortable): Promise<MessageStream>;
  /** Serves `open`. The stream is closed when the handler's promise settles. */
  handle(protocol: string, limits: ProtocolLimits, handler: (stream: MessageStream) => Promise<void>): void;

  /** At most 64 KiB. A message that nobody subscribes to yet is kept for the first who does, up to 30 s. Equal bytes are one message for 2 minutes. */
  publish(topic: string, message: Uint8Array): Promise<void>;
  /**
   * `validate` runs before a message is relayed, once for each message; what it accepts is what a subscriber sees. `from` is the
   * neighbour who sent it here, not the author: a message that must have an author is a signed envelope.
   */
  subscribe(
    topic: string,
    maxBytes: number,
    validate: (message: Uint8Array, from: Peer) => Promise<Verdict>,
  ): void;

  /** A breach by `peer`: its score falls by `cost`, it is counted by `reason`, and at zero it is disconnected and refused for a while. */
  report(peer: Peer, reason: string, cost: number): void;
}
