import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Escrow } from '../../src/ledger/index.ts';
import { systemClock } from '../../src/util/index.ts';
import { waitFor } from '../fixtures/wait.ts';
import { type TestLedger, type TestNode, withLedger } from './network.ts';
import * as s from './support.ts';

const test = suite('ledger: what a node may spend in a day');
const { FLOP } = s;
const DAY_MS = 86_400_000;

async function code(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'RESOLVED';
}

interface Fixture {
  readonly ledger: TestLedger;
  readonly alice: TestNode;
  readonly bob: TestNode;
  /** Moves the wall clock. */
  ahead(ms: number): void;
  lock(name: string, amount: bigint): Promise<Escrow>;
}

/** Alice has 10 FLOP and may spend 4 a day; it is noon. */
async function withLimit(fn: (fixture: Fixture) => Promise<void>): Promise<void> {
  let offset = DAY_MS / 2 - (Date.now() % DAY_MS);
  const clock = { ...systemClock, now: () => systemClock.now() + offset };
  await withLedger(
    async ledger => {
      const bob = await ledger.add();
      const alice = await ledger.add({ perDay: 4n * FLOP });
      await waitFor(() => alice.wallet.balance().free === 10n * FLOP, 'the grant');
      const lock = (name: string, amount: bigint) => {
        const from = clock.now() + 3 * DAY_MS;
        const times = { claimBy: from, disputeBy: from + 1, verdictBy: from + 2 };
        const { op, taskId, replica, attempt, ...terms } = s.makeLock({
          worker: bob.signer.peer,
          amount,
          ...times,
        });
        return alice.wallet.lock(s.taskRefOf(name), terms);
      };
      await fn({
        ledger,
        alice,
        bob,
        lock,
        ahead: ms => {
          offset += ms;
        },
      });
      await ledger.audit();
    },
    { clock },
  );
}

test('locks and transfers count together; what comes back may be spent again; refused before anything is signed', () =>
  withLimit(async ({ ledger, alice, bob, lock }) => {
    const { net } = ledger.info;
    const first = await lock('one', 3n * FLOP);
    assert.equal(alice.wallet.spending(), { perDay: 4n * FLOP, today: 3n * FLOP, spendable: FLOP });
    assert.is(await code(lock('two', FLOP + 1n)), 'DAY_LIMIT');
    assert.is(await code(alice.wallet.transfer(bob.signer.peer, FLOP + 1n)), 'DAY_LIMIT');
    assert.equal(alice.wallet.balance(), { free: 7n * FLOP, locked: 3n * FLOP, incoming: 0n });
    const both = await Promise.all([code(lock('two', FLOP)), code(lock('three', FLOP))]);
    assert.equal(both.sort(), ['DAY_LIMIT', 'RESOLVED']);
    await ledger.stop(alice);
    await ledger.start(alice);
    assert.is(alice.wallet.spending().today, 4n * FLOP, 'over a restart');
    // A split gives a part back, and it alone is free again.
    const split = s.mutual({ ...first, net }, FLOP, alice.signer, bob.signer);
    await alice.wallet.settle(first, split.bytes);
    assert.is(alice.wallet.spending().today, 2n * FLOP);
    await alice.wallet.transfer(bob.signer.peer, 2n * FLOP);
    assert.is(alice.wallet.spending().spendable, 0n);
    assert.is(await code(alice.wallet.transfer(bob.signer.peer, 1n)), 'DAY_LIMIT');
    // What others pay us makes no room.
    await bob.wallet.sync();
    await bob.wallet.transfer(alice.signer.peer, 5n * FLOP);
    await alice.wallet.sync();
    assert.is(await code(alice.wallet.transfer(bob.signer.peer, 1n)), 'DAY_LIMIT');
  }));

test('a new day begins at nothing, and a lock of yesterday that comes back makes no room today', () =>
  withLimit(async ({ ledger, alice, bob, lock, ahead }) => {
    const first = await lock('one', 4n * FLOP);
    assert.is(await code(lock('two', 1n)), 'DAY_LIMIT');
    const isBooked = async () => (await alice.wallet.history(1))[0]?.kind === 'lock';
    await waitFor(isBooked, 'the lock in the history');
    ahead(DAY_MS);
    assert.is(alice.wallet.spending().today, 0n);
    await lock('two', 3n * FLOP);
    const back = s.cancel({ ...first, net: ledger.info.net }, bob.signer);
    await alice.wallet.settle(first, back.bytes);
    assert.is(alice.wallet.balance().locked, 3n * FLOP);
    assert.is(alice.wallet.spending().today, 3n * FLOP);
    assert.is(await code(lock('three', FLOP + 1n)), 'DAY_LIMIT');
    await lock('three', FLOP);
  }));

test('an order under way counts, and a trail that is read again does not', () =>
  withLimit(async ({ ledger, alice, bob }) => {
    await alice.wallet.transfer(bob.signer.peer, FLOP);
    await ledger.stop(alice);
    await ledger.start(alice, { isAlone: true });
    const controller = new AbortController();
    const pending = code(alice.wallet.transfer(bob.signer.peer, 2n * FLOP, { signal: controller.signal }));
    await waitFor(() => alice.wallet.spending().today === 3n * FLOP, 'the order under way');
    controller.abort(new Error('enough'));
    await pending;
    await ledger.stop(alice);
    await ledger.start(alice);
    const isDecided = async () => (await alice.wallet.history(1))[0]?.change === -2n * FLOP;
    await waitFor(isDecided, 'the order');
    assert.is(alice.wallet.balance().free, 7n * FLOP);
    assert.is(alice.wallet.spending().today, 3n * FLOP);
    await ledger.stop(alice);
    await ledger.forget(alice);
    await ledger.start(alice);
    await alice.wallet.sync();
    assert.is(alice.wallet.balance().free, 7n * FLOP);
    assert.is(alice.wallet.spending().today, 0n);
  }));

test.run();
