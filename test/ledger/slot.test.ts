import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CheckedReport, choose } from '../../src/ledger/choose.ts';
import * as slots from '../../src/ledger/slot.ts';
import type { ValueKind } from '../../src/ledger/value-kind.ts';
import type { CodedError } from '../../src/util/index.ts';
import { thrownCode } from './support.ts';

const test = suite('ledger: a slot');
const SLOT = 'A/x/0';
const four = { epoch: 0, faults: 1, keys: ['a', 'b', 'c', 'd'] };
const QC = new Uint8Array();

function value(digest: string, kind: ValueKind = 'order', flags = { timely: true, afford: true }) {
  return { digest, kind, value: new Uint8Array(), ...flags };
}

function report(signer: string, change: Partial<CheckedReport> = {}): CheckedReport {
  return { signer, at: 0, lock: null, known: [], ...change };
}

const entry = (digest: string, timely: boolean, afford = timely) => ({ digest, timely, afford });

test('one vote for each ballot, and none below a promise', () => {
  const voted = slots.propose(slots.NEW_SLOT, SLOT, 0, value('x'));
  assert.equal(slots.propose(voted, SLOT, 0, value('x')), voted);
  assert.is(
    thrownCode(() => slots.propose(voted, SLOT, 0, value('y'))),
    'SLOT_VOTED',
  );
  const later = slots.elect(voted, SLOT, 2, 'y');
  assert.is(
    thrownCode(() => slots.elect(later, SLOT, 2, 'x')),
    'SLOT_VOTED',
  );
  assert.is(
    thrownCode(() => slots.elect(later, SLOT, 1, 'x')),
    'SLOT_BALLOT',
  );
  assert.is(
    thrownCode(() => slots.propose(later, SLOT, 0, value('x'))),
    'SLOT_BALLOT',
  );
});

test('a commit below a promise is refused; the highest lock stays', () => {
  const locked = slots.commit(slots.NEW_SLOT, SLOT, { epoch: 0, ballot: 2 }, value('x'), QC);
  assert.equal(locked.lock, { epoch: 0, ballot: 2, digest: 'x', qc: QC });
  assert.is(locked.promised, 2);
  assert.is(
    thrownCode(() => slots.commit(locked, SLOT, { epoch: 0, ballot: 1 }, value('y'), QC)),
    'SLOT_BALLOT',
  );
  assert.is(slots.commit(locked, SLOT, { epoch: 0, ballot: 3 }, value('y'), QC).lock?.digest, 'y');
});

test('what an ended epoch left is not voted on at ballot 0, and may be recovered at once', () => {
  const locked = slots.commit(slots.NEW_SLOT, SLOT, { epoch: 0, ballot: 2 }, value('x'), QC);
  const left = slots.carryOver(locked);
  assert.equal([left.promised, left.voted, left.lock?.ballot], [0, null, 2]);
  assert.is(
    thrownCode(() => slots.propose(left, SLOT, 1, value('x'))),
    'SLOT_BALLOT',
  );
  const next = { ...four, epoch: 1 };
  assert.is(slots.recover(left, SLOT, 1, { quietMs: 0, joined: 0 }, next).promised, 1);
  assert.is(slots.commit(left, SLOT, { epoch: 1, ballot: 0 }, value('y'), QC).lock?.digest, 'y');
  assert.is(slots.carryOver(slots.elect(slots.NEW_SLOT, SLOT, 1, 'x')), slots.NEW_SLOT);
});

test('a recovery waits for quiet, twice as long at each ballot, unless it is contested or others have joined', () => {
  const voted = slots.propose(slots.learn(slots.NEW_SLOT, value('x')), SLOT, 0, value('x'));
  const attempt = (state: slots.SlotState, quietMs: number, joined = 0) => {
    try {
      return slots.recover(state, SLOT, state.promised + 1, { quietMs, joined }, four).promised;
    } catch (error) {
      return (error as CodedError).type;
    }
  };
  const early = { code: 'RECOVER_EARLY', slot: SLOT, ballot: 0, waitMs: 1 };
  assert.equal(attempt(voted, 499), early);
  assert.is(attempt(voted, 500), 1);
  assert.is(attempt(slots.learn(voted, value('y')), 0), 1);
  assert.is(attempt(voted, 0, 2), 1);
  assert.is((attempt(voted, 0, 1) as { code: string }).code, 'RECOVER_EARLY');
  const second = slots.recover(voted, SLOT, 1, { quietMs: 500, joined: 0 }, four);
  assert.equal(attempt(slots.learn(second, value('y')), 999), { ...early, ballot: 1 });
  assert.is(attempt(second, 1000), 2);
  assert.is(
    thrownCode(() => slots.recover(second, SLOT, 1, { quietMs: 9_999, joined: 4 }, four)),
    'SLOT_BALLOT',
  );
  assert.is((attempt(slots.NEW_SLOT, 9_999) as { code: string }).code, 'RECOVER_EARLY');
});

test('statements of one kind are remembered up to four, and shut out no other kind', () => {
  let state = slots.NEW_SLOT;
  for (const digest of ['a', 'b', 'c', 'd', 'e']) state = slots.learn(state, value(digest, 'claim'));
  assert.is(state.known.length, 4);
  assert.is(slots.learn(state, value('x', 'accept')).known.length, 5);
  assert.is(slots.learn(state, value('t', 'timeout')).known.length, 4);
  const locked = slots.commit(state, SLOT, { epoch: 0, ballot: 0 }, value('e', 'claim'), QC);
  assert.is(locked.known.length, 5);
});

test('a coordinator speaks once for a ballot, and each ballot has another', () => {
  const spoken = slots.coordinate(slots.NEW_SLOT, SLOT, 3);
  assert.is(
    thrownCode(() => slots.coordinate(spoken, SLOT, 3)),
    'SLOT_PROPOSED',
  );
  assert.is(
    thrownCode(() => slots.coordinate(spoken, SLOT, 2)),
    'SLOT_PROPOSED',
  );
  assert.is(new Set([1, 2, 3, 4].map(ballot => slots.coordinatorOf(SLOT, ballot, four))).size, 4);
});

test('choice: the highest lock, then the word of the parties, then what is in time or affordable for more than can lie', () => {
  const candidates = ['a', 'b'].map(digest => ({ digest, kind: 'order' as const }));
  const skip = { digest: 'skip', notBefore: null };
  const locks = [
    report('a', { lock: { epoch: 0, ballot: 1, digest: 'x' } }),
    report('b', { lock: { epoch: 0, ballot: 2, digest: 'y' } }),
    report('c'),
  ];
  assert.is(choose(locks, candidates, skip, four), 'y');
  const later = report('c', { lock: { epoch: 1, ballot: 0, digest: 'z' } });
  assert.is(choose([...locks, later], candidates, skip, four), 'z');
  const known = (...flags: boolean[]) =>
    flags.map((flag, i) => report(`n${i}`, { known: [entry('b', flag), entry('a', false)] }));
  assert.is(choose(known(true, true, false), candidates, skip, four), 'b');
  assert.is(choose(known(true, false, false), candidates, skip, four), 'skip');
  const evidence = [
    { digest: 'claim', kind: 'claim' as const },
    { digest: 'cancel', kind: 'cancel' as const },
    { digest: 'accept2', kind: 'accept' as const },
    { digest: 'accept1', kind: 'accept' as const },
  ];
  assert.is(choose(known(false), evidence, null, four), 'accept1');
  assert.is(choose(known(false), evidence.slice(0, 2), null, four), 'cancel');
});

test('a time-out only from reports that are all from after it, and never over a claim that two call timely', () => {
  const refund = { digest: 'refund', notBefore: 100 };
  const claim = [{ digest: 'claim', kind: 'claim' as const }];
  const reports = (...times: number[]) => times.map((at, i) => report(`n${i}`, { at }));
  assert.is(choose(reports(100, 100, 100), [], refund, four), 'refund');
  assert.is(choose(reports(100, 100, 99), [], refund, four), null);
  const timely = (...flags: boolean[]) =>
    flags.map((flag, i) => report(`n${i}`, { at: 200, known: [entry('claim', flag)] }));
  assert.is(choose(timely(true, true, false), claim, refund, four), 'claim');
  assert.is(choose(timely(true, false, false), claim, refund, four), 'refund');
});

test('an invite is redeemed when more than can lie call it timely and affordable, each both', () => {
  const redeem = [{ digest: 'redeem', kind: 'redeem' as const }];
  const chosen = (...flags: [timely: boolean, afford: boolean][]) =>
    choose(
      flags.map(([timely, afford], i) => report(`n${i}`, { known: [entry('redeem', timely, afford)] })),
      redeem,
      null,
      four,
    );
  assert.is(chosen([true, true], [true, true], [false, true]), 'redeem');
  assert.is(chosen([true, true], [false, true], [false, true]), null);
  assert.is(chosen([true, true], [true, false], [false, true]), null);
});

test.run();
