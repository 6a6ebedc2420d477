import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { committeeOf, readClosing, readLock } from '../../src/ledger/index.ts';
import { type GenesisInfo, type Lock, ledgerOrderKind, open } from '../../src/wire/index.ts';
import { waitFor } from '../fixtures/wait.ts';
import { code, granted, type TestNode, withLedger } from './network.ts';
import * as s from './support.ts';

const test = suite('ledger: wallet and notary');
const { FLOP } = s;

type Terms = Parameters<TestNode['wallet']['lock']>[1];

/** Terms that outlast the test. */
function termsFor(worker: TestNode, overrides: Partial<Lock> = {}): Terms {
  const from = Date.now() + 600_000;
  const times = { claimBy: from, disputeBy: from + 1, verdictBy: from + 2 };
  const { op, taskId, replica, attempt, ...terms } = s.makeLock({
    worker: worker.signer.peer,
    ...times,
    ...overrides,
  });
  return terms;
}

const acceptOf = (info: GenesisInfo, node: TestNode, escrow: { escrowId: string; lock: Lock }) =>
  s.accept(escrow, node.signer, { net: info.net }).bytes;

async function refusal(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    const { code, remoteCode } = (error as { type: { code: string; remoteCode?: string } }).type;
    return [code, remoteCode];
  }
  return 'RESOLVED';
}

test('a newcomer of an open network gets its grant, pays, and the worker and the treasury see it', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice, bob);
    const escrow = await alice.wallet.lock(s.taskRefOf('one'), termsFor(bob));
    assert.equal(alice.wallet.balance(), { free: 9n * FLOP, locked: FLOP, incoming: 0n });
    await bob.wallet.observe([escrow.decided]);
    await bob.wallet.observe([escrow.decided]);
    assert.equal(bob.wallet.balance(), { free: 10n * FLOP, locked: 0n, incoming: FLOP });
    const closing = await alice.wallet.settle(escrow, acceptOf(ledger.info, alice, escrow));
    assert.ok(closing !== 'pending');
    assert.is(closing.outcome, 'paid');
    assert.is(closing.fee, FLOP / 50n);
    await bob.wallet.observe([closing.decided]);
    await bob.wallet.observe([escrow.decided, closing.decided]);
    assert.equal(bob.wallet.balance(), { free: 11n * FLOP - FLOP / 50n, locked: 0n, incoming: 0n });
    await bob.wallet.sync();
    assert.equal(bob.wallet.balance(), { free: 11n * FLOP - FLOP / 50n, locked: 0n, incoming: 0n });
    await ledger.first.wallet.sync();
    assert.is(ledger.first.wallet.balance().free, 980n * FLOP + FLOP / 50n);
    const committee = committeeOf(ledger.info);
    assert.is(readLock(escrow.decided, s.taskRefOf('one'), committee).escrowId, escrow.escrowId);
    assert.is(readClosing(closing.decided, escrow, committee).pay, FLOP);
    assert.equal(
      (await bob.wallet.history(10)).map(({ kind, change }) => [kind, change]),
      [
        ['paid', FLOP - FLOP / 50n],
        ['lock', 0n],
        ['grant', 10n * FLOP],
      ],
    );
    assert.ok(alice.wallet.status().member && alice.wallet.status().reachable);
    await waitFor(() => alice.wallet.funds() !== null, 'a funds statement');
    await ledger.audit();
  }));

test('200 locks at once go in few orders, and 200 settlements close them', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice, bob);
    const terms = termsFor(bob, { amount: FLOP / 100n });
    const refs = Array.from({ length: 200 }, (_, i) => s.taskRefOf(`task ${i}`));
    const escrows = await Promise.all(refs.map(ref => alice.wallet.lock(ref, terms)));
    assert.is(new Set(escrows.map(({ escrowId }) => escrowId)).size, 200);
    const orders = new Set(escrows.map(({ decided }) => open(ledgerOrderKind, decided.value).body.seq));
    assert.ok(orders.size <= 6, `${orders.size} orders`);
    assert.equal(alice.wallet.balance(), { free: 8n * FLOP, locked: 2n * FLOP, incoming: 0n });
    const closings = await Promise.all(
      escrows.map(escrow => alice.wallet.settle(escrow, acceptOf(ledger.info, alice, escrow))),
    );
    assert.ok(closings.every(closing => closing !== 'pending' && closing.outcome === 'paid'));
    assert.equal(alice.wallet.balance(), { free: 8n * FLOP, locked: 0n, incoming: 0n });
    await bob.wallet.sync();
    assert.equal(bob.wallet.balance(), { free: 12n * FLOP - (2n * FLOP) / 50n, locked: 0n, incoming: 0n });
    await ledger.audit();
  }));

test('one lock for one execution, however often it is asked for', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice);
    const ref = s.taskRefOf('one');
    const made = await Promise.all([1, 2, 3].map(() => alice.wallet.lock(ref, termsFor(bob))));
    made.push(await alice.wallet.lock(ref, termsFor(bob)));
    assert.is(new Set(made.map(({ escrowId }) => escrowId)).size, 1);
    assert.is(alice.wallet.balance().locked, FLOP);
    assert.is((await alice.wallet.findLock(ref))?.escrowId, made[0]!.escrowId);
    assert.is(await alice.wallet.findLock(s.taskRefOf('two')), undefined);
    await ledger.stop(alice);
    await ledger.start(alice);
    assert.is((await alice.wallet.lock(ref, termsFor(bob))).escrowId, made[0]!.escrowId);
    assert.is(alice.wallet.balance().locked, FLOP);
    await ledger.audit();
  }));

test('an order that was written but not sent before the process ended is sent after the restart, and only that', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice);
    const terms = termsFor(bob);
    const ref = s.taskRefOf('one');
    await ledger.stop(alice);
    await ledger.start(alice, { isAlone: true });
    const lost = alice.wallet.lock(ref, terms);
    const outcome = code(lost);
    const orders = alice.db.repository('wallet-orders', {
      encode: () => new Uint8Array(),
      decode: bytes => bytes,
    });
    const stored = async () => {
      for await (const [, bytes] of orders.iterate({ limit: 1 })) return bytes;
      return undefined;
    };
    await waitFor(async () => (await stored()) !== undefined, 'the order on disk');
    const before = await stored();
    assert.equal(alice.wallet.balance(), { free: 9n * FLOP, locked: FLOP, incoming: 0n });
    await ledger.stop(alice);
    assert.is(await outcome, 'LEDGER_STOPPED');
    await ledger.start(alice, { isAlone: true });
    assert.equal(alice.wallet.balance(), { free: 9n * FLOP, locked: FLOP, incoming: 0n });
    const again = alice.db.repository('wallet-orders', {
      encode: () => new Uint8Array(),
      decode: bytes => bytes,
    });
    for await (const [, bytes] of again.iterate({ limit: 1 })) assert.equal(bytes, before);
    alice.network.join(ledger.first.network.addresses()[0]!);
    const escrow = await alice.wallet.findLock(ref);
    assert.is(escrow?.requester, alice.signer.peer);
    assert.is((await alice.wallet.lock(ref, terms)).escrowId, escrow?.escrowId);
    assert.is(alice.wallet.balance().locked, FLOP);
    await ledger.audit();
  }));

test('a lock that nobody waits for any more before it is in an order is taken back', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice);
    await ledger.stop(alice);
    await ledger.start(alice, { isAlone: true });
    const controller = new AbortController();
    const held = code(alice.wallet.lock(s.taskRefOf('held'), termsFor(bob), { signal: controller.signal }));
    await waitFor(() => alice.wallet.balance().locked === FLOP, 'the first lock');
    const orders = alice.db.repository('wallet-orders', {
      encode: () => new Uint8Array(),
      decode: () => true,
    });
    await waitFor(async () => orders.has('0'.repeat(15)), 'the order under way');
    const second = code(alice.wallet.lock(s.taskRefOf('gone'), termsFor(bob), { signal: controller.signal }));
    await waitFor(() => alice.wallet.balance().locked === 2n * FLOP, 'the second lock');
    controller.abort(Object.assign(new Error('enough'), { code: 'ENOUGH' }));
    assert.equal([await held, await second], ['ENOUGH', 'ENOUGH']);
    assert.is(alice.wallet.balance().locked, FLOP);
    assert.is(await alice.wallet.findLock(s.taskRefOf('gone')), undefined);
    await ledger.audit();
  }));

test('what is not there cannot be spent: refused before anything is signed', () =>
  withLedger(
    async ledger => {
      const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
      await granted(alice);
      assert.is(await code(alice.wallet.transfer(bob.signer.peer, 10n * FLOP + 1n)), 'FUNDS_INSUFFICIENT');
      assert.is(await code(alice.wallet.transfer(bob.signer.peer, 9_999n)), 'AMOUNT_SMALL');
      const terms = termsFor(bob, { amount: 4n * FLOP });
      const three = ['a', 'b', 'c'].map(name => code(alice.wallet.lock(s.taskRefOf(name), terms)));
      assert.equal((await Promise.all(three)).sort(), ['FUNDS_INSUFFICIENT', 'RESOLVED', 'RESOLVED']);
      for (const amount of [0n, -1n, 2n ** 63n])
        assert.is(await code(alice.wallet.transfer(bob.signer.peer, amount)), 'WIRE_SCHEMA');
      assert.is(await code(alice.wallet.lock(s.taskRefOf('d'), termsFor(alice))), 'LOCK_TERMS');
      await ledger.audit();
    },
    { overrides: { minAmount: 10_000n } },
  ));

test('money that came meanwhile is found before a payment is refused', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice, bob);
    await alice.wallet.transfer(bob.signer.peer, 9n * FLOP);
    await bob.wallet.transfer(alice.signer.peer, 19n * FLOP);
    assert.is(bob.wallet.balance().free, 0n);
    await alice.wallet.sync();
    assert.is(alice.wallet.balance().free, 20n * FLOP);
    assert.is(await code(alice.wallet.transfer('12D3KooW', 1n)), 'WIRE_SCHEMA');
    await ledger.audit();
  }));

test('a key that also orders from another directory stays usable: a number that was taken is passed over', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice);
    await ledger.stop(alice);
    await ledger.start(alice, { isAlone: true });
    const order = s.makeOrder(alice.signer, 0, [{ op: 'transfer', to: bob.signer.peer, amount: 3n }], {
      net: ledger.info.net,
    });
    const [outcome] = await ledger.first.notary!.submit([order.bytes]);
    assert.ok(outcome?.ok);
    const lock = alice.wallet.lock(s.taskRefOf('one'), termsFor(bob));
    await waitFor(() => alice.wallet.balance().locked === FLOP, 'the lock under way');
    alice.network.join(ledger.first.network.addresses()[0]!);
    const escrow = await lock;
    assert.is(open(ledgerOrderKind, escrow.decided.value).body.seq, 1);
    assert.equal(alice.wallet.balance(), { free: 9n * FLOP - 3n, locked: FLOP, incoming: 0n });
    await ledger.audit();
  }));

test('settle answers how it closed when something else closed it, and says why where it did not', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice, bob);
    const escrow = await alice.wallet.lock(s.taskRefOf('one'), termsFor(bob));
    const { net } = ledger.info;
    const early = s.timeout({ ...escrow, net }, 'refund');
    assert.equal(await refusal(bob.wallet.settle(escrow, early.bytes)), ['LEDGER_REFUSED', 'ESCROW_EARLY']);
    const none = { claim: undefined, dispute: undefined, closing: undefined };
    assert.equal(await alice.wallet.inspect(escrow), none);
    const claim = s.attest(escrow, bob.signer, { net });
    assert.is(await bob.wallet.settle(escrow, claim.bytes), 'pending');
    assert.is(await bob.wallet.settle(escrow, claim.bytes), 'pending');
    assert.is(bob.wallet.balance().incoming, FLOP);
    const accept = acceptOf(ledger.info, alice, escrow);
    const twice = await Promise.all([1, 2].map(() => alice.wallet.settle(escrow, accept)));
    assert.equal(twice[0], twice[1]);
    const late = await bob.wallet.settle(escrow, claim.bytes);
    assert.ok(late !== 'pending' && late.outcome === 'paid');
    assert.is(bob.wallet.balance().free, 11n * FLOP - FLOP / 50n);
    const { closing, dispute, claim: seen } = await alice.wallet.inspect(escrow);
    assert.equal([closing, dispute, seen?.value], [late, undefined, claim.bytes]);
    await ledger.audit();
  }));

test('while the notary is away evidence waits, and goes through when it is back', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice);
    const escrow = await alice.wallet.lock(s.taskRefOf('one'), termsFor(bob));
    await ledger.stop(ledger.first);
    const closing = alice.wallet.settle(escrow, acceptOf(ledger.info, alice, escrow));
    const lock = alice.wallet.lock(s.taskRefOf('two'), termsFor(bob));
    await waitFor(() => !alice.wallet.status().reachable, 'the notary gone');
    await ledger.start(ledger.first);
    alice.network.join(ledger.first.network.addresses()[0]!);
    const closed = await closing;
    assert.ok(closed !== 'pending' && closed.outcome === 'paid');
    assert.is((await lock).requester, alice.signer.peer);
    await ledger.audit();
  }));

test('certificates of another network, or torn ones, change nothing', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice, bob);
    const { decided } = await alice.wallet.lock(s.taskRefOf('one'), termsFor(bob));
    const torn = {
      ...decided,
      value: decided.value.map((byte, i) => (i === decided.value.length - 1 ? byte ^ 1 : byte)),
    };
    assert.is(await code(bob.wallet.observe([torn])), 'WIRE_SIGNATURE');
    await withLedger(async other => {
      const carol = await other.add();
      await granted(carol);
      const foreign = await carol.wallet.transfer(bob.signer.peer, FLOP);
      assert.is(await code(bob.wallet.observe([foreign])), 'CERTIFICATE_INVALID');
    });
    assert.equal(bob.wallet.balance(), { free: 10n * FLOP, locked: 0n, incoming: 0n });
    await ledger.audit();
  }));

test('an invited network admits nobody by itself', () =>
  withLedger(
    async ledger => {
      const alice = await ledger.add();
      await alice.wallet.sync();
      assert.is(alice.wallet.status().member, false);
      assert.is(alice.wallet.balance().free, 0n);
      assert.is(ledger.first.wallet.status().member, true);
      await ledger.audit();
    },
    { overrides: { membership: 'invited' } },
  ));

test.run();
