import type { Clock } from '../util/index.ts';
import { ApiError } from './errors.ts';
import { formatAmount } from './money.ts';

export interface SpentToday {
  /** Days since 1970, UTC. */
  readonly day: number;
  /** 1e-8 FLOP. */
  readonly spent: bigint;
}

/** Where the day's sum outlives a restart. */
export interface SpendingStore {
  load(): Promise<SpentToday | undefined>;
  save(value: SpentToday): Promise<void>;
}

/** What requests without a token may commit to in one day. */
export interface SpendingCap {
  /** @throws ApiError `SPENDING_LIMIT` when the day's sum would go over the limit. */
  reserve(amount: bigint): Promise<() => Promise<void>>;
}

/** Keeps the sum for the life of the process only. */
export function createMemorySpendingStore(): SpendingStore {
  let kept: SpentToday | undefined;
  return {
    load: async () => kept,
    async save(value) {
      kept = value;
    },
  };
}

const DAY_MS = 86_400_000;

/** `limit` in 1e-8 FLOP a day (UTC). `reserve` answers what gives the amount back when nothing came of it. */
export function createSpendingCap(
  { clock, store }: { clock: Clock; store: SpendingStore },
  { limit }: { limit: bigint },
): SpendingCap {
  let today: SpentToday | undefined;
  const current = async (): Promise<SpentToday> => {
    const day = Math.floor(clock.now() / DAY_MS);
    if (today === undefined) {
      const loaded = await store.load();
      today ??= loaded;
    }
    if (today?.day !== day) today = { day, spent: 0n };
    return today;
  };
  /** Changes the sum in the same turn as it was read, so that two requests at once cannot both have the last of it. */
  const add = (now: SpentToday, amount: bigint): Promise<void> => {
    today = { day: now.day, spent: now.spent + amount };
    return store.save(today);
  };
  const giveBack = async (day: number, amount: bigint): Promise<void> => {
    const now = await current();
    if (now.day === day) await add(now, -amount);
  };
  return {
    async reserve(amount) {
      const now = await current();
      const { day, spent } = now;
      if (amount > 0n && spent + amount > limit)
        throw new ApiError(
          { code: 'SPENDING_LIMIT', limit, spent },
          `requests without the API token may commit ${formatAmount(limit)} a day; ${formatAmount(spent)} are used. ` +
            'Send the token of the data directory (api.token) as "Authorization: Bearer …", or raise api.tokenless_daily_limit',
        );
      if (amount === 0n) return async () => {};
      await add(now, amount);
      return () => giveBack(day, amount);
    },
  };
}
