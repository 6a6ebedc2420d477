import { LRUCache } from 'lru-cache';
import { type Clock, CodedError, TokenBucket } from '../util/index.ts';
import type { Statement } from './statement.ts';

/** Accounts known at once, the longest unused forgotten first. Only orders that can be paid count, so that each of them is funded. */
const MAX_ACCOUNTS = 10_000;
/** What an account that was quiet may have decided at once, in seconds of its rate: the locks of a large array. */
const BURST_SECONDS = 100;

export type RateErrorType = { code: 'ACCOUNT_RATE'; account: string; rate: number };

/** How much each account may have a notary decide, so that none fills its disk or takes all its time. */
export class AccountRates {
  readonly #clock: Clock;
  readonly #rate: number;
  readonly #buckets = new LRUCache<string, TokenBucket>({ max: MAX_ACCOUNTS });

  /** `rate`: operations a second of each account. */
  constructor(clock: Clock, rate: number) {
    this.#clock = clock;
    this.#rate = rate;
  }

  /**
   * Counts the operations of an order. To be asked only of a new one that can be decided: otherwise strangers could use up an account's
   * rate with its old orders. Steps of an escrow are few for each lock, and are not counted.
   * @throws CodedError `ACCOUNT_RATE`.
   */
  require(statement: Statement): void {
    if (statement.type !== 'order') return;
    const { account, ops } = statement.order.body;
    const bucket =
      this.#buckets.get(account) ?? new TokenBucket(this.#rate, this.#rate * BURST_SECONDS, this.#clock);
    this.#buckets.set(account, bucket);
    if (bucket.take(ops.length)) return;
    throw new CodedError<RateErrorType>(
      { code: 'ACCOUNT_RATE', account, rate: this.#rate },
      `a notary decides ${this.#rate} operations a second of one account: wait, and send the order again`,
    );
  }
}
