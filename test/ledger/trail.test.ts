import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type TrailPart, TrailReplay } from '../../src/ledger/index.ts';
import { waitFor } from '../fixtures/wait.ts';
import { withLedger } from './network.ts';
import * as s from './support.ts';
import { certify, closing, grant, info, notaries, order, partsOf, story } from './trails.ts';

const test = suite('ledger: an account’s trail');
const { FLOP } = s;
const { net } = info;

/** The code with which the last of `entries` is refused; null when all are taken. */
function refusal(entries: Parameters<TrailReplay['take']>[0][], account = s.alice.peer): string | null {
  const replay = new TrailReplay(info, account);
  for (const entry of entries.slice(0, -1)) replay.take(entry);
  const before = replay.sums;
  const code = s.thrownCode(() => replay.take(entries.at(-1)!));
  if (code !== null) assert.equal(replay.sums, before);
  return code;
}

test('a trail under a committee of four: each line, and what is free after it', () => {
  const replay = new TrailReplay(info, s.alice.peer);
  const lines = [...replay.opening, ...story().flatMap(entry => replay.take(entry).lines)];
  assert.equal(
    lines.map(({ kind, change, balance }) => [kind, change, balance]),
    [
      ['genesis', 100n * FLOP, 100n * FLOP],
      ['lock', -3n * FLOP, 97n * FLOP],
      ['lock', -5n * FLOP, 92n * FLOP],
      ['transfer', -7n, 92n * FLOP - 7n],
      ['paid', 0n, 92n * FLOP - 7n],
      ['grant', 2n * FLOP, 94n * FLOP - 7n],
      ['lock', -4n * FLOP, 90n * FLOP - 7n],
      ['lock', -FLOP, 89n * FLOP - 7n],
      ['refunded', 5n * FLOP, 94n * FLOP - 7n],
      ['step', 0n, 94n * FLOP - 7n],
      ['split', 3n * FLOP, 97n * FLOP - 7n],
      ['transfer', 11n, 97n * FLOP + 4n],
    ],
  );
  const { digest, ...sums } = replay.sums;
  const expected = { entries: 8, lines: 12, seq: 2, confirmed: 97n * FLOP + 4n, locked: FLOP, incoming: 0n };
  assert.equal(sums, expected);
  assert.is(digest.length, 32);
});

test('what is no trail: too few signatures, strangers, gaps, steps without locks, money that is not there', () => {
  const [first, accepted, , second, cancelled] = story() as [never, never, never, never, never];
  const send = (seq: number, amount: bigint, options = {}) =>
    order(s.alice, seq, [{ op: 'transfer', to: s.bob.peer, amount }], options).decided;
  const table: readonly (readonly [string, string | null])[] = [
    ['all is well', refusal([first, accepted])],
    ['two of three', refusal([send(0, 1n, { signers: notaries.slice(2) })])],
    ['a stranger among them', refusal([send(0, 1n, { signers: [...notaries.slice(2), s.carol] })])],
    ['another epoch', refusal([send(0, 1n, { epoch: 1 })])],
    ['a gap', refusal([second])],
    ['a number twice', refusal([first, send(0, 1n)])],
    ['twice', refusal([first, accepted, first])],
    ['a step before its lock', refusal([accepted])],
    ['closed twice', refusal([first, accepted, accepted])],
    ['too much', refusal([send(0, 100n * FLOP + 1n)])],
    ['another account', refusal([grant(s.carol.peer, FLOP, 'carol')])],
    ['another account’s trail', refusal([first, cancelled], s.carol.peer)],
  ];
  assert.equal(
    table.map(([, code]) => code),
    [
      null,
      'CERTIFICATE_INVALID',
      'CERTIFICATE_INVALID',
      'CERTIFICATE_INVALID',
      'TRAIL_SEQUENCE',
      'TRAIL_REPEATED',
      'TRAIL_REPEATED',
      'TRAIL_LOCK_MISSING',
      'TRAIL_REPEATED',
      'TRAIL_OVERDRAWN',
      'TRAIL_FOREIGN',
      'TRAIL_LOCK_MISSING',
    ],
  );
});

test('a step counts for what its evidence says, not for what its slot is', () => {
  const { decided, locks } = order(s.alice, 0, [s.makeLock()]);
  const lock = { ...locks[0]!, net };
  const stranger = closing(lock.escrowId, 0, s.accept(lock, s.carol, { net }));
  assert.ok(refusal([decided, stranger]));
  const other = certify(`E/${'0'.repeat(64)}/0`, s.accept(lock, s.alice, { net }));
  assert.is(refusal([decided, other]), 'CERTIFICATE_INVALID');
});

test('the owner’s word must fit what stands before it', async () => {
  const replay = new TrailReplay(info, s.alice.peer);
  for (const entry of story()) replay.take(entry);
  const endOf = async (parts: AsyncIterable<TrailPart>) => {
    for await (const part of parts) if (part.type === 'end') return part.bytes;
    throw new Error('no end');
  };
  const codeFor = async (changes: object, signer = s.alice) => {
    const bytes = await endOf(partsOf(signer === s.alice ? story() : [], signer, changes));
    return s.thrownCode(() => replay.end(bytes));
  };
  assert.is(await codeFor({}), null);
  const changes = [
    { entries: 7 },
    { lines: 1 },
    { seq: 3 },
    { confirmed: 1n },
    { locked: 0n },
    { incoming: 1n },
  ];
  for (const change of [...changes, { digest: new Uint8Array(32) }, { net: new Uint8Array(32) }])
    assert.is(await codeFor(change), 'TRAIL_END', Object.keys(change)[0]);
  assert.is(await codeFor({}, s.bob), 'TRAIL_END');
});

test('each wallet of a network hands out a trail that makes its balance: payer, worker, treasury', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    for (const { wallet } of [alice, bob]) await waitFor(() => wallet.balance().free > 0n, 'the grant');
    const from = Date.now() + 600_000;
    const { op, taskId, replica, attempt, ...terms } = s.makeLock({
      worker: bob.signer.peer,
      claimBy: from,
      disputeBy: from + 1,
      verdictBy: from + 2,
    });
    const names = ['one', 'two', 'three', 'four'];
    const escrows = await Promise.all(names.map(name => alice.wallet.lock(s.taskRefOf(name), terms)));
    await alice.wallet.transfer(bob.signer.peer, 5n);
    for (const escrow of escrows.slice(1)) {
      const evidence = s.accept(escrow, alice.signer, { net: ledger.info.net });
      await alice.wallet.settle(escrow, evidence.bytes);
    }
    for (const node of ledger.nodes) {
      await node.wallet.sync();
      const parts: TrailPart[] = [];
      for await (const part of node.wallet.trail()) parts.push(part);
      const replay = new TrailReplay(ledger.info, node.signer.peer);
      for (const part of parts) {
        if (part.type === 'entry') replay.take(part.decided);
        if (part.type === 'end') replay.end(part.bytes);
      }
      const { free, locked, incoming } = node.wallet.balance();
      const { confirmed, ...sums } = replay.sums;
      assert.equal([confirmed, sums.locked, sums.incoming], [free, locked, incoming]);
      const history = await node.wallet.history(100);
      const lines = parts.flatMap(part => (part.type === 'end' ? [] : part.lines));
      assert.is(lines.length, history.length);
    }
    await ledger.audit();
  }));

test.run();
