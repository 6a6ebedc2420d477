import type { Bid } from '../wire/index.ts';
import { BID_WINDOW_MAX_MS, BID_WINDOW_MIN_MS, ENOUGH_FREE_BIDS } from './options.ts';

/** How long to wait for bids, milliseconds: twice the slow round trip (its 95th percentile) to those who are asked, within limits. */
export function bidWindowMs(rttsMs: readonly number[]): number {
  const sorted = [...rttsMs].sort((a, b) => a - b);
  const slow = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))] ?? 0;
  return Math.round(Math.min(BID_WINDOW_MAX_MS, Math.max(BID_WINDOW_MIN_MS, 2 * slow)));
}

/** Whether waiting for more bids is of no use: some would start at once. */
export function hasEnough(bids: readonly Pick<Bid, 'queuePosition'>[]): boolean {
  return bids.filter(({ queuePosition }) => queuePosition === 0).length >= ENOUGH_FREE_BIDS;
}
