import type { Network } from '../../network/index.ts';
import { CodedError, type Deferred, deferred, messageOf, raceSignal } from '../../util/index.ts';
import {
  type Bid,
  bidKind,
  type ClaimAnswer,
  claimAnswerMessage,
  claimMessage,
  type Genesis,
  type Offer,
  type Opened,
  open,
  placeAnswerMessage,
  placeRequestMessage,
  refKey,
  sameBytes,
} from '../../wire/index.ts';
import { SAMPLE } from '../options.ts';
import type { Worker } from '../worker/worker.ts';
import { isPayable } from './asking.ts';
import type { ScoredBid } from './auction.ts';
import type { RequesterComponents } from './interface.ts';
import { Places } from './places.ts';

export interface ClaimComponents extends Pick<RequesterComponents, 'signer' | 'clock' | 'logger'> {
  readonly network: Pick<Network, 'call'>;
  readonly worker: Pick<Worker, 'place'>;
  readonly genesis: { readonly net: Uint8Array; readonly genesis: Pick<Genesis, 'minAmount'> };
}

/** A requester's side of late binding on the wire: its attempts that wait at busy workers, and the answers to those that claim them. */
export class Claims {
  readonly #components: ClaimComponents;
  readonly #waits = new Map<string, SlotWait>();

  constructor(components: ClaimComponents) {
    this.#components = components;
  }

  /** Asks these bidders for places on an offer, and waits up to `ms` for whoever claims it first. To be closed. */
  open(offer: Opened<Offer>, bids: readonly ScoredBid[], ms: number): SlotWait {
    const key = refKey(offer.body);
    const wait = new SlotWait(this.#components, offer, bids, ms, () => this.#waits.delete(key));
    this.#waits.set(key, wait);
    for (const bid of bids) void wait.reserve(bid);
    return wait;
  }

  /**
   * A worker has a slot free. A claim that is late, or of a worker that was not asked, is answered by `cancel` and is nobody's fault.
   * @throws WireError, CodedError `BID_INVALID`.
   */
  answer(bytes: Uint8Array, from: string): Uint8Array {
    const bid = open(bidKind, claimMessage.decode(bytes).bid);
    const { body } = bid;
    if (
      !bid.signers.includes(from) ||
      body.worker !== from ||
      !sameBytes(body.net, this.#components.genesis.net)
    )
      throw new CodedError({ code: 'BID_INVALID' }, 'the claim’s bid is not its worker’s own');
    return claimAnswerMessage.encode({ answer: this.#waits.get(refKey(body))?.claim(bid) ?? 'cancel' });
  }

  /** Who has come may have a slot free: those that wait at a few alone ask again. */
  peerUp(): void {
    for (const wait of this.#waits.values()) if (wait.size < SAMPLE) wait.end();
  }

  /** Its places went with it. */
  peerDown(peer: string): void {
    for (const wait of this.#waits.values()) wait.refused(peer);
  }
}

/** One attempt that waits at several busy workers. */
export class SlotWait {
  readonly #components: ClaimComponents;
  readonly #offer: Opened<Offer>;
  readonly #bids: ReadonlyMap<string, ScoredBid>;
  readonly #places: Places<string>;
  readonly #forget: () => void;
  readonly #stopTimer: () => void;
  #granted: ScoredBid | undefined;
  #isLate = false;
  #changed: Deferred<void> = deferred();

  constructor(
    components: ClaimComponents,
    offer: Opened<Offer>,
    bids: readonly ScoredBid[],
    ms: number,
    forget: () => void,
  ) {
    this.#components = components;
    this.#offer = offer;
    this.#bids = new Map(bids.map(choice => [choice.bid.body.worker, choice]));
    this.#places = new Places(this.#bids.keys(), components.clock.monotonic());
    this.#forget = forget;
    this.#stopTimer = components.clock.after(ms, () => this.end());
  }

  /** How many it waits for. */
  get size(): number {
    return this.#bids.size;
  }

  /** No claim is waited for any more. */
  end(): void {
    this.#isLate = true;
    this.#changed.resolve();
  }

  /** Its time is over, and no place was used. */
  get isLate(): boolean {
    return this.#isLate;
  }

  /** The bid of the first that has a slot; undefined once nobody can have one any more. @throws the signal's reason. */
  async next(signal: AbortSignal): Promise<ScoredBid | undefined> {
    const isOver = () => this.#isLate || this.#places.isOver(this.#components.clock.monotonic());
    while (!this.#granted && !isOver()) {
      this.#changed = deferred();
      await raceSignal(this.#changed.promise, signal);
    }
    return this.#granted;
  }

  claim(bid: Opened<Bid>): ClaimAnswer {
    const { worker, offerHash, ask } = bid.body;
    const first = this.#bids.get(worker);
    // an earlier offer of this attempt may have a place somewhere yet
    if (!first || !sameBytes(offerHash, this.#offer.digest)) return 'cancel';
    // who was chosen by its price does not raise it now
    if (ask > first.bid.body.ask || !isPayable(ask, this.#offer.body.maxPrice, this.#components)) {
      this.refused(worker);
      return 'cancel';
    }
    const answer = this.#places.claim(worker, this.#components.clock.monotonic());
    if (answer === 'grant' && !this.#granted) {
      this.#granted = { ...first, bid };
      this.#changed.resolve();
    }
    return answer;
  }

  /** It has no place for this, or refused the award that it was granted. */
  refused(worker: string): void {
    if (this.#granted?.bid.body.worker === worker) this.#granted = undefined;
    this.#places.refused(worker);
    this.#changed.resolve();
  }

  /** Those that keep a place yet are told. */
  close(): void {
    this.#forget();
    this.#stopTimer();
    const { taskId, replica, attempt } = this.#offer.body;
    const cancel = placeRequestMessage.encode({ type: 'cancel', taskId, replica, attempt });
    for (const worker of this.#places.taken())
      this.#ask(worker, cancel).catch(error => this.#silent(worker, error));
  }

  /** Never rejects. */
  async reserve({ bid }: ScoredBid): Promise<void> {
    const { worker, taskId, replica, attempt } = bid.body;
    const request = { type: 'reserve', taskId, replica, attempt, bidHash: bid.digest } as const;
    try {
      const answer = await this.#ask(worker, placeRequestMessage.encode(request));
      if (placeAnswerMessage.decode(answer).placed) return;
    } catch (error) {
      this.#silent(worker, error);
    }
    this.refused(worker);
  }

  async #ask(worker: string, request: Uint8Array): Promise<Uint8Array> {
    const { network, signer, worker: own } = this.#components;
    return worker === signer.peer ? own.place(request, worker) : network.call(worker, 'place', request);
  }

  #silent(worker: string, error: unknown): void {
    this.#components.logger.debug({ peer: worker, error: messageOf(error) }, 'a place was not answered');
  }
}
