import { CodedError } from '../util/index.ts';
import { sameBytes, type Vote } from '../wire/index.ts';
import { type BallotContext, type Intent, known } from './ballots.ts';
import { checkCertificate } from './certificates.ts';
import type { Committee } from './committee.ts';
import type { Signed } from './evidence.ts';
import { carryOver, inherit } from './slot.ts';
import type { Stated } from './statement.ts';

/** A statement that a notary had committed to, and the votes for it, as they came, signatures checked. */
export interface LeftLock {
  readonly qc: Signed<Vote>;
  /** The same as bytes. */
  readonly bytes: Uint8Array;
  readonly value: Stated;
}

/** What one notary leaves of the epoch before; all that it knew to be decided then was taken in. */
export interface Left {
  readonly signer: string;
  readonly locks: readonly LeftLock[];
}

export type HandoverErrorType =
  | { code: 'HANDOVERS_FEW'; epoch: number; handovers: number }
  | { code: 'HANDOVER_INVALID'; slot: string };

/** That each lock has a quorum's votes, of any epoch up to now, for the statement beside them. @throws CodedError `HANDOVER_INVALID`, `CERTIFICATE_INVALID`. */
export function checkLeft({ locks }: Left, committee: Committee): void {
  for (const { qc, value } of locks) {
    checkCertificate(qc, committee);
    const { slot } = qc.body;
    if (!sameBytes(qc.body.value, Buffer.from(value.digest, 'hex')))
      throw new CodedError<HandoverErrorType>(
        { code: 'HANDOVER_INVALID', slot },
        `the votes for ${slot} are for another statement`,
      );
  }
}

/**
 * Begins the epoch of the committee with what a quorum of the one before left: whatever was or may still be decided then, one
 * honest notary among them had committed to, and its lock, the highest of its slot, is here from now on.
 * @throws CodedError `HANDOVERS_FEW`.
 */
export function begin(left: readonly Left[], context: BallotContext): Intent {
  const { self, book, committee } = context;
  const { previous, epoch } = committee;
  if (book.epoch === epoch) return { type: 'begun' };
  const signers = new Set(left.flatMap(({ signer }) => (previous?.keys.includes(signer) ? [signer] : [])));
  if (!previous || signers.size < previous.quorum)
    throw new CodedError<HandoverErrorType>(
      { code: 'HANDOVERS_FEW', epoch, handovers: signers.size },
      `${signers.size} notaries have handed over to epoch ${epoch}: more are needed`,
    );
  for (const slot of book.undecided()) book.setBallot(slot, carryOver(book.ballot(slot)));
  for (const { qc, bytes, value } of left.flatMap(({ locks }) => locks)) {
    const { slot, epoch: lockEpoch, ballot } = qc.body;
    if (book.slot(slot)) continue;
    const lock = { epoch: lockEpoch, ballot, digest: value.digest, qc: bytes };
    book.setBallot(slot, inherit(book.ballot(slot), lock, known(value, { timely: false, afford: false })));
  }
  const isContinued = book.epoch === previous.epoch && previous.keys.includes(self);
  book.begin(epoch, isContinued ? book.since : epoch);
  return { type: 'begun' };
}
