import { SHARD_NODES } from './options.ts';

/** The 20th: nearer ones tell less, and farther ones may be missing from a routing table. */
const NEIGHBOUR = 20;

/** What a node sees of the network. */
export interface Sight {
  /** XOR distances to the nearest known peers, ascending, as fractions of the key space. */
  readonly distances: readonly number[];
  readonly connected: number;
}

/**
 * How many nodes the network has, this one included: (k - 1) / x_k, the unbiased estimate from the distance of the k-th nearest of
 * N random points (standard deviation 0.24 of it for k = 20), and never fewer than are connected.
 */
export function estimateSize({ distances, connected }: Sight): number {
  const kth = distances[NEIGHBOUR - 1];
  const estimate = kth === undefined ? distances.length : (NEIGHBOUR - 1) / kth;
  return Math.max(estimate, connected) + 1;
}

/** A level is left only when the size is this far beyond it, in powers of two: 1.5 standard deviations of the estimate. */
const HYSTERESIS = 0.5;

/**
 * The network's size in powers of two: 0 up to 64 nodes, then as many bits of a shard's name as leave it 64 nodes at most. Moves only
 * when the estimate is clearly beyond the level `before`; peers that are connected are no estimate.
 */
export function levelOf(sight: Sight, before = 0): number {
  const exact = Math.log2(estimateSize(sight) / SHARD_NODES);
  const stays = exact > before - 1 - HYSTERESIS && exact <= before + HYSTERESIS;
  const least = sight.connected >= SHARD_NODES ? 1 : 0;
  return Math.max(least, stays ? before : Math.ceil(exact));
}

export type Way = 'all' | 'sample' | 'shard';

/** Rounds of one task that ask a sample, before its shards are asked. */
const SAMPLED_ROUNDS = 2;

/** Whom a round asks: everyone in a small network, a sample in a large one, and the shards of the task when samples found nobody. */
export function wayOf(level: number, round: number): Way {
  if (level === 0) return 'all';
  return round < SAMPLED_ROUNDS ? 'sample' : 'shard';
}
