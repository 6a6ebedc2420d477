import { drawArbiters, type Escrow, type Standing } from '../../ledger/index.ts';
import {
  type AttemptRecord,
  disputeKind,
  type EscrowRecord,
  peekKind,
  seal,
  timeoutKind,
} from '../../wire/index.ts';
import { NOTARY_GRACE_MS } from '../options.ts';
import type { RequesterComponents } from './interface.ts';

export const MAX_EVIDENCE_BYTES = 4096;

export function isDispute(evidence: Uint8Array): boolean {
  return peekKind(evidence, MAX_EVIDENCE_BYTES) === disputeKind.name;
}

/** What a task's record shows of an escrow in this state. */
export function escrowRecord(
  { escrowId, lock }: Escrow,
  state: EscrowRecord['state'],
  { closedBy = null, finding = null }: Partial<Pick<EscrowRecord, 'closedBy' | 'finding'>> = {},
): EscrowRecord {
  const { claimBy, disputeBy, verdictBy } = lock;
  const arbiters = drawArbiters(escrowId, lock);
  return { state, claimBy, disputeBy, verdictBy, arbiters, closedBy, finding };
}

/**
 * What a requester alone can do next in this state of an escrow: deny a claim while there is time, unless its result was taken
 * (`isTaken`); else have done what time alone decides.
 */
export function ownStep(
  { genesis, signer, clock }: Pick<RequesterComponents, 'genesis' | 'signer' | 'clock'>,
  { failure, evidence }: AttemptRecord,
  { escrowId, lock }: Escrow,
  standing: Standing,
  isTaken: boolean,
): Uint8Array | undefined {
  const { net } = genesis;
  const now = clock.now();
  const timeout = (limit: number, step: 'refund' | 'claim' | 'arbitration') =>
    now > limit + NOTARY_GRACE_MS ? seal(timeoutKind, { net, escrowId, step }).bytes : undefined;
  if (standing.dispute) return timeout(lock.verdictBy, 'arbitration');
  if (!standing.claim) return timeout(lock.claimBy, 'refund');
  if (isTaken || now > lock.disputeBy) return timeout(lock.disputeBy, 'claim');
  if (evidence && isDispute(evidence)) return evidence;
  return seal(disputeKind, { net, escrowId, reason: failure?.code ?? 'NOT_DELIVERED' }, signer).bytes;
}
