import type { Gpus } from '../wire/index.ts';
import type { Lending } from './lending.ts';

/** Which images may run here. */
export interface ImagePolicy {
  /** Entries as `matchesImage` takes them; null: all. */
  readonly allowed: readonly string[] | null;
  /** Only what is named by its digest. */
  readonly requireDigest: boolean;
}

/** The market's settings; `node/options.ts` fills them from the configuration. */
export interface MarketOptions {
  /** Tasks that run at once here (`engine.max_concurrent_tasks`). */
  readonly slots: number;
  /** So many of them are kept for this node's own tasks. */
  readonly ownerSlots: number;
  /** What this machine lends. */
  readonly milliCpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly gpus: Gpus | null;
  readonly lending: Lending;
  /** False: this node only submits. */
  readonly workerEnabled: boolean;
  /** Asked for one task; null: what is offered. */
  readonly price: bigint | null;
  /** What one task of this node may hold and cost together; null: no limit beside its own (`ledger.max_per_task`). */
  readonly maxPerTask: bigint | null;
  /** What a second of waiting is worth to this node as a requester, 1e-8 FLOP. */
  readonly secondValue: bigint;
  readonly imagePolicy: ImagePolicy;
  /** Between sweeps for what no event wakes, milliseconds (`engine.scheduling_interval`). */
  readonly sweepMs: number;
  readonly heartbeatMs: number;
  /** Silence after which a worker is suspect, and dead. */
  readonly suspectMs: number;
  readonly deadMs: number;
  /** How long results are kept. */
  readonly retentionMs: number;
  readonly windows: Windows;
  /** Whom this node lets judge disputes, beside the notaries: as a worker it takes no terms that name others. */
  readonly arbiters: readonly string[];
}

/** How long each part of a deal may take, milliseconds. Offered by a requester; for a worker what it takes at most (of the margin: at least). */
export interface Windows {
  readonly queueMs: number;
  readonly pullMs: number;
  readonly stageMs: number;
  readonly collectMs: number;
  /** Beyond all phases, until a claim is too late: for the last messages to arrive. */
  readonly marginMs: number;
  /** From the last moment of a claim to that of a dispute, and from there to that of a verdict, the arbiters' runs aside. */
  readonly disputeMs: number;
  readonly verdictMs: number;
}

/** An image of some GiB on a slow line. A requester that was away comes back within a day; a verdict takes an hour more. */
export const defaultWindows: Windows = {
  queueMs: 30 * 60_000,
  pullMs: 15 * 60_000,
  stageMs: 60_000,
  collectMs: 60_000,
  marginMs: 60_000,
  disputeMs: 24 * 3_600_000,
  verdictMs: 3_600_000,
};

/** 1e-8 FLOP: a second is worth a thousandth of a FLOP. */
const SECOND_VALUE = 100_000n;
/** A million FLOP: far above any price, and no score is too long for its record. */
export const MAX_SECOND_VALUE = 10n ** 14n;

export const defaultMarketOptions = {
  slots: 10,
  ownerSlots: 0,
  lending: { hours: null, maxLoad: null },
  workerEnabled: true,
  price: null,
  maxPerTask: null,
  secondValue: SECOND_VALUE,
  gpus: null,
  imagePolicy: { allowed: null, requireDigest: false },
  sweepMs: 5_000,
  heartbeatMs: 5_000,
  suspectMs: 15_000,
  deadMs: 30_000,
  retentionMs: 7 * 86_400_000,
  windows: defaultWindows,
  arbiters: [],
} as const;

/** A worker's queue, in multiples of its slots: beyond it waiting elsewhere is shorter. */
export const QUEUE_PER_SLOT = 4;

/** Tasks that have not ended, on one requester: about 4 KiB of memory each. */
export const MAX_LIVE_TASKS = 20_000;

/** The bid window, milliseconds: twice the slow round trip, within these. */
export const BID_WINDOW_MIN_MS = 50;
export const BID_WINDOW_MAX_MS = 1_000;
/** Bids of free workers that close the window early. */
export const ENOUGH_FREE_BIDS = 3;

/** Up to so many nodes everyone is asked; of a larger network, as many make a shard. */
export const SHARD_NODES = 64;
/** Workers asked at a time in a large network: with 8, one of them is free at a load of 0.8 more often than not (0.8^8 = 0.17). */
export const SAMPLE = 8;
/** Peers that a requester in a large network knows: from, up to. More would have to be kept connected. */
export const VIEW_MIN = 64;
export const VIEW_MAX = 2_048;
/** Between renewals of a part of them, milliseconds. */
export const VIEW_RENEW_MS = 600_000;
/** How long a place at a busy worker is kept for a task: by then a new sample finds more. */
export const PLACE_MS = 30_000;
/** And how long at first where not all who were asked have answered: a slot that is free may be among theirs. */
export const SILENT_MS = 1_000;
/** Bids that an offer in a shard should find, and the time over which they are spread, milliseconds. */
export const ANSWERS_WANTED = 16;
export const ANSWER_SPREAD_MS = 100;
/** A requester knows at once whether it still wants the slot that a worker offers it, milliseconds. */
export const CLAIM_MS = 5_000;
/** What a task asks for, and a worker lends, that counts as large memory: more than a small machine has. */
export const LARGE_MEMORY_BYTES = 8 * 2 ** 30;

/** A bid is good for this long; then its worker may have forgotten it. */
export const BID_EXPIRES_MS = 3_000;
/** Quotes a second that this node asks for, each of everyone who is connected; peers let more pass than that. */
export const QUOTE_RATE = 4;
export const QUOTE_BURST = 40;

/** Bids that a worker remembers, for the awards that may follow. */
export const MAX_OPEN_BIDS = 10_000;

/** Between no bid and the next offer: U(0, min(60 s, 0.5 s x 2^n)), full jitter. */
export const BACKOFF_BASE_MS = 500;
export const BACKOFF_MAX_MS = 60_000;

/** Rounds in which everyone refuses for good before the task fails: a peer may just be joining. */
export const HOPELESS_ROUNDS = 3;

/** Beside the windows, what has to be moved may take its time: a megabyte a second, an uplink of 8 Mbit/s. */
export const SLOWEST_BYTES_PER_MS = 1_000;
/** The longest `timeout_seconds`: with all phases it stays far below what a term of a lock may last (30 days). */
export const MAX_TIMEOUT_MS = 7 * 86_400_000;
/** Work that a bundle should hold, milliseconds: beside it the tens of milliseconds of an award do not count. */
export const BUNDLE_WORK_MS = 10_000;
/** At the end of an array, what is left is shared by all places in bundles that hold this at least. */
export const LEAST_BUNDLE_MS = 1_000;
/** A bundle that was guessed too large starts no run after this: the rest comes back, and costs nothing. */
export const BUNDLE_MS = 3 * BUNDLE_WORK_MS;
/**
 * A result that is not paid yet is claimed this long before its claim's time is over (in short windows in their last quarter), and
 * tried again at most this far apart: the notaries may be away for some minutes of it.
 */
export const CLAIM_LEAD_MS = 600_000;
export const CLAIM_RETRY_MAX_MS = 15_000;
/** A split that both have signed is filed this long before the claim would be paid in full. */
export const SPLIT_LEAD_MS = 120_000;
/** Money has deadlines that no event tells of: sweeps are never further apart, whatever `engine.scheduling_interval` says. */
export const LONGEST_SWEEP_MS = 60_000;

/** After staging, how long a worker holds the slot for the certified lock. */
export const LOCK_WAIT_MS = 5_000;
/** A handshake on the task stream: award to acceptance. */
export const AWARD_TIMEOUT_MS = 10_000;
/** A cancel waits this long for the worker's word before it is reported done. */
export const CANCEL_WAIT_MS = 3_000;
/** A worker with a result redials its requester: from, up to. */
export const REDIAL_MIN_MS = 1_000;
export const REDIAL_MAX_MS = 600_000;
/** Twice the worst clock skew that notaries allow for, plus a second. */
export const NOTARY_GRACE_MS = 5_000;

/** Assumed until measured: an office line of 100 Mbit/s. */
export const ASSUMED_BYTES_PER_MS = 12_500;
/** Of an image that a worker lacks: compressed, a usual one with a language in it. */
export const ASSUMED_IMAGE_BYTES = 64 * 2 ** 20;
