import { readLock } from '../../ledger/index.ts';
import { type Abortable, CodedError, codeOf, hasCode, messageOf, withDeadline } from '../../util/index.ts';
import {
  cancelKind,
  peekKind,
  type StatusState,
  seal,
  statusAnswerMessage,
  statusRequestMessage,
  timeoutKind,
} from '../../wire/index.ts';
import {
  CLAIM_LEAD_MS,
  CLAIM_RETRY_MAX_MS,
  NOTARY_GRACE_MS,
  REDIAL_MAX_MS,
  REDIAL_MIN_MS,
} from '../options.ts';
import type { WorkerComponents } from './interface.ts';
import type { Lease } from './lease.ts';

/** One request to a notary or a requester, from the sweep. */
const STEP_TIMEOUT_MS = 10_000;
const MAX_EVIDENCE_BYTES = 4096;

type Parts = Pick<WorkerComponents, 'network' | 'settlement' | 'genesis' | 'clock' | 'logger'> &
  Pick<WorkerComponents, 'options'> & { readonly signal: AbortSignal };

/**
 * Brings one lease that is not settled a step further: gives a lock back, asks an absent requester whether it still wants its result,
 * claims what was earned before the claim's time is over. Called by the sweep; safe to call at any time. Never rejects.
 */
export async function closeLease(
  components: WorkerComponents,
  lease: Lease,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const parts: Parts = { ...components, signal };
  const { logger, clock } = components;
  const { state, lock } = lease.record;
  const leftMs = claimByOf(lease) - clock.now();
  const leadMs = Math.min(CLAIM_LEAD_MS, lease.offer.terms.claimMs / 4);
  const claims = state === 'attested' && lock !== null && (lease.contested || leftMs <= leadMs);
  const longestMs = claims && leftMs >= 0 ? CLAIM_RETRY_MAX_MS : REDIAL_MAX_MS;
  if (!isDue(lease, claims, longestMs, clock.monotonic())) return;
  try {
    if (claims) await claim(parts, lease);
    else if (state === 'given_up') await giveBack(parts, lease);
    else if (!lease.outlet.attached) await ask(parts, lease);
  } catch (error) {
    logger.debug({ task: lease.key, code: codeOf(error), error: messageOf(error) }, 'closing a lease: later');
  }
}

function claimByOf({ award, offer }: Lease): number {
  return award.awardedAt + offer.terms.claimMs;
}

/** Steps come at growing intervals, from the start again once a claim is due; none while its requester listens. */
function isDue(lease: Lease, claims: boolean, longestMs: number, now: number): boolean {
  const begins = claims && !lease.claiming;
  lease.claiming = claims;
  if (begins || (lease.outlet.attached && lease.record.state !== 'given_up')) {
    lease.stepAt = 0;
    lease.stepMs = 0;
  }
  if (now < lease.stepAt) return false;
  lease.stepMs = Math.min(longestMs, Math.max(REDIAL_MIN_MS, lease.stepMs * 2));
  lease.stepAt = now + lease.stepMs;
  return true;
}

/** A cancellation needs our signature alone; a split also the requester's, which fetches it or lets it be. */
async function giveBack(parts: Parts, lease: Lease): Promise<void> {
  const { lock, evidence, escrowId } = lease.record;
  const isCancel = evidence !== null && peekKind(evidence, MAX_EVIDENCE_BYTES) === cancelKind.name;
  const isOver = parts.clock.now() > claimByOf(lease) + NOTARY_GRACE_MS;
  if (lock && isCancel) return settleBy(parts, lease, evidence);
  // its requester may be gone for good
  if (lock && escrowId && isOver) return settleBy(parts, lease, timeout(parts, escrowId, 'refund'));
  if (lock) return noteClosing(parts, lease);
  // without a lock by now there will be none: its own deadline has passed
  if (isOver) await lease.settle({}, null);
}

function timeout({ genesis }: Parts, escrowId: string, step: 'refund' | 'claim' | 'arbitration'): Uint8Array {
  return seal(timeoutKind, { net: genesis.net, escrowId, step }).bytes;
}

/** The claim in its time; after that, what time alone decides: the first that has its place in the escrow's state. */
async function claim(parts: Parts, lease: Lease): Promise<void> {
  const { attestation, escrowId } = lease.record;
  if (!attestation || !escrowId) return;
  const { disputeMs, verdictMs } = lease.offer.terms;
  const claimBy = claimByOf(lease);
  const disputeBy = claimBy + disputeMs;
  const verdictBy = disputeBy + verdictMs;
  const isOver = (limit: number) => parts.clock.now() > limit + NOTARY_GRACE_MS;
  const steps = [
    ...(isOver(disputeBy) ? [timeout(parts, escrowId, 'claim')] : [attestation]),
    ...(isOver(verdictBy) ? [timeout(parts, escrowId, 'arbitration')] : []),
    // this node was away while it could have claimed: it is not owed anything any more, and nothing may stay locked
    ...(isOver(claimBy) ? [timeout(parts, escrowId, 'refund')] : []),
  ];
  for (const [i, evidence] of steps.entries())
    try {
      return await settleBy(parts, lease, evidence);
    } catch (error) {
      if (!hasCode(error, 'LEDGER_REFUSED') || i === steps.length - 1) throw error;
    }
}

async function settleBy(parts: Parts, lease: Lease, evidence: Uint8Array): Promise<void> {
  const { settlement, logger } = parts;
  if (!lease.record.lock) return;
  const escrow = readLock(lease.record.lock, lease.record, settlement.committee);
  const closing = await within(parts, 'settling', options => settlement.settle(escrow, evidence, options));
  if (closing === 'pending') return;
  await settlement.observe([closing.decided]);
  await lease.settle({ close: closing.decided }, closing);
  logger.info({ task: lease.key, outcome: closing.outcome }, 'lease settled');
}

/** A requester that does not listen is asked whether it still waits; it attaches by itself if it does. */
async function ask(parts: Parts, lease: Lease): Promise<void> {
  const { clock, options } = parts;
  const { state: before, updatedAt, lock, price } = lease.record;
  if (before === 'attested' && !lock && clock.now() > updatedAt + options.retentionMs)
    return lease.settle({}, null);
  const state = await askStatus(parts, lease);
  const over = state === 'superseded' || state === 'settled';
  // it will not pay by itself: what is owed is claimed, and a dispute has its place on the claim
  if (state === 'superseded') lease.contested = true;
  if (lease.record.state === 'accepted' && over)
    lease.stop.abort(
      new CodedError({ code: 'SUPERSEDED' }, 'its requester has gone on without this attempt'),
    );
  if (lease.record.state !== 'attested') return;
  // unpaid work is done with
  if (state === 'superseded' && price === 0n) await lease.settle({}, null);
  if (state === 'settled') await noteClosing(parts, lease);
}

/** The requester says that it is closed: the notaries know how. */
async function noteClosing(parts: Parts, lease: Lease): Promise<void> {
  const { settlement } = parts;
  if (!lease.record.lock) return lease.settle({}, null);
  const escrow = readLock(lease.record.lock, lease.record, settlement.committee);
  const asked = within(parts, 'asking the notaries', options => settlement.inspect(escrow, options));
  const { closing } = await asked;
  if (!closing) return;
  await settlement.observe([closing.decided]);
  await lease.settle({ close: closing.decided }, closing);
}

async function askStatus(parts: Parts, lease: Lease): Promise<StatusState> {
  const { taskId, replica, attempt, requester } = lease.record;
  const request = statusRequestMessage.encode({ taskId, replica, attempt });
  const answer = await within(parts, 'asking the requester', options =>
    parts.network.call(requester, 'status', request, options),
  );
  return statusAnswerMessage.decode(answer).state;
}

function within<T>(
  { clock, signal }: Parts,
  what: string,
  fn: (options: Required<Abortable>) => Promise<T>,
): Promise<T> {
  return withDeadline(STEP_TIMEOUT_MS, what, signal => fn({ signal }), { signal, clock });
}
