import type { Abortable } from '../util/index.ts';
import { MAX_VALUE_BYTES, type Outcome } from '../wire/index.ts';
import { checkDecided, closingOf, standingOf } from './certificates.ts';
import { type LedgerClient, refused } from './client.ts';
import type { Committees } from './committees.ts';
import type { Closing, Escrow, Standing } from './interface.ts';
import type { Entry, WalletBook } from './wallet-book.ts';
import { tooLarge } from './wallet-input.ts';
import type { WalletSteps } from './wallet-steps.ts';

export interface ClosingComponents {
  readonly client: LedgerClient;
  readonly committees: Committees;
  readonly book: Pick<WalletBook, 'standing'>;
  readonly steps: WalletSteps;
  /** Takes what was decided into the book. */
  readonly take: (entries: readonly Entry[]) => Promise<void>;
}

/** How escrows close: by evidence of this node, or as the notaries know. Errors as `Settlement`. */
export class WalletClosings {
  readonly #parts: ClosingComponents;

  constructor(parts: ClosingComponents) {
    this.#parts = parts;
  }

  async settle(escrow: Escrow, evidence: Uint8Array, options: Abortable): Promise<Closing | 'pending'> {
    if (evidence.length > MAX_VALUE_BYTES) throw tooLarge(evidence.length);
    const outcome = await this.#parts.steps.submit(evidence, options);
    if (!outcome.ok) return this.#settledOtherwise(escrow, outcome, options);
    const committee = this.#parts.committees.current;
    const checked = checkDecided(outcome.decided, committee);
    const closing = closingOf(checked, escrow, committee);
    await this.#parts.take([escrow.decided, checked]);
    if (closing) return closing;
    // The same claim or dispute may have been decided long ago, and the escrow closed since.
    const standing = await this.inspect(escrow, options);
    return standing.closing ?? 'pending';
  }

  async #settledOtherwise(
    escrow: Escrow,
    { code, message }: Extract<Outcome, { ok: false }>,
    options: Abortable,
  ): Promise<Closing> {
    const { closing } = await this.inspect(escrow, options);
    if (!closing) throw refused(code, message);
    return closing;
  }

  async inspect(escrow: Escrow, options: Abortable): Promise<Standing> {
    const request = { type: 'escrow' as const, escrowId: escrow.escrowId };
    const { decided } = await this.#parts.client.request(request, 'decided', options);
    const committee = this.#parts.committees.current;
    const checked = decided.map(entry => checkDecided(entry, committee));
    await this.#parts.take(checked);
    // What the notaries have removed, the trail has.
    return decided.length > 0 ? standingOf(checked, escrow, committee) : this.#parts.book.standing(escrow);
  }
}
