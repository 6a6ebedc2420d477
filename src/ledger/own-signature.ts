import type { Certificate } from '../wire/index.ts';
import type { BallotContext } from './ballots.ts';
import type { Signed } from './evidence.ts';
import { isAbove } from './slot.ts';

/** A notary keeps what it committed to until the slot is decided: true for a signature of our own that nothing here tells of. */
export function isForgotten(
  { body: { epoch, slot, ballot }, signers }: Pick<Signed<Certificate>, 'body' | 'signers'>,
  { self, committee, book }: BallotContext,
): boolean {
  if (!signers.includes(self) || epoch !== committee.epoch || book.slot(slot)) return false;
  const { lock } = book.ballot(slot);
  return !lock || isAbove({ epoch, ballot }, lock);
}
