import { LRUCache } from 'lru-cache';
import { type Clock, TokenBucket } from '../util/index.ts';
import { MAX_TRACKED_PEERS } from './options.ts';

export interface RateLimits {
  /** Takes a token of this peer's bucket for `what`; false when it is empty. */
  take(peer: string, what: string, limit: { readonly rate: number; readonly burst: number }): boolean;
}

/** One token bucket for each peer and protocol, kept across its streams and connections. */
export function createRateLimits(clock: Clock): RateLimits {
  const buckets = new LRUCache<string, TokenBucket>({ max: MAX_TRACKED_PEERS });
  return {
    take(peer, what, { rate, burst }) {
      const key = `${peer} ${what}`;
      let bucket = buckets.get(key);
      if (!bucket) {
        bucket = new TokenBucket(rate, burst, clock);
        buckets.set(key, bucket);
      }
      return bucket.take();
    },
  };
}
