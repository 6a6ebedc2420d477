import { type Abortable, type Clock, deferred, hasCode, raceSignal, withOwnSignal } from '../util/index.ts';
import { type LedgerClient, refused } from './client.ts';
import type { WalletBook } from './wallet-book.ts';
import { UNREAD } from './wallet-cursor.ts';

/** Pages in one run: 640,000 entries. A notary that serves more without an end is lying. */
const MAX_PAGES = 10_000;
/** Several for each of seven notaries. */
const MAX_WAITS = 32;

export interface SyncComponents {
  readonly book: WalletBook;
  readonly client: LedgerClient;
  readonly clock: Pick<Clock, 'now'>;
  readonly changed: () => void;
}

/** At a standing, in one run. */
const MAX_ATTEMPTS = 3;
const COMPACTED = 'TRAIL_COMPACTED';

function isCompacted(error: unknown): boolean {
  return hasCode(error, 'LEDGER_REFUSED') && error.type.remoteCode === COMPACTED;
}

/** Brings a book up to date with the notaries: one run at a time, and at most one that waits for it. */
export class WalletSync {
  readonly #book: WalletBook;
  readonly #client: LedgerClient;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #account: string;
  readonly #changed: () => void;
  #active: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #signal: AbortSignal | undefined;

  constructor({ book, client, clock, changed }: SyncComponents, account: string) {
    this.#book = book;
    this.#client = client;
    this.#clock = clock;
    this.#account = account;
    this.#changed = changed;
  }

  start(signal: AbortSignal): void {
    this.#signal = signal;
  }

  /** Waits for the run under way to see the end of its signal. */
  async stop(): Promise<void> {
    await Promise.allSettled([this.#active, this.#next]);
  }

  /**
   * All that was decided before the call is in the book afterwards.
   * @throws CodedError `LEDGER_UNREACHABLE`, `LEDGER_REFUSED`, `CERTIFICATE_INVALID`; WireError; the signal's reason.
   */
  async run({ signal }: Abortable = {}): Promise<void> {
    this.#next ??= this.#afterActive();
    await raceSignal(this.#next, signal);
  }

  async #afterActive(): Promise<void> {
    // What the run before met was told to those who waited for it.
    if (this.#active) await Promise.allSettled([this.#active]);
    else await Promise.resolve();
    this.#active = this.#next;
    this.#next = undefined;
    try {
      await this.#pages();
    } finally {
      this.#active = undefined;
    }
  }

  /** Of several notaries as many are read as can hold no lie together, each from where it was left. */
  async #pages(): Promise<void> {
    try {
      await withOwnSignal(MAX_WAITS, signal => this.#readSources(signal), { signal: this.#signal });
    } catch (error) {
      if (!isCompacted(error)) throw error;
      await this.#goOn();
    }
  }

  /** Without a beginning that the notaries have removed: from what they certify the account to have now. */
  async #goOn(): Promise<void> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      // What comes in meanwhile may be in the standing or not: then it is asked for again.
      const onto = this.#book.meta;
      const request = { type: 'standing' as const, account: this.#account, at: this.#clock.now() };
      const answer = await this.#client.request(request, 'standing', { signal: this.#signal });
      const cursors = this.#client.sources.map(peer => ({
        peer,
        at: answer.cursors.find(cursor => cursor.peer === peer)?.at ?? UNREAD,
      }));
      if (await this.#book.absorb([answer.decided], { cursors, onto })) return this.#changed();
    }
  }

  async #readSources(signal: AbortSignal): Promise<void> {
    const { sources } = this.#client;
    const needed = Math.floor((sources.length - 1) / 3) + 1;
    const done = deferred<void>();
    const errors: unknown[] = [];
    let read = 0;
    const each = async (peer: string): Promise<void> => {
      try {
        await this.#pagesOf(peer, signal);
        if (++read === needed) done.resolve();
      } catch (error) {
        errors.push(error);
        if (errors.length > sources.length - needed) done.reject(errors.find(isCompacted) ?? error);
      }
    };
    for (const peer of sources) void each(peer);
    await raceSignal(done.promise, signal);
  }

  async #pagesOf(peer: string, signal: AbortSignal): Promise<void> {
    for (let page = 0; page < MAX_PAGES; page++) {
      const from = this.#book.cursor(peer);
      if (from === UNREAD) throw refused(COMPACTED, 'where its trail goes on is not known');
      const request = { type: 'trail' as const, account: this.#account, from };
      const { entries, more } = await this.#client.request(request, 'trail', { signal, peer });
      const cursor = { peer, at: from + entries.length };
      if (entries.length > 0 && (await this.#book.absorb(entries, { cursors: [cursor] }))) this.#changed();
      if (!more || entries.length === 0) return;
    }
  }
}
