import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Signed } from '../../src/ledger/evidence.ts';
import { checkLeft } from '../../src/ledger/handover.ts';
import { checkReports, type SignedReport } from '../../src/ledger/reports.ts';
import { coordinatorOf } from '../../src/ledger/slot.ts';
import { kindOf } from '../../src/ledger/statement.ts';
import { type Report, toHex, type Vote } from '../../src/wire/index.ts';
import { SimNotary } from './sim-notary.ts';
import { makeWorld, T0 } from './sim-world.ts';
import { thrownCode } from './support.ts';

const test = suite('ledger: reports');
const world = makeWorld(4);
const { committee, keys, info } = world;
const [value, rival] = world.values as [(typeof world.values)[0], (typeof world.values)[0]];
const slot = `A/${value.statement.type === 'order' ? value.statement.order.body.account : ''}/0`;
const digestOf = (digest: string) => new Uint8Array(Buffer.from(digest, 'hex'));

function votes(ballot: number, ...signers: number[]): Signed<Vote> {
  const body = { net: info.net, epoch: 0, slot, ballot, value: digestOf(value.digest) };
  return { body, signers: signers.map(i => keys[i]!.peer), digest: new Uint8Array() };
}

function report(index: number, change: Partial<Report> = {}, qc: Signed<Vote> | null = null): SignedReport {
  const body = { net: info.net, epoch: 0, slot, ballot: 2, at: T0, lock: null, known: [], ...change };
  return { report: { body, signers: [keys[index]!.peer], digest: new Uint8Array() }, qc };
}

const lock = (ballot: number) => ({ lock: { epoch: 0, ballot, value: digestOf(value.digest) } });
const check = (...last: SignedReport[]) =>
  thrownCode(() => checkReports(slot, 2, [report(0), report(1), ...last], committee));

test('a quorum of reports for this ballot counts, each notary once', () => {
  assert.is(check(report(2)), null);
  for (const bad of [
    report(1),
    report(2, { ballot: 1 }),
    report(2, { ballot: 3 }),
    report(2, { slot: `A/${keys[0]!.peer}/0` }),
    report(2, { net: new Uint8Array(32) }),
    report(2, { epoch: 1 }),
  ])
    assert.is(check(bad), 'REPORTS_INSUFFICIENT');
});

test('a lock counts with the votes of a quorum for it, below the ballot', () => {
  assert.is(check(report(2, lock(1), votes(1, 0, 1, 3))), null);
  for (const bad of [
    report(2, lock(1)),
    report(2, lock(1), votes(1, 0, 1)),
    report(2, lock(1), votes(0, 0, 1, 3)),
    report(2, lock(2), votes(2, 0, 1, 3)),
    report(2, { lock: { epoch: 0, ballot: 1, value: digestOf(rival.digest) } }, votes(1, 0, 1, 3)),
  ])
    assert.is(check(bad), 'REPORTS_INSUFFICIENT');
});

test('a coordinator proposes nothing while a statement that two reports name is not shown', () => {
  const index = keys.findIndex(({ peer }) => peer === coordinatorOf(slot, 2, committee));
  const notary = new SimNotary(index, world, () => 1_000);
  const known = [{ value: digestOf(value.digest), timely: true, afford: true }];
  const shown = [report(0, { known }), report(1, { known }), report(2)];
  assert.is(
    thrownCode(() => notary.coordinate(slot, 2, shown, [rival])),
    'SLOT_UNDECIDABLE',
  );
  const intent = notary.coordinate(slot, 2, shown, [rival, value]);
  assert.ok(intent.type === 'proposal' && toHex(intent.body.value) === value.digest);
  const other = new SimNotary((index + 1) % 4, world, () => 1_000);
  assert.is(
    thrownCode(() => other.coordinate(slot, 2, shown, [value])),
    'COORDINATOR',
  );
});

test('what no notary can afford is skipped by recovery, and never by a proposal', () => {
  const index = keys.findIndex(({ peer }) => peer === coordinatorOf(slot, 2, committee));
  const notary = new SimNotary(index, world, () => 1_000);
  const known = [{ value: digestOf(value.digest), timely: true, afford: false }];
  const intent = notary.coordinate(slot, 2, [report(0, { known }), report(1), report(2)], [value]);
  assert.ok(intent.type === 'proposal' && kindOf(intent.value.statement) === 'skip');
  assert.is(
    thrownCode(() => notary.propose(intent.value)),
    'SLOT_UNPROPOSED',
  );
});

test('a commit needs the votes of a quorum', () => {
  const notary = new SimNotary(0, world, () => 1_000);
  assert.is(
    thrownCode(() => notary.commit(votes(0, 1, 2), value, new Uint8Array())),
    'CERTIFICATE_INVALID',
  );
  assert.is(notary.commit(votes(0, 1, 2, 3), value, new Uint8Array()).type, 'commit');
});

test('nothing is signed in an epoch that has ended, or was not taken over', () => {
  const changed = makeWorld(4, { handovers: true });
  const ended = new SimNotary(1, changed, () => 1_000);
  ended.end(changed.committees[1]!, false);
  const told = new SimNotary(1, changed, () => 1_000);
  told.end(changed.committees[1]!, true);
  for (const notary of [ended, told])
    for (const ask of [
      () => notary.propose(value),
      () => notary.commit(votes(0, 0, 2, 3), value, new Uint8Array()),
      () => notary.recover(slot, 1, 10_000),
    ])
      assert.is(thrownCode(ask), 'WRONG_EPOCH');
});

test('an epoch begins with a quorum of those before, each counted once, and with their highest locks', () => {
  const changed = makeWorld(4, { handovers: true });
  const next = changed.committees[1]!;
  const newcomer = new SimNotary(4, changed, () => 1_000);
  const left = (index: number, ...ballots: number[]) => ({
    signer: keys[index]!.peer,
    locks: ballots.map(ballot => ({ qc: votes(ballot, 0, 1, 3), bytes: new Uint8Array([ballot]), value })),
  });
  const few = [left(0, 1), left(1, 2), left(1), { ...left(2), signer: changed.keys[5]!.peer }];
  assert.is(
    thrownCode(() => newcomer.takeOver(few, [], next)),
    'HANDOVERS_FEW',
  );
  assert.ok(newcomer.isFrozen);
  newcomer.takeOver([...few, left(3)], [], next);
  assert.equal([newcomer.epoch, newcomer.since, newcomer.isFrozen], [1, 1, false]);
  assert.equal(newcomer.ballot(slot).lock, {
    epoch: 0,
    ballot: 2,
    digest: value.digest,
    qc: new Uint8Array([2]),
  });
  assert.is(
    thrownCode(() => newcomer.propose(value)),
    'SLOT_BALLOT',
  );
  assert.is(
    thrownCode(() => checkLeft({ signer: '', locks: [{ ...left(0, 1).locks[0]!, value: rival }] }, next)),
    'HANDOVER_INVALID',
  );
  assert.is(
    thrownCode(() =>
      checkLeft({ signer: '', locks: [{ ...left(0, 1).locks[0]!, qc: votes(1, 0, 1) }] }, next),
    ),
    'CERTIFICATE_INVALID',
  );
});

test.run();
