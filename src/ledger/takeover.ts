import { type Clock, CodedError, codeOf, deferred, every, type Logger, messageOf } from '../util/index.ts';
import { handoverKind, type LedgerAnswer, open, sameBytes, sha256, voteKind } from '../wire/index.ts';
import type { AntiEntropy } from './anti-entropy.ts';
import type { Ask } from './ask.ts';
import { begin, checkLeft, type Left, type LeftLock } from './handover.ts';
import type { Job, RoundNotary } from './round-job.ts';
import { stated } from './statement.ts';

/** While the notaries before have not all heard that their epoch has ended. */
const RETRY_MS = 250;

export type TakeoverErrorType = { code: 'HANDOVER_WRONG'; peer: string };

export interface TakeoverComponents {
  readonly notary: RoundNotary;
  /** This node's own notary is asked without the network. */
  readonly ask: Ask;
  readonly antiEntropy: AntiEntropy;
  readonly clock: Clock;
  readonly logger: Logger;
}

type Page = Extract<LedgerAnswer, { type: 'handover' }>;

/** Brings the notary into each new epoch: as soon as a quorum of the one before has handed over, and all that they knew is known here. */
export class Takeover {
  readonly #parts: TakeoverComponents;
  #controller = new AbortController();
  #running: Promise<void> | undefined;
  #stopTimer: () => void = () => {};

  constructor(parts: TakeoverComponents) {
    this.#parts = parts;
  }

  start(): void {
    this.#controller = new AbortController();
    this.#stopTimer = every(this.#parts.clock, RETRY_MS, () => this.attempt());
  }

  async stop(): Promise<void> {
    this.#stopTimer();
    this.#controller.abort();
    await this.#running;
  }

  /** Never rejects. */
  attempt(): Promise<void> {
    if (!this.#parts.notary.isWaiting) return Promise.resolve();
    this.#running ??= this.#takeOver().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #takeOver(): Promise<void> {
    const { notary, logger } = this.#parts;
    const { epoch } = notary.committee;
    try {
      await notary.do(beginJob(await this.#collect()));
      logger.info({ epoch }, 'this notary has taken over');
    } catch (error) {
      if (!this.#controller.signal.aborted)
        logger.debug({ epoch, code: codeOf(error), reason: messageOf(error) }, 'not taken over yet');
    }
  }

  /** What the notaries before leave, until a quorum of them has been heard, or all. */
  async #collect(): Promise<Left[]> {
    const { previous } = this.#parts.notary.committee;
    const { keys, quorum } = previous!;
    const done = deferred<void>();
    const left: Left[] = [];
    let failed = 0;
    const each = async (peer: string): Promise<void> => {
      try {
        left.push(await this.#read(peer, previous!.epoch));
      } catch (error) {
        failed++;
        this.#parts.logger.debug({ peer, code: codeOf(error), reason: messageOf(error) }, 'no handover');
      }
      if (left.length === quorum || left.length + failed === keys.length) done.resolve();
    };
    for (const peer of keys) void each(peer);
    await done.promise;
    return [...left];
  }

  /** All pages of one notary, and then all that its log held when it signed the last. */
  async #read(peer: string, epoch: number): Promise<Left> {
    const { notary, ask, antiEntropy } = this.#parts;
    const { signal } = this.#controller;
    const locks: LeftLock[] = [];
    for (let after: string | null = null, more = true; more; ) {
      const answer = await ask(peer, { type: 'handover', epoch, after }, { signal });
      if (answer.type !== 'handover') throw wrong(peer);
      const page = this.#check(answer, peer, { epoch, after });
      locks.push(...page.locks);
      after = page.locks.at(-1)?.qc.body.slot ?? after;
      more = page.more && page.locks.length > 0;
      if (!more && peer !== notary.signer.peer) await antiEntropy.catchUp(peer, page.log);
    }
    return { signer: peer, locks };
  }

  /** @throws CodedError `HANDOVER_WRONG`, those of `checkLeft` and `stated`; WireError. */
  #check({ handover, locks: shown }: Page, peer: string, asked: { epoch: number; after: string | null }) {
    const { committee } = this.#parts.notary;
    const { body, signers } = open(handoverKind, handover);
    const isWhole =
      shown.length === body.locks.length && shown.every(({ qc }, i) => sameBytes(sha256(qc), body.locks[i]!));
    const isAsked =
      sameBytes(body.net, committee.info.net) && body.epoch === asked.epoch && body.after === asked.after;
    if (!isWhole || !isAsked || signers.length !== 1 || signers[0] !== peer) throw wrong(peer);
    const locks = shown.map(({ qc, value }) => ({ qc: open(voteKind, qc), bytes: qc, value: stated(value) }));
    checkLeft({ signer: peer, locks }, committee);
    const slots = [asked.after ?? '', ...locks.map(({ qc }) => qc.body.slot)];
    if (slots.some((slot, i) => i > 0 && slot <= slots[i - 1]!)) throw wrong(peer);
    return { locks, more: body.more, log: body.log };
  }
}

function wrong(peer: string): CodedError<TakeoverErrorType> {
  return new CodedError<TakeoverErrorType>(
    { code: 'HANDOVER_WRONG', peer },
    'a notary’s handover is not what it was asked for',
  );
}

function beginJob(left: readonly Left[]): Job {
  const locks = left.flatMap(one => one.locks);
  return {
    values: [],
    slots: [...new Set(locks.map(({ qc }) => qc.body.slot))],
    reported: [],
    isWhole: true,
    run: context => begin(left, context),
  };
}
