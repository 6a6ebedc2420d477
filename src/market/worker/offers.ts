import { availableParallelism, loadavg } from 'node:os';
import type { Verdict } from '../../network/index.ts';
import { CodedError, codeOf, RecentMap } from '../../util/index.ts';
import {
  type Bid,
  bidKind,
  type Estimate,
  type Funds,
  fundsKind,
  type Offer,
  type Opened,
  offerAnswerMessage,
  offerKind,
  open,
  quoteAnswerMessage,
  quoteRequestMessage,
  type Refusal,
  refKey,
  sameBytes,
  seal,
} from '../../wire/index.ts';
import { type BidderView, decide, type Request } from '../bidder.ts';
import type { Capacity } from '../capacity.ts';
import { type MachineLoad, whyPaused } from '../lending.ts';
import { BID_EXPIRES_MS, MAX_OPEN_BIDS } from '../options.ts';
import type { Estimates } from './estimates.ts';
import type { WorkerComponents } from './interface.ts';

/** A funds statement older than this proves nothing; the skew of clocks is allowed for. */
const FUNDS_MAX_AGE_MS = 65_000;
/** A bid counts for as long again as it says, since its award may be late. It takes some KiB, and a busy network brings many a second. */
const OPEN_BIDS = { limit: MAX_OPEN_BIDS, ageMs: 2 * BID_EXPIRES_MS };
/** An offer from the future or long past is a replay or a broken clock. */
const OFFER_MAX_AGE_MS = 120_000;

export type Answer = { readonly bid: Opened<Bid> } | { readonly refusal: Refusal };

/** The verdict on a gossiped offer; the answer to send to its requester, if one is due. */
export interface GossipAnswer {
  readonly verdict: Verdict;
  readonly answer: { readonly to: string; readonly encoded: Uint8Array } | null;
}

/** A worker's side of auctions: checks offers, decides, remembers its bids. */
export class OfferDesk {
  readonly #components: Pick<
    WorkerComponents,
    | 'network'
    | 'blobs'
    | 'executor'
    | 'signer'
    | 'genesis'
    | 'settlement'
    | 'membership'
    | 'clock'
    | 'metrics'
    | 'options'
  >;
  readonly #capacity: Capacity;
  readonly #estimates: Estimates;
  readonly #isDraining: () => boolean;
  readonly #nextSeq: () => number;
  readonly #unlocked: (requester: string) => bigint;
  readonly #bids: RecentMap<Opened<Bid>>;
  /** Answers given, by the offer's digest: gossip brings each offer a second time, and a repeated one changes nothing. */
  readonly #answered: RecentMap<Answer>;

  constructor(
    components: WorkerComponents,
    init: {
      capacity: Capacity;
      estimates: Estimates;
      isDraining: () => boolean;
      nextSeq: () => number;
      unlocked: (requester: string) => bigint;
    },
  ) {
    this.#components = components;
    this.#bids = new RecentMap(OPEN_BIDS, components.clock);
    this.#answered = new RecentMap(OPEN_BIDS, components.clock);
    this.#capacity = init.capacity;
    this.#estimates = init.estimates;
    this.#isDraining = init.isDraining;
    this.#nextSeq = init.nextSeq;
    this.#unlocked = init.unlocked;
  }

  /**
   * Opens an offer and checks what does not depend on this worker.
   * @throws WireError, or CodedError `OFFER_INVALID` [REJECT], `OFFER_STALE` [IGNORE].
   */
  check(bytes: Uint8Array): Opened<Offer> {
    const { genesis, clock } = this.#components;
    const offer = open(offerKind, bytes);
    const { body } = offer;
    // [REJECT] signed by anyone but its requester, or of another network
    if (!offer.signers.includes(body.requester) || !sameBytes(body.net, genesis.net))
      throw new CodedError(
        { code: 'OFFER_INVALID' },
        'the offer is not its requester’s, or of another network',
      );
    // [IGNORE] too old or from the future
    if (Math.abs(clock.now() - body.issuedAt) > OFFER_MAX_AGE_MS)
      throw new CodedError(
        { code: 'OFFER_STALE', issuedAt: body.issuedAt },
        'the offer is stale, or a clock is wrong',
      );
    return offer;
  }

  /** Refusals are not sent, and what came by stream before needs no second answer. */
  gossiped(bytes: Uint8Array): GossipAnswer {
    try {
      const offer = this.check(bytes);
      if (offer.body.requester === this.#components.signer.peer || this.#answered.get(keyOf(offer)))
        return { verdict: 'accept', answer: null };
      const answer = this.answer(offer);
      if (!('bid' in answer)) return { verdict: 'accept', answer: null };
      return {
        verdict: 'accept',
        answer: { to: offer.body.requester, encoded: this.encode(offer.body, answer) },
      };
    } catch (error) {
      const code = codeOf(error);
      this.#components.metrics.count('gossip_refused_total', { code });
      const verdict = code === 'BID_FAILED' ? 'accept' : code === 'OFFER_STALE' ? 'ignore' : 'reject';
      return { verdict, answer: null };
    }
  }

  /** The answer to a checked offer: to the same one always the same. @throws WireError for funds that are none; CodedError `BID_FAILED`. */
  answer(offer: Opened<Offer>): Answer {
    const before = this.#answered.get(keyOf(offer));
    if (before) return before;
    const decision = decide(offer.body, this.#view(offer.body));
    const { metrics } = this.#components;
    metrics.count('offers_total', { answer: decision.bid ? 'bid' : decision.refusal.code });
    const answer = decision.bid
      ? { bid: ourFault(() => this.#bid(offer, decision.ask)) }
      : { refusal: decision.refusal };
    this.#answered.set(keyOf(offer), answer);
    return answer;
  }

  #bid(offer: Opened<Offer>, ask: bigint): Opened<Bid> {
    const { signer, genesis, clock } = this.#components;
    const { body } = offer;
    const bid = seal(
      bidKind,
      {
        net: genesis.net,
        taskId: body.taskId,
        replica: body.replica,
        attempt: body.attempt,
        worker: signer.peer,
        offerHash: offer.digest,
        ...this.#estimate(body, ask),
        reputationHash: null,
        awardSeq: this.#nextSeq(),
        expires: clock.now() + BID_EXPIRES_MS,
      },
      signer,
    );
    this.#bids.set(refKey(body), bid);
    return bid;
  }

  /** What the answer to such an offer would be now: nothing is signed, nothing remembered. @throws WireError. */
  quote(bytes: Uint8Array, from: string): Uint8Array {
    const request = { ...quoteRequestMessage.decode(bytes), requester: from };
    const decision = decide(request, this.#view(request));
    return ourFault(() =>
      quoteAnswerMessage.encode(
        decision.bid
          ? { type: 'bid', ...this.#estimate(request, decision.ask) }
          : { type: 'refusal', refusal: decision.refusal },
      ),
    );
  }

  #estimate(request: Request, ask: bigint): Estimate {
    const { image, inputBytes } = request.needs;
    return {
      ask,
      ...this.#estimates.promise(this.#capacity, request),
      imageCached: this.#components.executor.hasImage(image),
      bytesMissing: inputBytes,
    };
  }

  /** The bid that an award names, while it is good; null where there is none. */
  bidFor(key: string, bidHash: Uint8Array): Bid | null {
    const bid = this.#bids.get(key);
    if (!bid || !sameBytes(bid.digest, bidHash)) return null;
    return bid.body.expires + BID_EXPIRES_MS < this.#components.clock.now() ? null : bid.body;
  }

  /** Whether the rules would still take this offer now: an award may come when things have changed. */
  wouldRefuse(offer: Offer): Refusal | undefined {
    const decision = decide(offer, this.#view(offer));
    return decision.bid ? undefined : decision.refusal;
  }

  encode({ taskId, replica, attempt }: Offer, answer: Answer): Uint8Array {
    return ourFault(() =>
      offerAnswerMessage.encode(
        'bid' in answer
          ? { type: 'bid', bid: answer.bid.bytes }
          : { type: 'refusal', taskId, replica, attempt, refusal: answer.refusal },
      ),
    );
  }

  #view(offer: Request): BidderView {
    const { clock, signer, executor, blobs, options, settlement, membership, genesis } = this.#components;
    const status = executor.status();
    const funds = this.#fundsOf(offer);
    const now = clock.now();
    return {
      now,
      self: signer.peer,
      draining: this.#isDraining(),
      workerEnabled: options.workerEnabled,
      paused: whyPaused(options.lending, now, this.#machine()),
      sandbox: {
        available: status.available,
        reason: status.reason,
        limits: executor.limits(),
        hasImage: executor.hasImage(offer.needs.image),
      },
      architecture: process.arch,
      storageBytes: blobs.free(),
      capacity: this.#capacity,
      slots: options.slots,
      price: options.price,
      minAmount: genesis.genesis.minAmount,
      imagePolicy: options.imagePolicy,
      windows: options.windows,
      // whoever is trusted with all the money may judge over some
      arbiters: [...settlement.committee.keys, ...options.arbiters],
      payerFunds: funds?.balance ?? null,
      payerUnlocked: this.#unlocked(offer.requester),
      payerIsMember: membership.has(offer.requester),
    };
  }

  #machine(): MachineLoad {
    const { total, free } = this.#capacity;
    const [load = 0] = loadavg();
    return { load, cores: availableParallelism(), heldMilliCpus: total.milliCpus - free.milliCpus };
  }

  /** The statement in an offer, if notaries of this network signed it about this requester, lately. */
  #fundsOf(offer: Request): Funds | undefined {
    const { genesis, settlement, clock } = this.#components;
    const { committee } = settlement;
    if (!offer.funds) return undefined;
    const funds = open(fundsKind, offer.funds);
    const signed = funds.signers.filter(peer => committee.keys.includes(peer)).length;
    const fresh = Math.abs(clock.now() - funds.body.at) <= FUNDS_MAX_AGE_MS;
    const fits = funds.body.account === offer.requester && sameBytes(funds.body.net, genesis.net);
    return signed >= committee.quorum && fresh && fits ? funds.body : undefined;
  }
}

const keyOf = ({ digest }: Opened<Offer>): string => Buffer.from(digest).toString('base64');

/** What fails while an answer is made is never the sender's doing. */
function ourFault<T>(make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new CodedError({ code: 'BID_FAILED' }, 'this worker could not make its bid', { cause });
  }
}
