import { type Abortable, raceSignal } from '../util/index.ts';
import type { LedgerClient } from './client.ts';
import type { WalletBook } from './wallet-book.ts';

/** Pages in one run: 640,000 entries. A notary that serves more without an end is lying. */
const MAX_PAGES = 10_000;

/** Brings a book up to date with the notaries: one run at a time, and at most one that waits for it. */
export class WalletSync {
  readonly #book: WalletBook;
  readonly #client: LedgerClient;
  readonly #account: string;
  readonly #changed: () => void;
  #active: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #signal: AbortSignal | undefined;

  constructor(book: WalletBook, client: LedgerClient, account: string, changed: () => void) {
    this.#book = book;
    this.#client = client;
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

  async #pages(): Promise<void> {
    const signal = this.#signal;
    for (let page = 0; page < MAX_PAGES; page++) {
      const from = this.#book.meta.cursor;
      const request = { type: 'trail' as const, account: this.#account, from };
      const { entries, more } = await this.#client.request(request, 'trail', { signal });
      if (entries.length > 0 && (await this.#book.absorb(entries, from + entries.length))) this.#changed();
      if (!more || entries.length === 0) return;
    }
  }
}
