import { type Clock, codeOf, every, hasCode, type Logger, messageOf } from '../util/index.ts';
import { OPEN_INVITE } from './accounts.ts';
import { checkFunds } from './certificates.ts';
import type { LedgerClient } from './client.ts';
import type { Committees } from './committees.ts';
import { grantSlot } from './statement.ts';
import type { WalletBook } from './wallet-book.ts';

/** A worker takes a statement at most this old. */
const FUNDS_MAX_AGE_MS = 60_000;
const FUNDS_REFRESH_MS = 30_000;
/** Somebody who asked within this time will ask again. */
const FUNDS_IN_USE_MS = 300_000;
const CHECK_MS = 5_000;
/** The admin's account may be empty: asked again, but seldom. */
const JOIN_RETRY_MS = 60_000;

export interface StandingComponents {
  readonly book: WalletBook;
  readonly client: LedgerClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly committees: Committees;
  readonly changed: () => void;
}

/** What the notaries say of this account: its signed funds, and whether it is a member. */
export class WalletStanding {
  readonly #parts: StandingComponents;
  readonly #account: string;
  #funds: { bytes: Uint8Array; at: number; member: boolean; balance: bigint } | undefined;
  #usedAt = Number.NEGATIVE_INFINITY;
  #refreshing: Promise<void> | undefined;
  #signal: AbortSignal | undefined;
  #stopTimers: () => void = () => {};

  constructor(parts: StandingComponents, account: string) {
    this.#parts = parts;
    this.#account = account;
  }

  start(signal: AbortSignal): void {
    const { clock } = this.#parts;
    this.#signal = signal;
    const stopFunds = every(clock, CHECK_MS, () => this.#keepFresh(signal));
    const stopJoin = every(clock, JOIN_RETRY_MS, () => this.join(signal));
    // Workers look for the signatures of the notaries of now.
    const stopFollowing = this.#parts.committees.on(() => void this.refresh(signal));
    this.#stopTimers = () => {
      stopFunds();
      stopJoin();
      stopFollowing();
    };
  }

  async stop(): Promise<void> {
    this.#stopTimers();
    await this.#refreshing;
  }

  get member(): boolean {
    const { admin, membership, openGrant } = this.#parts.committees.current.info.genesis;
    if (this.#account === admin || this.#funds?.member) return true;
    return membership === 'open' && (openGrant === 0n || this.#parts.book.meta.lines > 0);
  }

  /**
   * A statement young enough to show, or null. For want of one, or of money in it that has come since, it asks for the next at once:
   * whoever wants it will look again.
   */
  current(): Uint8Array | null {
    const { clock, book } = this.#parts;
    this.#usedAt = clock.monotonic();
    const funds = this.#funds && clock.now() - this.#funds.at <= FUNDS_MAX_AGE_MS ? this.#funds : undefined;
    const suffices = funds && funds.balance >= book.meta.confirmed;
    if (!suffices && this.#signal && !this.#signal.aborted) void this.refresh(this.#signal);
    return funds?.bytes ?? null;
  }

  async #keepFresh(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const isInUse = clock.monotonic() - this.#usedAt <= FUNDS_IN_USE_MS;
    const isOld = !this.#funds || clock.now() - this.#funds.at > FUNDS_REFRESH_MS;
    if (isInUse && isOld) await this.refresh(signal);
  }

  /** Asks for a new statement; without an answer the one before stays. Never rejects. */
  refresh(signal: AbortSignal): Promise<void> {
    this.#refreshing ??= this.#ask(signal).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { client, committees, changed } = this.#parts;
    try {
      const { funds } = await client.request({ type: 'funds', account: this.#account }, 'funds', { signal });
      const { account, at, member, balance } = checkFunds(funds, committees.current);
      if (account !== this.#account) return;
      this.#funds = { bytes: funds, at, member, balance };
      changed();
    } catch (error) {
      this.#parts.logger.debug({ code: codeOf(error), reason: messageOf(error) }, 'no funds statement');
    }
  }

  /** Membership of an open network and its grant, once; with no notary there it is tried again later. Never rejects. */
  async join(signal: AbortSignal): Promise<void> {
    const { book, client, logger, committees, changed } = this.#parts;
    const { admin, membership, openGrant } = committees.current.info.genesis;
    if (membership !== 'open' || openGrant === 0n || this.#account === admin) return;
    try {
      const isKnown = await book.decided(grantSlot({ invite: OPEN_INVITE, use: this.#account }));
      if (isKnown || book.meta.isResumed) return;
      const { decided } = await client.persist({ type: 'join' }, 'decided', signal);
      if (await book.absorb(decided)) changed();
    } catch (error) {
      if (signal.aborted) return;
      const level = hasCode(error, 'LEDGER_REFUSED') ? 'warn' : 'error';
      logger[level]({ code: codeOf(error), reason: messageOf(error) }, 'not admitted to the network');
    }
  }
}
