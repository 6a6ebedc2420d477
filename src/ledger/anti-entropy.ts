import type { Network } from '../network/index.ts';
import { type Clock, CodedError, codeOf, every, type Logger, messageOf } from '../util/index.ts';
import { MAX_TRAIL_PAGE } from '../wire/index.ts';
import type { Ask } from './ask.ts';
import { certifyJob } from './committee-desk.ts';
import type { RoundNotary } from './round-job.ts';

/** From one look at the others' logs to the next: what a client could not tell this notary is known here after that. */
const PULL_MS = 1_000;
/** Pages of one log in one look: a notary that was away for long catches up over several, within its rate at the others. */
const MAX_PAGES = 8;

export type AntiEntropyErrorType = { code: 'LOG_INCOMPLETE'; peer: string; log: number };

export interface AntiEntropyComponents {
  readonly network: Pick<Network, 'isConnected'>;
  readonly ask: Ask;
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

  /** Takes in the first `log` entries of a notary's log. @throws CodedError `LOG_INCOMPLETE`, and what the notary refuses. */
  async catchUp(peer: string, log: number): Promise<void> {
    while ((this.#cursors.get(peer) ?? 0) < log)
      if ((await this.#pullPage(peer)) === 'stuck')
        throw new CodedError<AntiEntropyErrorType>(
          { code: 'LOG_INCOMPLETE', peer, log },
          'a notary does not show all that its log names',
        );
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
      for (let page = 0; page < MAX_PAGES; page++) if ((await this.#pullPage(peer)) !== 'more') return;
    } catch (error) {
      if (this.#controller.signal.aborted) return;
      this.#parts.logger.debug(
        { peer, code: codeOf(error), reason: messageOf(error) },
        'a log could not be read',
      );
    }
  }

  /** One page of a log; `stuck` where it names what the notary does not show, or what cannot be taken in now. */
  async #pullPage(peer: string): Promise<'more' | 'done' | 'stuck'> {
    const { notary, ask } = this.#parts;
    const { signal } = this.#controller;
    const from = this.#cursors.get(peer) ?? 0;
    const log = await ask(peer, { type: 'log', from }, { signal });
    if (log.type !== 'log') return 'stuck';
    for (let missing = await this.#missing(log.slots); missing.length > 0; ) {
      const slots = missing.slice(0, MAX_TRAIL_PAGE);
      const answer = await ask(peer, { type: 'decisions', slots }, { signal });
      if (answer.type !== 'trail') return 'stuck';
      await Promise.all(answer.entries.map(decided => notary.do(certifyJob(decided))));
      const left = await this.#missing(missing);
      if (left.length === missing.length) return 'stuck';
      missing = left;
    }
    this.#cursors.set(peer, from + log.slots.length);
    if (log.slots.length === 0) return 'stuck';
    return log.more ? 'more' : 'done';
  }

  async #missing(slots: readonly string[]): Promise<string[]> {
    const { notary } = this.#parts;
    const known = await notary.store.slots.getMany(slots);
    return slots.filter((slot, i) => known[i] === undefined && !notary.isParked(slot));
  }
}
