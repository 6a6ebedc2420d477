import type { Network } from '../network/index.ts';
import { codeOf, every, messageOf } from '../util/index.ts';
import { type LedgerAnswer, ledgerAnswerMessage } from '../wire/index.ts';
import { AntiEntropy } from './anti-entropy.ts';
import { type Ask, askOver, following, isNewer, learnFrom } from './ask.ts';
import type { Checkpoints } from './checkpoints.ts';
import { isFounderAlone } from './committee.ts';
import { certifyJob } from './committee-desk.ts';
import { CommitteeNotary } from './committee-notary.ts';
import { createNotary } from './create-notary.ts';
import { type Notary, type NotaryComponents, notNotary, SingleNotary } from './notary.ts';
import { createLedgerDesk, type LedgerDesk, showChanges } from './notary-desk.ts';
import { META_KEY, openNotaryStore } from './notary-store.ts';
import { committeeSlot } from './statement.ts';
import { Takeover } from './takeover.ts';

/** Changes of the committee are told over it. */
export const COMMITTEE_TOPIC = 'committee';
/** One change in a message. */
const MAX_NEWS_BYTES = 8 * 1024;
/** Who missed what was told asks for it. */
const LOOK_MS = 5_000;
/** Notaries first: others may have followed to a committee whose predecessors are gone. */
const MAX_ASKED = 8;

export interface SeatComponents extends NotaryComponents {
  /** Starts a notary; one whose key has signed what is gone must not. */
  readonly begin?: ((notary: Notary) => Promise<void>) | undefined;
  readonly network: Pick<Network, 'call' | 'isConnected' | 'peers' | 'publish' | 'subscribe'>;
}

/** A node's place among the notaries: follows the committee, and is a notary whenever the node is one of its keys. */
export class NotarySeat {
  readonly peer: string;
  readonly #parts: SeatComponents;
  readonly #ask: Ask;
  #notary: Notary | undefined;
  #serve: LedgerDesk | undefined;
  #antiEntropy: AntiEntropy | undefined;
  #takeover: Takeover | undefined;
  #following: Promise<void> = Promise.resolve();
  /** Why it does not follow the committee. */
  #failure: unknown;
  #controller = new AbortController();
  #stops: (() => void)[] = [];

  constructor(parts: SeatComponents) {
    this.#parts = parts;
    this.peer = parts.signer.peer;
    this.#ask = following({ ...parts, ask: askOver(parts) });
  }

  /** Undefined where this node is none, and never was. */
  get notary(): Notary | undefined {
    return this.#notary;
  }

  get checkpoints(): Checkpoints | undefined {
    return this.#notary?.checkpoints;
  }

  get isFormer(): boolean {
    return this.#notary !== undefined && !this.#parts.committees.current.keys.includes(this.peer);
  }

  get fault(): string | null {
    const failure = this.#notary?.failure ?? this.#failure;
    return failure ? `${codeOf(failure)}: ${messageOf(failure)}` : (this.checkpoints?.fault ?? null);
  }

  /** Answers for the notary; for a node that is none, what anyone is asked. @throws CodedError `LEDGER_NOT_NOTARY`, and those of the notary's desk. */
  readonly desk: LedgerDesk = async (request, from) => {
    if (this.#serve) return this.#serve(request, from);
    if (request.type === 'committees') return showChanges(this.#parts.committees, request.from);
    throw notNotary(this.peer);
  };

  /** @throws CodedError and those of `loadNotary` where this node is a notary. */
  async start(): Promise<void> {
    const { committees, network, clock, db } = this.#parts;
    this.#controller = new AbortController();
    const store = openNotaryStore(db);
    const wasNotary = (await store.meta.get(META_KEY)) !== undefined;
    if (wasNotary || committees.current.keys.includes(this.peer)) await this.#sit();
    this.#stops = [committees.on(() => this.#changed()), every(clock, LOOK_MS, () => this.#look())];
    network.subscribe(COMMITTEE_TOPIC, MAX_NEWS_BYTES, (bytes, from) => this.#hear(bytes, from));
    // Of what the process was doing when it ended: decided, and not followed yet.
    for (let stored = await this.#nextChange(); stored; stored = await this.#nextChange())
      await committees.take([this.#notary!.certify(committeeSlot(committees.current.epoch + 1), stored)]);
    this.#follow();
  }

  async #nextChange() {
    const { committees } = this.#parts;
    return this.#notary?.store.slots.get(committeeSlot(committees.current.epoch + 1));
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    this.#controller.abort();
    await this.#following;
    await this.#rise();
  }

  async #sit(): Promise<void> {
    const { committees, network, clock, logger, begin } = this.#parts;
    const notary = createNotary(this.#parts, { genesis: committees.current.info });
    await (begin ? begin(notary) : notary.start());
    const desk = createLedgerDesk(notary);
    this.#notary = notary;
    this.#serve = desk;
    if (!(notary instanceof CommitteeNotary)) return;
    const ask = this.#ask;
    const antiEntropy = new AntiEntropy({ network, ask, clock, logger, notary });
    const askEach: Ask = (peer, request, options) =>
      peer === this.peer ? desk(request, peer) : ask(peer, request, options);
    this.#antiEntropy = antiEntropy;
    this.#takeover = new Takeover({ notary, ask: askEach, antiEntropy, clock, logger });
    antiEntropy.start();
    this.#takeover.start();
  }

  async #rise(): Promise<void> {
    await this.#takeover?.stop();
    await this.#antiEntropy?.stop();
    await this.#notary?.stop();
  }

  /** The admin's node tells everybody. */
  #changed(): void {
    const { committees, network, logger } = this.#parts;
    const { epoch, info } = committees.current;
    this.#follow();
    if (this.peer !== info.genesis.admin) return;
    const news = ledgerAnswerMessage.encode({ type: 'decided', decided: [...committees.changes(epoch)] });
    network.publish(COMMITTEE_TOPIC, news).catch(error => {
      logger.debug({ code: codeOf(error) }, 'a change of the committee was not told');
    });
  }

  #follow(): void {
    this.#following = this.#following
      .then(() => this.#followNow())
      .then(() => {
        this.#failure = undefined;
      })
      .catch(error => {
        const { logger } = this.#parts;
        this.#failure = error;
        logger.error({ code: codeOf(error), reason: messageOf(error) }, 'this notary does not follow');
      });
  }

  async #followNow(): Promise<void> {
    const { committees } = this.#parts;
    if (this.#controller.signal.aborted) return;
    const { current } = committees;
    if (this.#notary instanceof SingleNotary && !isFounderAlone(current)) {
      await this.#rise();
      await this.#sit();
    } else if (!this.#notary && current.keys.includes(this.peer)) await this.#sit();
    if (!(this.#notary instanceof CommitteeNotary)) return;
    // What was learned from others ends this notary's epoch as if it had been there.
    for (const decided of committees.changes()) await this.#notary.do(certifyJob(decided, this.#notary));
    void this.#takeover?.attempt();
  }

  /** A change of the committee, as its admin or a neighbour tells it. */
  async #hear(bytes: Uint8Array, from: string): Promise<'accept' | 'ignore'> {
    const { committees } = this.#parts;
    const { epoch } = committees.current;
    const news: LedgerAnswer = ledgerAnswerMessage.decode(bytes);
    if (news.type !== 'decided') return 'ignore';
    if (isNewer(news.decided, committees)) await this.#learn(from);
    await committees.take(news.decided);
    return committees.current.epoch > epoch ? 'accept' : 'ignore';
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { committees, network } = this.#parts;
    const { keys } = committees.current;
    const others = network.peers().map(({ peer }) => peer);
    const asked = [
      ...keys.filter(peer => peer !== this.peer && network.isConnected(peer)),
      ...others.filter(peer => !keys.includes(peer)),
    ];
    await Promise.all(asked.slice(0, MAX_ASKED).map(peer => this.#learn(peer)));
  }

  /** Never rejects. */
  async #learn(peer: string): Promise<void> {
    const { committees, logger } = this.#parts;
    try {
      await learnFrom(peer, { committees, ask: this.#ask }, { signal: this.#controller.signal });
    } catch (error) {
      logger.debug({ peer, code: codeOf(error) }, 'no change of the committee was learned');
    }
  }
}
