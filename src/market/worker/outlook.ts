import { availableParallelism, loadavg } from 'node:os';
import { type Funds, fundsKind, open, sameBytes } from '../../wire/index.ts';
import type { BidderView, Request } from '../bidder.ts';
import type { Line } from '../capacity.ts';
import { type MachineLoad, whyPaused } from '../lending.ts';
import { PLACE_MS } from '../options.ts';
import type { WorkerComponents } from './interface.ts';

/** A funds statement older than this proves nothing; the skew of clocks is allowed for. What was bid on may have had a place since. */
const FUNDS_MAX_AGE_MS = 65_000;
const HELD_FUNDS_MAX_AGE_MS = FUNDS_MAX_AGE_MS + PLACE_MS;

export type OutlookComponents = Pick<
  WorkerComponents,
  'blobs' | 'executor' | 'signer' | 'genesis' | 'settlement' | 'membership' | 'clock' | 'options'
>;

/** What a worker knows at this moment, as far as it matters for one request. @throws WireError for funds that are none. */
export function biddersView(
  components: OutlookComponents,
  init: {
    readonly line: Line;
    readonly draining: boolean;
    readonly payerUnlocked: bigint;
    readonly hasSlot: boolean;
  },
  offer: Request,
): BidderView {
  const { clock, signer, executor, blobs, options, settlement, membership, genesis } = components;
  const status = executor.status();
  const funds = fundsOf(components, offer, init.hasSlot ? HELD_FUNDS_MAX_AGE_MS : FUNDS_MAX_AGE_MS);
  const now = clock.now();
  return {
    now,
    self: signer.peer,
    draining: init.draining,
    workerEnabled: options.workerEnabled,
    paused: whyPaused(options.lending, now, machineLoad(init.line)),
    sandbox: {
      available: status.available,
      reason: status.reason,
      limits: executor.limits(),
      hasImage: executor.hasImage(offer.needs.image),
    },
    architecture: process.arch,
    storageBytes: blobs.free(),
    capacity: init.line,
    slots: options.slots,
    price: options.price,
    minAmount: genesis.genesis.minAmount,
    imagePolicy: options.imagePolicy,
    windows: options.windows,
    // whoever is trusted with all the money may judge over some
    arbiters: [...settlement.committee.keys, ...options.arbiters],
    payerFunds: funds?.balance ?? null,
    payerUnlocked: init.payerUnlocked,
    payerIsMember: membership.has(offer.requester),
  };
}

function machineLoad({ total, free }: Line): MachineLoad {
  const [load = 0] = loadavg();
  return { load, cores: availableParallelism(), heldMilliCpus: total.milliCpus - free.milliCpus };
}

/** The statement in an offer, if notaries of this network signed it about this requester, lately. */
function fundsOf(
  { genesis, settlement, clock }: OutlookComponents,
  offer: Request,
  maxAgeMs: number,
): Funds | undefined {
  const { committee } = settlement;
  if (!offer.funds) return undefined;
  const funds = open(fundsKind, offer.funds);
  const signed = funds.signers.filter(peer => committee.keys.includes(peer)).length;
  const fresh = Math.abs(clock.now() - funds.body.at) <= maxAgeMs;
  const fits = funds.body.account === offer.requester && sameBytes(funds.body.net, genesis.net);
  return signed >= committee.quorum && fresh && fits ? funds.body : undefined;
}
