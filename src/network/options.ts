/** Limits and times of the room, each with its reason. */

const KIB = 1024;

/** Most a frame may hold where this node does not serve the protocol itself and so has no limit of its own for it. */
export const DEFAULT_MAX_BYTES = 4 * KIB * KIB;
/** How long a call may take where this node does not serve the protocol itself. */
export const DEFAULT_CALL_MS = 30_000;
/** Added to the handler's own deadline: the caller also waits for the two ways. */
export const CALL_SLACK_MS = 2_000;
/** Dialling, noise, yamux and the choice of protocol; libp2p's own limit on a dial. */
export const OPEN_MS = 10_000;
/** A peer that takes no byte for so long is not worth its queue. */
export const SEND_MS = 30_000;
/** A goodbye that is not answered in this time is cut short. */
export const CLOSE_MS = 2_000;

/** Streams of one protocol on one connection, each way; libp2p resets those above its default of 32. */
export const MAX_STREAMS = 256;
/** Requests of one stream that run at once; more are left unread, so that the caller feels it. */
export const MAX_RUNNING = 64;
/** Calls to one peer and protocol that wait for an answer. */
export const MAX_PENDING = 1024;
/** Frames of one write are put together up to this size: fewer, larger yamux frames. */
export const BATCH_BYTES = 64 * KIB;

/** One gossip message. One limit network-wide: what one node takes, all take. */
export const MAX_GOSSIP_BYTES = 64 * KIB;
/** One gossip RPC, which may hold many messages. Above it the receiver kills the stream for good, so it is far above. */
export const MAX_GOSSIP_RPC_BYTES = 8 * KIB * KIB;
/** Messages that wait for a first subscriber, and for how long; they are offers, worth nothing later. */
export const MAX_QUEUED_MESSAGES = 256;
export const QUEUED_MESSAGE_MS = 30_000;
/** How soon the queue is looked at again: a subscriber's stream opens some milliseconds after its subscription is known. */
export const OUTBOX_RETRY_MS = 100;
/** Topics of one peer. This network has a handful. */
export const MAX_PEER_TOPICS = 64;
/** Gossip from one neighbour: a burst of 300 tasks from each of a few nodes must pass. */
export const GOSSIP_RATE = 300;
export const GOSSIP_BURST = 3_000;
/** Validators that run at once, and how long one may take. */
export const MAX_VALIDATING = 1024;
export const VALIDATE_MS = 5_000;

/** Peers with a token bucket or a score at once; the longest unused is forgotten first. */
export const MAX_TRACKED_PEERS = 10_000;
/** A peer begins with this score, and is banned at zero. */
export const FULL_SCORE = 100;
/** Half of a penalty is forgiven in this time. */
export const PENALTY_HALF_LIFE_MS = 5 * 60_000;
export const BAN_MS = 10 * 60_000;
/** What breaches cost: rate limits may be honest haste, a rejected or oversized message is not. */
export const COST = { rate: 2, oversize: 25, malformed: 25, rejected: 20 } as const;

/** Redialling of joined peers: first and longest pause. */
export const REDIAL_FIRST_MS = 1_000;
export const REDIAL_LONGEST_MS = 60_000;
/** Joined peers, and addresses of each. */
export const MAX_JOINED = 64;
export const MAX_JOINED_ADDRESSES = 8;
/** Up to this many connections, every discovered peer is dialled: a small network is a full mesh. */
export const SMALL_NETWORK = 64;
/** After the last peer came up: when its neighbours are looked up, and the pauses before the next times. */
export const LOOK_AROUND_MS = [100, 1_000, 4_000] as const;
/** A connection whose other side has not shown to be of this network by then is closed. */
export const STRANGER_MS = 15_000;

export const MAX_CONNECTIONS = 300;
/** Pings of each connection: a frozen remote is found after at most interval + timeout = 14.5 s; a busy machine answers within the timeout. */
export const PING_INTERVAL_MS = 7_000;
export const PING_TIMEOUT_MS = 7_500;
/** Pings of a new peer, before the first interval is over. */
export const FIRST_PINGS = 3;

/** A DHT record with its envelope, its key, and how many of them one node holds (32 MiB). */
export const MAX_RECORD_BYTES = 8 * KIB;
export const MAX_RECORD_KEY_BYTES = 512;
export const MAX_RECORDS = 4_096;

export const GENESIS_PROTOCOL = '/duxnet/genesis/1.0.0';
export const MAX_GENESIS_BYTES = 16 * KIB;
