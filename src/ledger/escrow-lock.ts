import { CodedError } from '../util/index.ts';
import { type Lock, sha256, toHex } from '../wire/index.ts';

export type EscrowState = 'OPEN' | 'CLAIMED' | 'DISPUTED' | 'PAID' | 'REFUNDED' | 'SPLIT';

/** An escrow as the ledger keeps it. */
export interface LedgerEscrow {
  readonly escrowId: string;
  readonly requester: string;
  readonly lock: Lock;
  readonly state: EscrowState;
  /** Steps decided so far: the next one is slot E/<escrowId>/<steps>. */
  readonly steps: number;
  /** What the worker's side got, its fee included; 0 until it closes. */
  readonly pay: bigint;
  /** The part of `pay` that went to the treasury. */
  readonly fee: bigint;
}

export type LockErrorType = { code: 'LOCK_TERMS'; field: string };

function refuse(field: string, message: string): never {
  throw new CodedError<LockErrorType>({ code: 'LOCK_TERMS', field }, message);
}

function checkKeys(field: string, keys: readonly string[], quorum: number, parties: readonly string[]): void {
  if (keys.length === 0) return;
  if (new Set(keys).size !== keys.length) refuse(field, `the lock names one of its ${field} twice`);
  if (keys.some(key => parties.includes(key))) refuse(field, `a party of the lock is among its ${field}`);
  if (quorum < 1 || quorum > keys.length)
    refuse(field, `a quorum of ${quorum} does not fit ${keys.length} ${field}`);
}

/**
 * The rules of a lock beyond its schema (which holds amounts above 0 and deadlines in order).
 * @throws CodedError `LOCK_TERMS { field }`.
 */
export function checkLock(requester: string, lock: Lock): void {
  if (lock.worker === requester) refuse('worker', 'a lock cannot name its own requester as worker');
  const parties = [requester, lock.worker];
  checkKeys('verifiers', lock.verifiers, lock.verifierQuorum, parties);
  checkKeys('arbiters', lock.arbiters, lock.arbiterQuorum, parties);
}

/**
 * The arbiters that may judge: drawn by hash from those that the lock names, so that neither party picks them. As many as
 * make the quorum a majority, so that two verdicts can never both have one. The draw hangs on the escrow's id, which is the
 * same in every certificate of the lock, whatever ballot decided it.
 */
export function drawArbiters(escrowId: string, lock: Lock): string[] {
  const rank = (peer: string) =>
    toHex(sha256(Buffer.from('dux-arbiter'), Buffer.from(escrowId, 'hex'), Buffer.from(peer)));
  return lock.arbiters
    .map(peer => ({ peer, rank: rank(peer) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .slice(0, 2 * lock.arbiterQuorum - 1)
    .map(({ peer }) => peer);
}

/** The worker's share when a dispute finds no verdict: as agreed, and half where nobody was named who could judge. */
export function defaultPay(lock: Lock): bigint {
  const permille = lock.arbiters.length > 0 ? lock.defaultPermille : 500;
  return (lock.amount * BigInt(permille)) / 1000n;
}

/** A new escrow. @throws CodedError `LOCK_TERMS`. */
export function openEscrow(escrowId: string, requester: string, lock: Lock): LedgerEscrow {
  checkLock(requester, lock);
  return { escrowId, requester, lock, state: 'OPEN', steps: 0, pay: 0n, fee: 0n };
}

/** True while the escrow holds money. */
export function holdsMoney(escrow: LedgerEscrow): boolean {
  return escrow.state === 'OPEN' || escrow.state === 'CLAIMED' || escrow.state === 'DISPUTED';
}
