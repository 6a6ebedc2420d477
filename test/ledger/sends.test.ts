import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../src/util/index.ts';
import { ledgerOrderKind, open } from '../../src/wire/index.ts';
import { waitFor } from '../fixtures/wait.ts';
import { code, granted, type TestLedger, type TestNode, withLedger } from './network.ts';
import * as s from './support.ts';

const test = suite('ledger: transfers that a user asks for');
const { FLOP } = s;
const guarded = true;

/** Alice knows no notary any more. */
async function alone(ledger: TestLedger, alice: TestNode): Promise<void> {
  await ledger.stop(alice);
  await ledger.start(alice, { isAlone: true });
}

const sentBy = async (node: TestNode) =>
  (await node.wallet.history(100)).filter(({ kind, change }) => kind === 'transfer' && change < 0n);

test('a key is paid once, however often and whenever it is asked for', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice, bob);
    const send = (amount = FLOP, key = 'rent') =>
      alice.wallet.transfer(bob.signer.peer, amount, { key, guarded });
    const [first, ...others] = await Promise.all([send(), send(), send()]);
    for (const other of [...others, await send()]) assert.equal(other, first);
    assert.is(await code(send(2n * FLOP)), 'IDEMPOTENCY_CONFLICT');
    assert.is(await code(send(FLOP, 'a b')), 'SEND_KEY_INVALID');
    await ledger.stop(alice);
    await ledger.start(alice);
    assert.equal(await send(), first);
    assert.is(alice.wallet.balance().free, 9n * FLOP);
    await send(FLOP, 'more');
    assert.is(alice.wallet.balance().free, 8n * FLOP);
    assert.is((await sentBy(alice)).length, 2);
    await bob.wallet.sync();
    assert.is(bob.wallet.balance().free, 12n * FLOP);
    await ledger.audit();
  }));

test('a repetition by mistake is held up for ten minutes, over a restart too', async () => {
  let ahead = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + ahead };
  await withLedger(
    async ledger => {
      const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
      await granted(alice, bob);
      const send = (amount: bigint, options = {}) =>
        alice.wallet.transfer(bob.signer.peer, amount, { guarded, ...options });
      const both = (await Promise.all([1, 2].map(() => code(send(FLOP))))).sort();
      assert.equal(both, ['RESOLVED', 'SEND_REPEATED']);
      assert.is(await code(send(FLOP)), 'SEND_REPEATED');
      assert.is(await code(send(FLOP + 1n)), 'RESOLVED');
      await ledger.stop(alice);
      await ledger.start(alice);
      assert.is(await code(send(FLOP)), 'SEND_REPEATED');
      assert.is(await code(send(FLOP, { guarded: false })), 'RESOLVED');
      assert.is(await code(send(FLOP, { key: 'own' })), 'RESOLVED');
      ahead = 599_000;
      assert.is(await code(send(FLOP)), 'SEND_REPEATED');
      ahead = 601_000;
      assert.is(await code(send(FLOP)), 'RESOLVED');
      assert.is(alice.wallet.balance().free, 5n * FLOP - 1n);
      assert.is(await code(alice.wallet.transfer(alice.signer.peer, 1n)), 'SEND_TO_SELF');
      await ledger.audit();
    },
    { clock },
  );
});

test('without a notary a signed transfer is pending, outlives a restart, and its key finds it again', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice, bob);
    await alone(ledger, alice);
    const send = async (options = {}) => {
      const controller = new AbortController();
      const sent = code(
        alice.wallet.transfer(bob.signer.peer, FLOP, { guarded, signal: controller.signal, ...options }),
      );
      const orders = alice.db.repository('wallet-orders', {
        encode: () => new Uint8Array(),
        decode: () => true,
      });
      await waitFor(() => orders.has('0'.repeat(15)), 'the order on disk');
      controller.abort(Object.assign(new Error('enough'), { code: 'ENOUGH' }));
      return sent;
    };
    assert.is(await send({ key: 'one' }), 'SEND_PENDING');
    assert.is(await send({ key: 'one' }), 'SEND_PENDING');
    assert.is(await send(), 'SEND_REPEATED');
    assert.is(alice.wallet.balance().free, 9n * FLOP);
    await alone(ledger, alice);
    assert.is(await send({ key: 'one' }), 'SEND_PENDING');
    assert.is(await send(), 'SEND_REPEATED');
    assert.is(alice.wallet.balance().free, 9n * FLOP);
    // What waits for its turn behind it is in no order yet, and is taken back.
    const controller = new AbortController();
    const behind = code(alice.wallet.transfer(bob.signer.peer, 5n, { signal: controller.signal }));
    await waitFor(() => alice.wallet.balance().free === 9n * FLOP - 5n, 'the second');
    controller.abort(Object.assign(new Error('enough'), { code: 'ENOUGH' }));
    assert.is(await behind, 'ENOUGH');
    assert.is(alice.wallet.balance().free, 9n * FLOP);
    alice.network.join(ledger.first.network.addresses()[0]!);
    const decided = await alice.wallet.transfer(bob.signer.peer, FLOP, { key: 'one' });
    assert.is(open(ledgerOrderKind, decided.value).body.seq, 0);
    assert.is((await sentBy(alice)).length, 1);
    await ledger.audit();
  }));

test('a transfer whose number another machine with the key took goes out once, under the next', () =>
  withLedger(async ledger => {
    const [alice, bob] = await Promise.all([ledger.add(), ledger.add()]);
    await granted(alice, bob);
    await alone(ledger, alice);
    const to = bob.signer.peer;
    const taken = s.makeOrder(alice.signer, 0, [{ op: 'transfer', to, amount: 3n }], {
      net: ledger.info.net,
    });
    const [outcome] = await ledger.first.notary!.submit([taken.bytes]);
    assert.ok(outcome?.ok);
    const first = alice.wallet.transfer(to, FLOP, { key: 'one' });
    await waitFor(() => alice.wallet.balance().free === 9n * FLOP, 'the transfer under way');
    alice.network.join(ledger.first.network.addresses()[0]!);
    const decided = await first;
    assert.is(open(ledgerOrderKind, decided.value).body.seq, 1);
    await alone(ledger, alice);
    assert.equal(await alice.wallet.transfer(to, FLOP, { key: 'one' }), decided);
    assert.is(alice.wallet.balance().free, 9n * FLOP - 3n);
    await ledger.audit();
  }));

test.run();
