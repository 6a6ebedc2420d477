import { readLock } from '../../ledger/index.ts';
import { codeOf, messageOf, withDeadline } from '../../util/index.ts';
import {
  type StatusState,
  seal,
  statusAnswerMessage,
  statusRequestMessage,
  timeoutKind,
} from '../../wire/index.ts';
import { CLAIM_MARGIN_MS, NOTARY_GRACE_MS, REDIAL_MAX_MS, REDIAL_MIN_MS } from '../options.ts';
import type { WorkerComponents } from './interface.ts';
import type { Lease } from './lease.ts';

/** One request to a notary or a requester, from the sweep. */
const STEP_TIMEOUT_MS = 10_000;

/**
 * Brings one lease that is not settled a step further: gives a lock back, reminds an absent requester of its result, claims
 * what was earned before the claim's time is over. Called by the sweep; safe to call at any time.
 */
export async function closeLease(components: WorkerComponents, lease: Lease): Promise<void> {
  const { record } = lease;
  const now = components.clock.now();
  const claimBy = lease.award.awardedAt + lease.offer.terms.claimMs;
  try {
    if (record.state === 'given_up') return await giveBack(components, lease, claimBy);
    if (record.state !== 'attested') return;
    if (!lease.attached) await remind(components, lease);
    if (record.lock && now >= claimBy - CLAIM_MARGIN_MS / 2) await claim(components, lease, now);
    else if (!record.lock && now > record.updatedAt + components.options.retentionMs)
      await lease.save({ state: 'settled' });
  } catch (error) {
    components.logger.debug(
      { task: lease.key, code: codeOf(error), error: messageOf(error) },
      'closing a lease: later',
    );
  }
}

async function giveBack(components: WorkerComponents, lease: Lease, claimBy: number): Promise<void> {
  const { record } = lease;
  if (record.lock && record.evidence) return settleBy(components, lease, record.evidence);
  // without a lock by now there will be none: its own deadline has passed
  if (components.clock.now() > claimBy) await lease.save({ state: 'settled' });
}

async function claim(components: WorkerComponents, lease: Lease, now: number): Promise<void> {
  const { genesis } = components;
  const { attestation, escrowId } = lease.record;
  const { claimMs, disputeMs } = lease.offer.terms;
  if (!attestation || !escrowId) return;
  const disputeBy = lease.award.awardedAt + claimMs + disputeMs;
  if (now > disputeBy + NOTARY_GRACE_MS)
    return settleBy(
      components,
      lease,
      seal(timeoutKind, { net: genesis.net, escrowId, step: 'claim' }).bytes,
    );
  return settleBy(components, lease, attestation);
}

async function settleBy(components: WorkerComponents, lease: Lease, evidence: Uint8Array): Promise<void> {
  const { settlement, committee, clock, logger } = components;
  if (!lease.record.lock) return;
  const escrow = readLock(lease.record.lock, lease.record, committee);
  const closing = await withDeadline(
    STEP_TIMEOUT_MS,
    'settling',
    signal => settlement.settle(escrow, evidence, { signal }),
    { clock },
  );
  if (closing === 'pending') return;
  await settlement.observe([closing.decided]);
  await lease.save({ state: 'settled', close: closing.decided });
  logger.info({ task: lease.key, outcome: closing.outcome }, 'lease settled');
}

/** Tells a requester that was away that its result is here, at growing intervals; it attaches if it wants it. */
async function remind(components: WorkerComponents, lease: Lease): Promise<void> {
  const { clock } = components;
  const now = clock.monotonic();
  if (now < lease.redialAt) return;
  lease.redialMs = Math.min(REDIAL_MAX_MS, Math.max(REDIAL_MIN_MS, lease.redialMs * 2));
  lease.redialAt = now + lease.redialMs;
  const state = await askStatus(components, lease);
  // a requester that went on elsewhere will not pay by itself: what is owed is claimed in time; unpaid work is done with
  if (state === 'superseded' && lease.record.price === 0n) await lease.save({ state: 'settled' });
  if (state === 'settled') await noteClosing(components, lease);
}

/** The requester says that it is closed: the notaries know how. */
async function noteClosing({ settlement, committee, clock }: WorkerComponents, lease: Lease): Promise<void> {
  if (!lease.record.lock) return lease.save({ state: 'settled' });
  const escrow = readLock(lease.record.lock, lease.record, committee);
  const look = (signal: AbortSignal) => settlement.inspect(escrow, { signal });
  const closing = await withDeadline(STEP_TIMEOUT_MS, 'asking the notaries', look, { clock });
  if (closing === 'open') return;
  await settlement.observe([closing.decided]);
  await lease.save({ state: 'settled', close: closing.decided });
}

async function askStatus({ network, clock }: WorkerComponents, lease: Lease): Promise<StatusState> {
  const { taskId, replica, attempt, requester } = lease.record;
  const request = statusRequestMessage.encode({ taskId, replica, attempt });
  const answer = await withDeadline(
    STEP_TIMEOUT_MS,
    'asking the requester',
    signal => network.call(requester, 'status', request, { signal }),
    { clock },
  );
  return statusAnswerMessage.decode(answer).state;
}
