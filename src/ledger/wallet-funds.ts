import { type Abortable, type Clock, codeOf, type Logger, withDeadline } from '../util/index.ts';
import type { WalletOrders } from './wallet-orders.ts';

/** Before a payment is refused for want of funds, the notaries are asked this long for money that came meanwhile. */
const FUNDS_SYNC_MS = 2_000;

export interface FundsComponents {
  readonly orders: Pick<WalletOrders, 'free'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Brings the book up to date with the notaries. */
  readonly sync: (options: Abortable) => Promise<void>;
}

export class WalletFunds {
  readonly #parts: FundsComponents;

  constructor(parts: FundsComponents) {
    this.#parts = parts;
  }

  /**
   * Asks for money that came meanwhile, where `amount` is short; true when it has. Whether there is enough then is for the order to
   * say.
   */
  async look(amount: bigint, { signal }: Abortable): Promise<boolean> {
    const { orders, clock, logger, sync } = this.#parts;
    if (orders.free() >= amount) return false;
    try {
      await withDeadline(FUNDS_SYNC_MS, 'looking for funds', soon => sync({ signal: soon }), {
        signal,
        clock,
      });
    } catch (error) {
      signal?.throwIfAborted();
      logger.debug({ code: codeOf(error) }, 'the balance may be out of date');
    }
    return true;
  }
}
