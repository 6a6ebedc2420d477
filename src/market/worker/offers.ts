import type { Verdict } from '../../network/index.ts';
import { CodedError, codeOf, RecentMap } from '../../util/index.ts';
import {
  type Bid,
  bidKind,
  type Estimate,
  MAX_HINTS,
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
import { draw } from '../candidates.ts';
import type { Line } from '../capacity.ts';
import { BID_EXPIRES_MS, MAX_OPEN_BIDS, SHARD_NODES } from '../options.ts';
import type { Estimates } from './estimates.ts';
import type { WorkerComponents } from './interface.ts';
import { biddersView, type OutlookComponents } from './outlook.ts';

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

export interface DeskInit {
  readonly line: Line;
  readonly estimates: Estimates;
  readonly isDraining: () => boolean;
  readonly nextSeq: () => number;
  /** What a requester has promised here, and not locked yet. */
  readonly unlocked: (requester: string) => bigint;
}

/** A worker's side of auctions: checks offers, decides, remembers its bids. */
export class OfferDesk {
  readonly #components: OutlookComponents & Pick<WorkerComponents, 'metrics' | 'network' | 'random'>;
  readonly #init: DeskInit;
  /** Bids by their digest, and what each was made on: a claim’s bid does not take the place of one that its requester may be about to award. */
  readonly #bids: RecentMap<{ readonly bid: Opened<Bid>; readonly offer: Opened<Offer> }>;
  /** Answers given, by the offer's digest: gossip brings each offer a second time, and a repeated one changes nothing. */
  readonly #answered: RecentMap<Answer>;

  constructor(components: WorkerComponents, init: DeskInit) {
    this.#components = components;
    this.#init = init;
    this.#bids = new RecentMap(OPEN_BIDS, components.clock);
    this.#answered = new RecentMap(OPEN_BIDS, components.clock);
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
      if (offer.body.requester === this.#components.signer.peer || this.#answered.get(nameOf(offer)))
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
    const before = this.#answered.get(nameOf(offer));
    if (before) return before;
    const decision = decide(offer.body, this.#view(offer.body));
    const { metrics } = this.#components;
    metrics.count('offers_total', { answer: decision.bid ? 'bid' : decision.refusal.code });
    const answer = decision.bid
      ? { bid: ourFault(() => this.#bid(offer, decision.ask)) }
      : { refusal: decision.refusal };
    this.#answered.set(nameOf(offer), answer);
    return answer;
  }

  #bid(offer: Opened<Offer>, ask: bigint, known: Partial<Estimate> = {}): Opened<Bid> {
    const { signer, genesis, clock, random } = this.#components;
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
        ...known,
        reputationHash: null,
        awardSeq: this.#init.nextSeq(),
        expires: clock.now() + BID_EXPIRES_MS,
        hints: draw(MAX_HINTS, this.#others(body.requester), random),
      },
      signer,
    );
    this.#bids.set(nameOf(bid), { bid, offer });
    return bid;
  }

  /** In a small network the requester knows them all. */
  #others(requester: string): string[] {
    const peers = this.#components.network.peers().map(({ peer }) => peer);
    return peers.length < SHARD_NODES ? [] : peers.filter(peer => peer !== requester);
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
      ...this.#init.estimates.promise(this.#init.line, request),
      imageCached: this.#components.executor.hasImage(image),
      bytesMissing: inputBytes,
    };
  }

  /** The bid that an award names, while it is good; null where there is none. */
  bidFor(key: string, bidHash: Uint8Array): Bid | null {
    const bid = this.#bidOn(key, bidHash)?.bid.body;
    return !bid || bid.expires + BID_EXPIRES_MS < this.#components.clock.now() ? null : bid;
  }

  /** The offer that the bid with this digest was made on. */
  offerOf(key: string, bidHash: Uint8Array): Opened<Offer> | undefined {
    return this.#bidOn(key, bidHash)?.offer;
  }

  #bidOn(key: string, digest: Uint8Array) {
    const found = this.#bids.get(nameOf({ digest }));
    return found && refKey(found.bid.body) === key ? found : undefined;
  }

  /** A bid on an offer that was bid on before, for a slot that is held; undefined where it would be refused now. */
  bidAgain(offer: Opened<Offer>): Opened<Bid> | undefined {
    const decision = decide(offer.body, this.#view(offer.body, true), { hasSlot: true });
    return decision.bid ? this.#bid(offer, decision.ask, { queuePosition: 0, queueMs: 0 }) : undefined;
  }

  /** Whether the rules would still take this offer now: an award may come when things have changed. `hasSlot`: it waits for none. */
  wouldRefuse(offer: Offer, hasSlot: boolean): Refusal | undefined {
    const decision = decide(offer, this.#view(offer, hasSlot), { hasSlot });
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

  #view(offer: Request, hasSlot = false): BidderView {
    const { line, isDraining, unlocked } = this.#init;
    return biddersView(
      this.#components,
      { line, draining: isDraining(), payerUnlocked: unlocked(offer.requester), hasSlot },
      offer,
    );
  }
}

const nameOf = ({ digest }: Pick<Opened<Bid>, 'digest'>): string => Buffer.from(digest).toString('base64');

/** What fails while an answer is made is never the sender's doing. */
function ourFault<T>(make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new CodedError({ code: 'BID_FAILED' }, 'this worker could not make its bid', { cause });
  }
}
