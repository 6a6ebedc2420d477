import { type Clock, CodedError } from '../util/index.ts';
import { requireAmount } from './accounts.ts';
import type { Committees } from './committees.ts';
import type { WalletBook } from './wallet-book.ts';
import { dayOf } from './wallet-page.ts';

export type LimitErrorType = { code: 'DAY_LIMIT'; limit: bigint; spent: bigint; amount: bigint };

export interface LimitComponents {
  readonly book: Pick<WalletBook, 'meta'>;
  readonly clock: Clock;
  readonly committees: Pick<Committees, 'current'>;
  /** Units in operations on their way. */
  readonly reserved: () => bigint;
}

/** What this node may spend: no less at once than its network moves, and in one day (UTC) what its owner lets it lock and send, less what comes back of the same day's locks. */
export class WalletLimit {
  readonly #parts: LimitComponents;
  readonly perDay: bigint | null;

  constructor(parts: LimitComponents, perDay: bigint | null) {
    this.#parts = parts;
    this.perDay = perDay;
  }

  /** What is on its way counts for today: it is certified today, or later. */
  spent(): bigint {
    const { book, clock, reserved } = this.#parts;
    const { today } = book.meta;
    return (today?.day === dayOf(clock.now()) ? today.spent : 0n) + reserved();
  }

  /** The part of `free` that the limit lets be spent now. */
  within(free: bigint): bigint {
    if (this.perDay === null) return free;
    const left = this.perDay - this.spent();
    return left <= 0n ? 0n : left < free ? left : free;
  }

  /** @throws CodedError `AMOUNT_SMALL`, `DAY_LIMIT`. */
  require(amount: bigint): void {
    requireAmount(amount, this.#parts.committees.current.info);
    const spent = this.spent();
    if (this.perDay === null || spent + amount <= this.perDay) return;
    throw new CodedError<LimitErrorType>(
      { code: 'DAY_LIMIT', limit: this.perDay, spent, amount },
      'this would go over ledger.max_per_day, the most that this node may spend in a day (UTC): wait until tomorrow, or raise it',
    );
  }
}
