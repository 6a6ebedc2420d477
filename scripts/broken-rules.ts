/** A rule of the ledger, broken. */
export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Test files that may notice, in this order. */
  readonly tests: readonly string[];
}

const SCHEDULES = 'test/ledger/schedules.test.ts';
const SLOT = 'test/ledger/slot.test.ts';
const REPORTS = 'test/ledger/reports.test.ts';
const ESCROW = 'test/ledger/escrow.test.ts';
const PROMOTION = 'test/ledger/promotion.test.ts';

export const MUTANTS: readonly Mutant[] = [
  {
    name: 're-vote',
    file: 'src/ledger/slot.ts',
    from: 'state.voted.ballot === ballot && state.voted.digest !== digest',
    to: 'state.voted.ballot > ballot && state.voted.digest !== digest',
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'commit that ignores the promise',
    file: 'src/ledger/slot.ts',
    from: `  if (ballot < state.promised) pastBallot(slot, state.promised);
  // Votes of two quorums`,
    to: '  // Votes of two quorums',
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'two commits in one ballot',
    file: 'src/ledger/slot.ts',
    from: 'lock.ballot === ballot && lock.digest !== value.digest',
    to: 'lock.ballot > ballot && lock.digest !== value.digest',
    tests: ['test/ledger/witness.test.ts'],
  },
  {
    name: 'a lost disk unnoticed',
    file: 'src/ledger/own-signature.ts',
    from: 'return !lock || isAbove({ epoch, ballot }, lock);',
    to: 'return lock !== null && isAbove({ epoch, ballot }, lock);',
    tests: ['test/ledger/power.test.ts'],
  },
  {
    name: 'negative amount',
    file: 'src/wire/primitives.ts',
    from: 'amount >= 0n && amount <= MAX_AMOUNT',
    to: 'amount <= MAX_AMOUNT',
    tests: ['test/wire/numbers.test.ts'],
  },
  {
    name: 'unchecked QC',
    file: 'src/ledger/ballots.ts',
    from: '  checkCertificate({ body, signers }, committee);\n  checkValue',
    to: '  checkValue',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'no seq check',
    file: 'src/ledger/accounts.ts',
    from: '  if (seq !== account.seq)\n',
    to: '  if (seq < 0)\n',
    tests: ['test/ledger/accounts.test.ts', SCHEDULES],
  },
  {
    name: 'afford > 0',
    file: 'src/ledger/choose.ts',
    from: "count(digest, 'afford') > faults",
    to: "count(digest, 'afford') > 0",
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'forged report lock',
    file: 'src/ledger/reports.ts',
    from: '  if (!lock) return true;',
    to: '  if (!lock || lock) return true;',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'stale reports',
    file: 'src/ledger/reports.ts',
    from: 'body.ballot !== ballot || ',
    to: '',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'timely > 0',
    file: 'src/ledger/choose.ts',
    from: "count(digest, 'timely') > faults",
    to: "count(digest, 'timely') > 0",
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'no time check of a time-out',
    file: 'src/ledger/choose.ts',
    from: 'return notBefore === null || reports.every(({ at }) => at >= notBefore) ? digest : null;',
    to: 'return digest;',
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'statement left out of what is shown',
    file: 'src/ledger/ballot-recovery.ts',
    from: '!namedByHonest(reports, committee).every(isShown)',
    to: 'namedByHonest(reports, committee).length < 0',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'not frozen',
    file: 'src/ledger/ballots.ts',
    from: 'book.isFrozen || book.epoch !== epoch || asked !== epoch',
    to: 'asked !== epoch',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'handover from one',
    file: 'src/ledger/handover.ts',
    from: 'signers.size < previous.quorum',
    to: 'signers.size < 1',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'lock not inherited',
    file: 'src/ledger/handover.ts',
    from: '    if (book.slot(slot)) continue;',
    to: '    continue;',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'vote over an inherited lock',
    file: 'src/ledger/slot.ts',
    from: 'state.promised > 0 || isInherited(state, epoch)',
    to: 'state.promised > 0',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'lock of an older epoch above a newer',
    file: 'src/ledger/slot.ts',
    from: 'a.epoch === b.epoch ? a.ballot > b.ballot : a.epoch > b.epoch',
    to: 'a.ballot > b.ballot',
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'no time check of a claim',
    file: 'src/ledger/escrow.ts',
    from: 'limit !== undefined && nowMs > limit',
    to: 'limit !== undefined && nowMs < 0',
    tests: [ESCROW],
  },
  {
    name: 'time-out without its grace',
    file: 'src/ledger/escrow.ts',
    from: 'ended === undefined || nowMs >= ended + GRACE_MS',
    to: 'ended === undefined || nowMs >= ended',
    tests: [ESCROW],
  },
  {
    name: 'a notary at first sight',
    file: 'src/ledger/promotion.ts',
    from: 'seen.awayMs === 0 && seen.hereMs >= LONG_MS',
    to: 'seen.awayMs === 0',
    tests: [PROMOTION],
  },
  {
    name: 'two notaries by one invite',
    file: 'src/ledger/promotion.ts',
    from: 'taken.add(account).add(invite)',
    to: 'taken.add(account)',
    tests: [PROMOTION],
  },
  {
    name: 'removed, and back by itself',
    file: 'src/ledger/promotion.ts',
    from: 'past = past.previous',
    to: 'past = null',
    tests: [PROMOTION],
  },
  {
    name: 'a change that a quorum cannot decide',
    file: 'src/ledger/promotion.ts',
    from: '  if (here.length < quorum) return null;\n',
    to: '',
    tests: [PROMOTION],
  },
];
