import type { Network } from '../network/index.ts';
import { type Clock, codeOf, every, type Logger, messageOf, withDeadline } from '../util/index.ts';
import {
  type LedgerAnswer,
  type LedgerRequest,
  ledgerAnswerMessage,
  ledgerRequestMessage,
  MAX_TRAIL_PAGE,
} from '../wire/index.ts';
import { certifyJob } from './committee-desk.ts';
import { LEDGER_PROTOCOL } from './notary-server.ts';
import type { RoundNotary } from './round-job.ts';

/** From one look at the others' logs to the next: what a client could not tell this notary is known here after that. */
const PULL_MS = 1_000;
/** Pages of one log in one look: a notary that was away for long catches up over several, within its rate at the others. */
const MAX_PAGES = 8;
const REQUEST_MS = 10_000;

export interface AntiEntropyComponents {
  readonly network: Pick<Network, 'call' | 'isConnected'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly notary: RoundNotary;
}

/** Keeps a notary up to date with the other notaries, each of whose logs it reads from where it left off. */
export class AntiEntropy {
  readonly #parts: AntiEntropyComponents;
  /** By notary; they begin anew with the process, since what is known is passed over by name. */
  readonly #cursors = new Map<string, number>();
  #controller = new AbortController();
  #looking: Promise<void> | undefined;
  #stopTimer: () => void = () => {};

  constructor(parts: AntiEntropyComponents) {
    this.#parts = parts;
  }

  start(): void {
    this.#controller = new AbortController();
    this.#stopTimer = every(this.#parts.clock, PULL_MS, () => {
      this.#looking = this.#look();
      return this.#looking;
    });
  }

  async stop(): Promise<void> {
    this.#stopTimer();
    this.#controller.abort();
    await this.#looking;
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { notary, network } = this.#parts;
    const others = notary.committee.keys.filter(
      peer => peer !== notary.signer.peer && network.isConnected(peer),
    );
    await Promise.all(others.map(peer => this.#pull(peer)));
  }

  async #pull(peer: string): Promise<void> {
    try {
      for (let page = 0; page < MAX_PAGES; page++) if (!(await this.#pullPage(peer))) return;
    } catch (error) {
      if (this.#controller.signal.aborted) return;
      this.#parts.logger.debug(
        { peer, code: codeOf(error), reason: messageOf(error) },
        'a log could not be read',
      );
    }
  }

  /** True where there is more. */
  async #pullPage(peer: string): Promise<boolean> {
    const from = this.#cursors.get(peer) ?? 0;
    const log = await this.#ask(peer, { type: 'log', from });
    if (log.type !== 'log' || log.slots.length === 0) return false;
    const missing = await this.#missing(log.slots);
    for (let at = 0; at < missing.length; ) {
      const slots = missing.slice(at, at + MAX_TRAIL_PAGE);
      const answer = await this.#ask(peer, { type: 'decisions', slots });
      if (answer.type !== 'trail' || answer.entries.length === 0) return false;
      for (const decided of answer.entries)
        await this.#parts.notary.do(certifyJob(decided, this.#parts.notary));
      at += answer.entries.length;
    }
    this.#cursors.set(peer, from + log.slots.length);
    return log.more;
  }

  async #missing(slots: readonly string[]): Promise<string[]> {
    const known = await this.#parts.notary.store.slots.getMany(slots);
    return slots.filter((_, i) => known[i] === undefined);
  }

  #ask(peer: string, request: LedgerRequest): Promise<LedgerAnswer> {
    const { network, clock } = this.#parts;
    return withDeadline(
      REQUEST_MS,
      'a request to another notary',
      async signal => {
        const bytes = ledgerRequestMessage.encode(request);
        return ledgerAnswerMessage.decode(await network.call(peer, LEDGER_PROTOCOL, bytes, { signal }));
      },
      { signal: this.#controller.signal, clock },
    );
  }
}
