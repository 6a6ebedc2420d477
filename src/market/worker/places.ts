import type { Network } from '../../network/index.ts';
import { codeOf, messageOf, withDeadline } from '../../util/index.ts';
import {
  claimAnswerMessage,
  claimMessage,
  type Offer,
  type Opened,
  placeAnswerMessage,
  placeRequestMessage,
  refKey,
} from '../../wire/index.ts';
import { AWARD_TIMEOUT_MS, CLAIM_MS } from '../options.ts';
import type { WorkerComponents } from './interface.ts';
import type { OfferDesk } from './offers.ts';
import type { Claim, Reservation, Reservations } from './reservations.ts';

/** What it costs a requester to have a slot held for it, and not to use it. Ten times in a few minutes, and it is banned. */
const UNUSED_COST = 10;
/** A requester that cannot be asked may have stopped. */
const UNANSWERED_COST = 2;

export interface Place extends Reservation {
  readonly offer: Opened<Offer>;
}

export interface PlaceComponents extends Pick<WorkerComponents, 'claim' | 'clock' | 'logger'> {
  readonly network: Pick<Network, 'report'>;
}

/** What a place needs of the desk that bids. */
type Bidding = Pick<OfferDesk, 'offerOf' | 'wouldRefuse' | 'bidAgain'>;

/** A worker's side of late binding on the wire: keeps places, asks for their tasks when slots are free, and holds each slot until the award comes. */
export class PlaceDesk {
  readonly #components: PlaceComponents;
  readonly #line: Reservations<Place>;
  readonly #desk: Bidding;
  /** Slots that wait for an answer, or for an award. */
  readonly #held = new Map<string, Claim<Place>>();

  constructor(components: PlaceComponents, line: Reservations<Place>, desk: Bidding) {
    this.#components = components;
    this.#line = line;
    this.#desk = desk;
  }

  /** A requester wants a place for what this worker bid on lately, or wants it no more. @throws WireError. */
  place(bytes: Uint8Array, from: string): Uint8Array {
    const message = placeRequestMessage.decode(bytes);
    const key = refKey(message);
    if (message.type === 'cancel') this.#line.cancel(key, from);
    else {
      const offer = this.#desk.offerOf(key, message.bidHash);
      if (offer?.body.requester === from) return this.#reserve(key, offer);
    }
    return placeAnswerMessage.encode({ placed: false });
  }

  /** The slot that is held for this task; whoever takes it gives it back. */
  take(key: string, requester: string): (() => void) | undefined {
    const held = this.#held.get(key);
    if (held?.reservation.requester !== requester) return undefined;
    this.#held.delete(key);
    return held.release;
  }

  /** Claims tasks for the slots that are free. */
  next(): void {
    for (let claim = this.#line.claim(); claim; claim = this.#line.claim()) void this.#claim(claim);
  }

  #reserve(key: string, offer: Opened<Offer>): Uint8Array {
    const { requester, needs, priority, deadline } = offer.body;
    const placed =
      !this.#desk.wouldRefuse(offer.body, false) &&
      this.#line.reserve({ key, requester, share: needs, priority, deadline, offer });
    // a slot may have become free since the bid
    if (placed) this.next();
    return placeAnswerMessage.encode({ placed });
  }

  /** Never rejects. The award may be here before the answer is: the slot is then taken already. */
  async #claim(claim: Claim<Place>): Promise<void> {
    const { network, clock, logger } = this.#components;
    const { key, requester, offer } = claim.reservation;
    this.#held.set(key, claim);
    try {
      const answer = await this.#ask(requester, offer);
      if (answer !== 'grant') return void this.#release(claim);
      clock.after(AWARD_TIMEOUT_MS, () => {
        if (this.#release(claim)) network.report(requester, 'grant_unused', UNUSED_COST);
      });
    } catch (error) {
      logger.debug({ task: key, code: codeOf(error), error: messageOf(error) }, 'a claim was not answered');
      if (this.#release(claim)) network.report(requester, 'claim_unanswered', UNANSWERED_COST);
    }
  }

  /** `cancel` also where this worker itself would not take it any more. */
  async #ask(requester: string, offer: Opened<Offer>): Promise<'grant' | 'cancel'> {
    const bid = this.#desk.bidAgain(offer);
    if (!bid) return 'cancel';
    const answer = await withDeadline(
      CLAIM_MS,
      'a claim',
      signal => this.#components.claim(requester, claimMessage.encode({ bid: bid.bytes }), { signal }),
      { clock: this.#components.clock },
    );
    return claimAnswerMessage.decode(answer).answer;
  }

  /** False: it was taken. */
  #release(claim: Claim<Place>): boolean {
    if (this.#held.get(claim.reservation.key) !== claim) return false;
    this.#held.delete(claim.reservation.key);
    claim.release();
    return true;
  }
}
