import { CodedError, type Deferred, deferred, messageOf } from '../../util/index.ts';
import {
  type Bid,
  bidKind,
  type Offer,
  type Opened,
  offerAnswerMessage,
  offerKind,
  open,
  type Refusal,
  refKey,
  sameBytes,
  seal,
  type TaskSpec,
} from '../../wire/index.ts';
import type { BidView } from '../interface.ts';
import { levelOf, wayOf } from '../regime.ts';
import { type BidFacts, costOf, factsOf, rank } from '../score.ts';
import { bidWindowMs, hasEnough } from '../window.ts';
import { Acquaintances } from './acquaintances.ts';
import { askedFor, isPayable, isWanted } from './asking.ts';
import type { RequesterComponents } from './interface.ts';
import { isLive, type LiveTask, lostOnTheWay } from './task-store.ts';

export interface ScoredBid {
  readonly bid: Opened<Bid>;
  readonly score: number;
  readonly facts: BidFacts;
  readonly isDoubtful: boolean;
}

export interface AuctionResult {
  readonly offer: Opened<Offer>;
  /** In the order in which to try them. */
  readonly bids: readonly ScoredBid[];
  readonly views: readonly BidView[];
  /** Who was waited for and did not answer. */
  readonly silent: readonly string[];
  /** Peers that may take it, all or some of which were asked, and those who never will. */
  readonly asked: readonly string[];
  readonly refused: readonly string[];
  /** More than half of the answers were that there is no place. */
  readonly crowded: boolean;
}

/** Auctions under way, so that bids on gossiped offers find theirs. */
export class AuctionHouse {
  readonly #components: RequesterComponents;
  readonly #open = new Map<string, Auction>();
  /** The network's size as of the last auction. */
  #level = 0;
  readonly #inFlight: () => number;
  readonly acquaintances: Acquaintances;

  /** `inFlight`: tasks that have not ended. */
  constructor(components: RequesterComponents, inFlight: () => number) {
    this.#components = components;
    this.#inFlight = inFlight;
    this.acquaintances = new Acquaintances(components);
  }

  /** Offers the task's next attempt to everyone who may take it, in a large network first to some, and collects answers for one bid window. */
  async run(
    task: LiveTask,
    spec: TaskSpec,
    init: { attempt: number; selfOnly: boolean; round: number },
  ): Promise<AuctionResult> {
    const { network, worker, signer, clock, metrics } = this.#components;
    const started = clock.monotonic();
    const { policy } = task.record;
    const isFree = (peer: string) =>
      isWanted(policy, peer) && !task.record.attempts.some(entry => entry.worker === peer && isLive(entry));
    const isFresh = (peer: string) => isFree(peer) && !task.record.failedWorkers.includes(peer);
    const connected = network.peers().map(({ peer }) => peer);
    const others = init.selfOnly ? [] : connected;
    const withSelf = !policy.avoidSelf && isFresh(signer.peer);
    const isAnyFresh = withSelf || init.selfOnly || others.some(isFresh);
    // where all that are left lost their stream once, one of them is better than nobody
    const mayAsk = isAnyFresh ? isFresh : (peer: string) => isFree(peer) && lostOnTheWay(task.record, peer);
    const mayTake = others.filter(mayAsk);
    this.#level = levelOf({ distances: [], connected: connected.length }, this.#level);
    const isSample = wayOf(this.#level, init.round) === 'sample';
    const peers = isSample ? this.acquaintances.sample(others, this.#inFlight(), mayAsk) : mayTake;
    const offer = this.#offer(
      task,
      spec,
      init.attempt,
      bidWindowMs(peers.map(peer => network.rtt(peer) ?? 0)),
    );
    const asked = withSelf ? [signer.peer, ...peers] : peers;
    const auction = new Auction(this.#components, offer, mayAsk, asked);
    const key = refKey(offer.body);
    this.#open.set(key, auction);
    try {
      if (withSelf) auction.take(signer.peer, worker.offer(offer.bytes, signer.peer).encoded);
      for (const peer of peers) auction.ask(peer);
      // who is named and connected has it over its stream: others would bid in vain
      const isHeard =
        policy.requirePeers.length > 0 && policy.requirePeers.every(peer => asked.includes(peer));
      if (!init.selfOnly && !isSample && !isHeard) void this.#publish(offer);
      await auction.close(peers.length === 0 && init.selfOnly ? 0 : offer.body.bidWindowMs);
    } finally {
      this.#open.delete(key);
    }
    metrics.observe('auction_seconds', (clock.monotonic() - started) / 1000);
    const result = auction.result();
    if (this.#level > 0) this.#remember(result);
    const known = isSample ? [...new Set([...mayTake, ...peers])] : mayTake;
    return { ...result, asked: withSelf ? [signer.peer, ...known] : known };
  }

  #remember({ bids, views, silent }: Pick<AuctionResult, 'bids' | 'views' | 'silent'>): void {
    for (const { worker } of views) this.acquaintances.answered(worker);
    this.acquaintances.silent(silent);
    this.acquaintances.learn(bids.map(({ bid }) => bid.body));
  }

  /** A bid on a gossiped offer. Unknown and late ones are dropped: an offer made again for one attempt has a hash of its own. */
  answer(bytes: Uint8Array, from: string): void {
    const message = offerAnswerMessage.decode(bytes);
    if (message.type !== 'bid') return;
    const { body } = open(bidKind, message.bid);
    const auction = this.#open.get(refKey(body));
    if (auction?.isOn(body.offerHash)) auction.take(from, bytes);
  }

  async #publish(offer: Opened<Offer>): Promise<void> {
    try {
      await this.#components.network.publish('offer/all', offer.bytes);
    } catch (error) {
      // those connected have it over their streams
      this.#components.logger.debug({ error: messageOf(error) }, 'offer was not gossiped');
    }
  }

  #offer(task: LiveTask, spec: TaskSpec, attempt: number, bidWindowMs: number): Opened<Offer> {
    const { genesis, signer, clock } = this.#components;
    const { taskId, policy } = task.record;
    return seal(
      offerKind,
      {
        net: genesis.net,
        taskId,
        replica: 0,
        attempt,
        requester: signer.peer,
        ...askedFor(this.#components, { spec, policy }),
        bidWindowMs,
        issuedAt: clock.now(),
      },
      signer,
    );
  }
}

/** The answers to one offer, until the window closes. */
class Auction {
  readonly #components: RequesterComponents;
  readonly #offer: Opened<Offer>;
  readonly #mayAsk: (peer: string) => boolean;
  readonly #asked: readonly string[];
  readonly #bids = new Map<string, ScoredBid>();
  readonly #refusals = new Map<string, Refusal>();
  readonly #enough: Deferred<void> = deferred();
  readonly #stop = new AbortController();
  #silent = 0;

  constructor(
    components: RequesterComponents,
    offer: Opened<Offer>,
    mayAsk: (peer: string) => boolean,
    asked: readonly string[],
  ) {
    this.#components = components;
    this.#offer = offer;
    this.#mayAsk = mayAsk;
    this.#asked = asked;
  }

  isOn(offerHash: Uint8Array): boolean {
    return sameBytes(this.#offer.digest, offerHash);
  }

  ask(peer: string): void {
    const { network, logger } = this.#components;
    network.call(peer, 'offer', this.#offer.bytes, { signal: this.#stop.signal }).then(
      bytes => this.take(peer, bytes),
      error => {
        if (!this.#stop.signal.aborted)
          logger.debug({ peer, error: messageOf(error) }, 'no answer to an offer');
        this.#silent++;
        this.#check();
      },
    );
  }

  /** Notes an answer; a wrong one costs its sender. */
  take(from: string, bytes: Uint8Array): void {
    if (!this.#mayAsk(from) || this.#bids.has(from)) return;
    try {
      const message = offerAnswerMessage.decode(bytes);
      if (message.type === 'refusal') this.#refusals.set(from, message.refusal);
      else this.#bids.set(from, this.#scored(from, open(bidKind, message.bid)));
    } catch (error) {
      this.#components.network.report(from, 'bad_bid', 10);
      this.#components.logger.debug({ peer: from, error: messageOf(error) }, 'a bid was refused');
      this.#silent++;
    }
    this.#check();
  }

  #scored(from: string, bid: Opened<Bid>): ScoredBid {
    const { genesis, experience, signer, options } = this.#components;
    const { body } = bid;
    const offered = this.#offer.body;
    const own = bid.signers.includes(from) && body.worker === from && sameBytes(body.net, genesis.net);
    const fits = refKey(body) === refKey(offered) && sameBytes(body.offerHash, this.#offer.digest);
    if (!own || !fits || !isPayable(body.ask, offered.maxPrice, this.#components))
      throw new CodedError(
        { code: 'BID_INVALID' },
        'the bid is not its worker’s own, not on this offer, or asks what cannot be locked',
      );
    const facts = factsOf(body, experience.of(from), {
      isSelf: from === signer.peer,
      secondValue: options.secondValue,
      isDoubtful: experience.isDoubtful(from),
    });
    return { bid, score: costOf(facts), facts, isDoubtful: facts.isDoubtful };
  }

  #check(): void {
    const answered = this.#bids.size + this.#refusals.size + this.#silent;
    if (this.#hasEnough() || answered >= this.#asked.length) this.#enough.resolve();
  }

  #hasEnough(): boolean {
    // doubtful workers may be the fastest to answer
    const sure = [...this.#bids.values()].filter(({ isDoubtful }) => !isDoubtful);
    return hasEnough(sure.map(({ bid }) => bid.body));
  }

  async close(windowMs: number): Promise<void> {
    this.#check();
    const { clock } = this.#components;
    const cancel = clock.after(windowMs, () => this.#enough.resolve());
    await this.#enough.promise;
    cancel();
    this.#stop.abort(new CodedError({ code: 'WINDOW_CLOSED' }, 'the bid window has closed'));
  }

  result(): Omit<AuctionResult, 'asked'> {
    const bids = rank([...this.#bids.values()], this.#components.random);
    const views: BidView[] = bids.map(({ bid, score, facts }) => ({
      worker: bid.body.worker,
      ask: bid.body.ask,
      etaMs: bid.body.etaMs + bid.body.queueMs,
      score,
      refusal: null,
      facts,
    }));
    for (const [worker, refusal] of this.#refusals)
      views.push({ worker, ask: null, etaMs: null, score: null, refusal, facts: null });
    const refused = [...this.#refusals].filter(([, { permanent }]) => permanent).map(([peer]) => peer);
    const full = [...this.#refusals.values()].filter(({ code }) => code === 'BUSY').length;
    const crowded = full > (this.#bids.size + this.#refusals.size) / 2;
    const isSilent = (peer: string) => !this.#bids.has(peer) && !this.#refusals.has(peer);
    const silent = this.#hasEnough() ? [] : this.#asked.filter(isSilent);
    return { offer: this.#offer, bids, views, silent, refused, crowded };
  }
}
