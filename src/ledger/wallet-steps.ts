import { type Abortable, type Deferred, deferred, hasCode, raceSignal } from '../util/index.ts';
import { checkSize, MAX_SUBMIT, MAX_VALUE_BYTES, type Outcome } from '../wire/index.ts';
import { isPassing, type LedgerClient } from './client.ts';
import { queueFull, stopped } from './pending-op.ts';

/** Evidence that waits for a notary: each is a running task's, and a node has far fewer of those. */
const MAX_WAITING = 4096;

interface Waiting {
  readonly value: Uint8Array;
  isWanted: boolean;
  readonly done: Deferred<Outcome>;
}

/** Sends evidence in batches: what comes while one request is under way goes with the next. */
export class WalletSteps {
  readonly #client: LedgerClient;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #signal: AbortSignal | undefined;

  constructor(client: LedgerClient) {
    this.#client = client;
  }

  start(signal: AbortSignal): void {
    this.#signal = signal;
  }

  async stop(): Promise<void> {
    await this.#running;
  }

  /**
   * The notaries' outcome for evidence; waits for one to answer until the signal.
   * @throws CodedError `QUEUE_FULL`, `LEDGER_STOPPED`, `LEDGER_REFUSED`, or the signal's reason; WireError `WIRE_TOO_LARGE`.
   */
  async submit(value: Uint8Array, { signal }: Abortable): Promise<Outcome> {
    checkSize(value, MAX_VALUE_BYTES, 'evidence');
    if (!this.#signal || this.#signal.aborted) throw stopped();
    if (this.#waiting.length >= MAX_WAITING) throw queueFull(MAX_WAITING);
    const item: Waiting = { value, isWanted: true, done: deferred() };
    this.#waiting.push(item);
    this.#running ??= this.#run(this.#signal);
    try {
      return await raceSignal(item.done.promise, signal);
    } finally {
      item.isWanted = false;
    }
  }

  /** Never rejects: what goes wrong reaches those who wait. */
  async #run(signal: AbortSignal): Promise<void> {
    // Lets callers of the same moment join the first request.
    await Promise.resolve();
    for (let attempt = 0; this.#waiting.length > 0; attempt++) {
      this.#waiting = this.#waiting.filter(({ isWanted }) => isWanted);
      const batch = this.#waiting.splice(0, MAX_SUBMIT);
      if (batch.length === 0) break;
      try {
        const again = await this.#send(batch, signal);
        this.#waiting.unshift(...again);
        if (again.length > 0) await this.#client.pause(attempt, signal);
        else attempt = -1;
      } catch (error) {
        const reason = signal.aborted ? stopped() : error;
        const left = signal.aborted ? [...batch, ...this.#waiting.splice(0)] : batch;
        for (const { isWanted, done } of left) if (isWanted) done.reject(reason);
      }
    }
    this.#running = undefined;
  }

  /** Sends a batch; what has to be sent again comes back. */
  async #send(batch: readonly Waiting[], signal: AbortSignal): Promise<Waiting[]> {
    try {
      const request = { type: 'submit' as const, values: batch.map(({ value }) => value) };
      const { outcomes } = await this.#client.request(request, 'outcomes', { signal });
      return batch.filter(({ done }, i) => {
        const outcome = outcomes[i];
        if (!outcome || (!outcome.ok && isPassing(outcome.code))) return true;
        done.resolve(outcome);
        return false;
      });
    } catch (error) {
      if (signal.aborted || !hasCode(error, 'LEDGER_UNREACHABLE')) throw error;
      return [...batch];
    }
  }
}
