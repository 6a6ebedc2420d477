import type { Certificate } from '../wire/index.ts';
import type { BallotContext } from './ballots.ts';
import type { Signed } from './evidence.ts';
import { ledgerLost } from './notary-state.ts';

/**
 * A notary that signed a certificate keeps what it committed to until the slot is decided.
 * @throws CodedError `LEDGER_LOST` for a signature of our own that nothing here tells of.
 */
export function checkMemory(
  { body: { epoch, slot, ballot }, signers }: Pick<Signed<Certificate>, 'body' | 'signers'>,
  { self, committee, book }: BallotContext,
): void {
  if (!signers.includes(self) || epoch !== committee.epoch || book.slot(slot)) return;
  const { lock } = book.ballot(slot);
  if (!lock || lock.ballot < ballot) throw ledgerLost();
}
