import { hostNotLent } from '../../sandbox/index.ts';
import { CodedError } from '../../util/index.ts';
import {
  type Award,
  acceptanceKind,
  awardKind,
  type BoundSpec,
  bindInputs,
  fetchedBytes,
  type Gpus,
  type LeaseRecord,
  type Offer,
  type Opened,
  offerKind,
  open,
  orderKind,
  type Refusal,
  type RequesterMessage,
  refKey,
  saltedSpecHash,
  sameBytes,
  seal,
  taskIdOf,
  taskSpecMessage,
  termsHash,
} from '../../wire/index.ts';
import { canBeJudged, runMsOf } from '../terms.ts';
import type { WorkerComponents } from './interface.ts';
import type { LeaseBook } from './leases.ts';
import type { OfferDesk } from './offers.ts';

export type AwardMessage = Extract<RequesterMessage, { type: 'award' }>;

/** An award whose every part fits the others. */
export interface CheckedAward {
  readonly award: Opened<Award>;
  readonly offer: Opened<Offer>;
  readonly spec: BoundSpec;
}

const no = (code: string, reason: string, permanent = false): Refusal => ({ code, reason, permanent });

export const attemptTaken = no('ATTEMPT_TAKEN', 'another award has this number', true);
export const slotTaken = no('SLOT_TAKEN', 'no slot is free any more');

const bad = (code: string, message: string) => new CodedError({ code }, message);

/**
 * Opens an award with all that came along and checks that it hangs together: who signed, one task, one offer, the spec that the
 * order's hash names, nothing beyond what the offer said.
 * @throws WireError, or CodedError `AWARD_INVALID` and `AWARD_SPEC`.
 */
export function checkAward(message: AwardMessage, from: string, self: string, net: Uint8Array): CheckedAward {
  const award = open(awardKind, message.award);
  const offer = open(offerKind, message.offer);
  const order = open(orderKind, message.order);
  const { body } = award;
  const requester = body.requester;
  const signed = [award, offer, order].every(envelope => envelope.signers.includes(requester));
  if (
    !signed ||
    requester !== from ||
    offer.body.requester !== requester ||
    order.body.requester !== requester
  )
    throw bad('AWARD_INVALID', 'the award, its offer and its order are not all the requester’s own');
  if (
    ![body.net, offer.body.net, order.body.net].every(other => sameBytes(other, net)) ||
    body.worker !== self
  )
    throw bad('AWARD_INVALID', 'the award is of another network, or for another worker');
  if (refKey(body) !== refKey(offer.body) || taskIdOf(order) !== body.taskId)
    throw bad('AWARD_INVALID', 'the award, its offer and its order name different tasks');
  if (!sameBytes(body.offerHash, offer.digest) || !sameBytes(body.termsHash, termsHash(offer.body.terms)))
    throw bad('AWARD_INVALID', 'the award names another offer or other terms');
  const ordered = taskSpecMessage.decode(message.spec);
  const hash = saltedSpecHash(message.salt, ordered);
  if (!sameBytes(hash, order.body.saltedSpecHash) || !sameBytes(hash, body.specHash))
    throw bad('AWARD_SPEC', 'the task is not the one that the order names');
  const spec = bindInputs(ordered, message.bound ?? []);
  if (!spec) throw bad('AWARD_SPEC', 'the inputs that came along are not those that the task is given');
  const { needs, terms } = offer.body;
  const within =
    spec.milliCpus <= needs.milliCpus &&
    spec.memoryBytes <= needs.memoryBytes &&
    spec.diskBytes <= needs.diskBytes &&
    spec.image === needs.image &&
    spec.runtime === needs.runtime &&
    spec.allowHosts.length > 0 === needs.network &&
    sameGpus(spec.gpus, needs.gpus) &&
    runMsOf(spec) <= terms.limits.runMs &&
    spec.members?.length === needs.members &&
    (message.bound ? taskSpecMessage.encode(spec) : message.spec).length + fetchedBytes(spec) <=
      needs.inputBytes &&
    spec.outputBytes <= needs.outputBytes &&
    (terms.arbiters.length === 0 || canBeJudged(ordered));
  if (!within) throw bad('AWARD_SPEC', 'the task is another than its offer said');
  return { award, offer, spec };
}

function sameGpus(a: Gpus | null, b: Gpus | null): boolean {
  return a?.count === b?.count && a?.vendor === b?.vendor && a?.memoryBytes === b?.memoryBytes;
}

/** Why this worker will not take a sound award now; undefined when it takes it. */
export function refuseAward(
  { award, offer, spec }: CheckedAward,
  view: {
    /** Another lease can be kept. */
    hasRoom: boolean;
    bid: { ask: bigint; offerHash: Uint8Array } | null;
    wouldRefuse: Refusal | undefined;
    /** What tasks may reach here: an offer says only that its task wants some network. */
    allowedHosts: readonly string[];
    now: number;
  },
): Refusal | undefined {
  if (!view.hasRoom) return no('BUSY', 'too many leases are not settled yet');
  if (!view.bid) return no('BID_EXPIRED', 'there is no such bid any more');
  if (view.bid.ask !== award.body.price || !sameBytes(view.bid.offerHash, offer.digest))
    return no('BID_DIFFERS', 'the award is not what was bid');
  if (Math.abs(award.body.awardedAt - view.now) > 60_000)
    return no('CLOCK', 'the award’s time is more than a minute off this clock');
  const host = hostNotLent(spec.allowHosts, view.allowedHosts);
  if (host) return no('NO_NETWORK', `lets no task reach ${host}`, true);
  return view.wouldRefuse;
}

/** The same, with all that this worker knows at this moment. `hasSlot`: one is held for it. */
export async function whyRefused(
  { clock, executor }: Pick<WorkerComponents, 'clock' | 'executor'>,
  desk: OfferDesk,
  leases: LeaseBook,
  checked: CheckedAward,
  hasSlot: boolean,
): Promise<Refusal | undefined> {
  const { award, offer } = checked;
  return refuseAward(checked, {
    hasRoom: await leases.hasRoom(),
    bid: desk.bidFor(refKey(award.body), award.body.bidHash),
    wouldRefuse: desk.wouldRefuse(offer.body, hasSlot),
    allowedHosts: executor.limits().allowedHosts,
    now: clock.now(),
  });
}

/** Signs the acceptance, in the award chain where money is at stake, and makes the lease's first record. */
export function acceptAward(
  components: Pick<WorkerComponents, 'signer' | 'genesis' | 'clock'>,
  message: AwardMessage,
  { award }: CheckedAward,
  chain: { nextSeq: number; previous: Uint8Array | null },
): { record: LeaseRecord; acceptanceDigest: Uint8Array } {
  const { signer, genesis, clock } = components;
  const { taskId, replica, attempt, requester, price } = award.body;
  const paid = price > 0n;
  const acceptance = seal(
    acceptanceKind,
    {
      net: genesis.net,
      taskId,
      replica,
      attempt,
      requester,
      worker: signer.peer,
      price,
      awardHash: award.digest,
      termsHash: award.body.termsHash,
      awardSeq: paid ? chain.nextSeq : null,
      previous: paid ? chain.previous : null,
      acceptedAt: clock.now(),
    },
    signer,
  );
  const record: LeaseRecord = {
    taskId,
    replica,
    attempt,
    requester,
    price,
    state: 'accepted',
    order: message.order,
    award: message.award,
    offer: message.offer,
    acceptance: acceptance.bytes,
    running: null,
    escrowId: null,
    lock: null,
    attestation: null,
    outputs: [],
    truncated: { stdout: false, stderr: false, outputs: false },
    oomKilled: false,
    evidence: null,
    accept: null,
    close: null,
    pay: 0n,
    acceptedAt: clock.now(),
    updatedAt: clock.now(),
  };
  return { record, acceptanceDigest: acceptance.digest };
}
