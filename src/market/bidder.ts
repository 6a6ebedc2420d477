import { type ExecutorLimits, gpusLacking, matchesImage, parseImage } from '../sandbox/index.ts';
import type { Asked, Offer, Refusal } from '../wire/index.ts';
import type { Line } from './capacity.ts';
import { type ImagePolicy, QUEUE_PER_SLOT } from './options.ts';
import { termsAreFair, type WorkersView } from './terms.ts';

/** What a worker decides on, and who asks. */
export type Request = Asked & Pick<Offer, 'requester'>;

/** What a worker knows when it decides on an offer. */
export interface BidderView extends WorkersView {
  readonly now: number;
  readonly self: string;
  readonly draining: boolean;
  readonly workerEnabled: boolean;
  /** Why others' tasks are not taken at this time; null: they are. */
  readonly paused: string | null;
  readonly sandbox: {
    readonly available: boolean;
    readonly reason: string | null;
    readonly limits: ExecutorLimits;
    readonly hasImage: boolean;
  };
  readonly architecture: string;
  /** What is free of the room for inputs and results. */
  readonly storageBytes: number;
  readonly capacity: Line;
  readonly slots: number;
  readonly price: bigint | null;
  /** The least that a lock of the network holds. */
  readonly minAmount: bigint;
  readonly imagePolicy: ImagePolicy;
  /** The payer's proven free balance, or null where the offer proves none. */
  readonly payerFunds: bigint | null;
  /** What of it is promised to this worker already, and not locked yet. */
  readonly payerUnlocked: bigint;
  readonly payerIsMember: boolean;
}

export type Decision =
  | { readonly bid: true; readonly ask: bigint }
  | { readonly bid: false; readonly refusal: Refusal };

type Rule = (offer: Request, view: BidderView) => Refusal | undefined;

/** What a refusal may say: a longer one would be taken for nonsense by its reader. */
const MAX_REASON = 300;

const no = (code: string, reason: string, permanent: boolean): Refusal => ({
  code,
  reason: reason.slice(0, MAX_REASON),
  permanent,
});

/** Each looks at one thing; the first that refuses names the reason. Cheap and final ones come first. */
const rules: readonly Rule[] = [
  function takesWork(_offer, view) {
    if (!view.workerEnabled) return no('NO_WORKER', 'this node takes no tasks', true);
    if (view.draining) return no('DRAINING', 'this node is ending its work', false);
    if (!view.sandbox.available) return no('NO_SANDBOX', view.sandbox.reason ?? 'no sandbox here', false);
    return undefined;
  },
  function lending(offer, view) {
    return view.paused !== null && offer.requester !== view.self
      ? no('PAUSED', view.paused, false)
      : undefined;
  },
  function deadline(offer, view) {
    if (offer.deadline <= view.now) return no('DEADLINE', 'the deadline has passed', true);
    return undefined;
  },
  function runtime(offer, view) {
    const { runtime } = offer.needs;
    const { runtimes } = view.sandbox.limits;
    if (runtime && !runtimes.includes(runtime))
      return no('RUNTIME', `has no ${runtime}, runs ${runtimes.join(' and ')}`, true);
    return undefined;
  },
  function architecture(offer, view) {
    const { architecture } = offer.needs;
    if (architecture && architecture !== view.architecture)
      return no('ARCHITECTURE', `is ${view.architecture}`, true);
    return undefined;
  },
  function gpus(offer, view) {
    const { gpus, runtime } = offer.needs;
    if (!gpus) return undefined;
    const lacking = gpusLacking(gpus, view.sandbox.limits.gpus);
    const reason = lacking ?? (runtime === 'runsc' ? 'gives no GPU to gVisor' : undefined);
    return reason ? no('NO_GPU', reason, true) : undefined;
  },
  function network(offer, view) {
    if (!offer.needs.network) return undefined;
    if (view.sandbox.limits.allowedHosts.length === 0)
      return no('NO_NETWORK', 'lets no task reach any host', true);
    return offer.needs.runtime === 'runsc'
      ? no('NO_NETWORK', 'lets no task reach a host from gVisor', true)
      : undefined;
  },
  function imagePolicy(offer, view) {
    const { image } = offer.needs;
    const { allowed, requireDigest } = view.imagePolicy;
    if (allowed && !allowed.some(entry => matchesImage(entry, image)))
      return no('IMAGE_POLICY', `does not run ${image}: it is none of the images allowed here`, true);
    if (requireDigest && !parseImage(image)?.digest)
      return no('IMAGE_POLICY', `runs only images named by digest (name@sha256:…), not ${image}`, true);
    return undefined;
  },
  function image(offer, view) {
    return view.sandbox.hasImage || view.sandbox.limits.pullsImages
      ? undefined
      : no('NO_IMAGE', `has no ${offer.needs.image}, and pulls none`, false);
  },
  function taskLimits(offer, view) {
    const { maxDiskBytes, minMemoryBytes } = view.sandbox.limits;
    if (offer.needs.diskBytes > maxDiskBytes)
      return no(
        'TOO_LARGE',
        `gives one task at most ${Math.floor(maxDiskBytes / 2 ** 20)} MiB of disk`,
        true,
      );
    if (offer.needs.memoryBytes < minMemoryBytes)
      return no(
        'TOO_SMALL',
        `starts a task with at least ${Math.ceil(minMemoryBytes / 2 ** 20)} MiB of memory`,
        true,
      );
    return undefined;
  },
  function storage(offer, view) {
    return offer.needs.inputBytes > view.storageBytes
      ? no('NO_STORAGE', `has room for ${Math.floor(view.storageBytes / 2 ** 20)} MiB of inputs`, false)
      : undefined;
  },
  function size(offer, view) {
    const { milliCpus, memoryBytes, diskBytes } = view.capacity.total;
    if (!view.capacity.canHold(offer.needs)) {
      const mib = Math.floor(memoryBytes / 2 ** 20);
      const disk = Math.floor(diskBytes / 2 ** 20);
      return no(
        'TOO_LARGE',
        `lends ${milliCpus / 1000} CPUs, ${mib} MiB of memory, ${disk} MiB of disk`,
        true,
      );
    }
    return undefined;
  },
  function price(offer, view) {
    if (offer.requester !== view.self && view.price !== null && offer.maxPrice < priceOf(view.price, offer))
      return no('PRICE', 'asks for more than is offered', true);
    if (offer.maxPrice > 0n && offer.maxPrice < view.minAmount)
      return no('PRICE', 'less is offered than a lock of this network holds at least', true);
    return undefined;
  },
  function payer(offer, view) {
    if (offer.requester === view.self) return undefined;
    if (offer.maxPrice === 0n)
      return view.payerIsMember ? undefined : no('NOT_A_MEMBER', 'does unpaid work for members only', false);
    if (view.payerFunds === null) return no('NO_FUNDS_PROOF', 'the offer proves no funds', false);
    if (view.payerFunds < view.payerUnlocked + offer.maxPrice)
      return no('FUNDS', 'the payer has less than it offers', false);
    return undefined;
  },
  function judge(offer, view) {
    return offer.terms.arbiters.includes(view.self)
      ? no('ARBITER', 'may have to judge a dispute over this task', true)
      : undefined;
  },
  function terms(offer, view) {
    return offer.requester === view.self || termsAreFair(offer, view)
      ? undefined
      : no('TERMS', 'the terms are not those that a worker is safe under', true);
  },
];

const queue: Rule = ({ requester }, { capacity, slots }) => {
  const length = QUEUE_PER_SLOT * slots;
  if (capacity.queued >= length) return no('BUSY', 'the queue is full', false);
  // the other half is for the others, whenever they come
  return capacity.queuedBy(requester) >= length / 2
    ? no('BUSY', 'this requester’s tasks are half of the queue already', false)
    : undefined;
};

/** Bid or refusal with its reason; pure. On its own node's tasks a worker asks for nothing. `hasSlot`: it waits for none. */
export function decide(offer: Request, view: BidderView, { hasSlot = false } = {}): Decision {
  for (const rule of hasSlot ? rules : [...rules, queue]) {
    const refusal = rule(offer, view);
    if (refusal) return { bid: false, refusal };
  }
  return { bid: true, ask: offer.requester === view.self ? 0n : askOf(view, offer) };
}

/** The price, which may be nothing; else what a lock holds at least. */
function askOf({ price, minAmount }: BidderView, offer: Request): bigint {
  const { maxPrice } = offer;
  const ask = price === null ? maxPrice : priceOf(price, offer);
  return ask > 0n && ask < minAmount ? minAmount : ask;
}

/** Of all runs of a bundle. */
function priceOf(price: bigint, { needs }: Request): bigint {
  return price * BigInt(needs.members ?? 1);
}
