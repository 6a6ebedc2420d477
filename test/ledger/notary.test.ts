import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Database } from '../../src/db/index.ts';
import { createLedgerDesk, createNotary, readLock } from '../../src/ledger/index.ts';
import { NotaryDraft } from '../../src/ledger/notary-draft.ts';
import { CodedError, silentLogger } from '../../src/util/index.ts';
import { escrowIdOf, fundsKind, type LedgerOp, open, type Signer } from '../../src/wire/index.ts';
import { type NotaryDb, withNotary } from './one-notary.ts';
import * as s from './support.ts';

const test = suite('ledger: notary');
const { alice, bob, carol, admin, T0, FLOP } = s;

const lockOrder = (seq: number, ops: LedgerOp[] = [s.makeLock()]) => s.makeOrder(alice, seq, ops);
const targetOf = (order: ReturnType<typeof lockOrder>, index = 0) => ({
  escrowId: escrowIdOf(order, index),
  lock: order.body.ops[index] as ReturnType<typeof s.makeLock>,
});

test('decides an order, and answers the same again with the same bytes', () =>
  withNotary(async setting => {
    const order = lockOrder(0);
    const [first, again] = await setting.notary.submit([order.bytes, order.bytes]);
    assert.ok(first?.ok && again?.ok);
    assert.equal(first.decided, again.decided);
    await setting.restart();
    const [later] = await setting.notary.submit([order.bytes]);
    assert.equal(later, first);
    assert.is(await setting.balance(alice), 99n * FLOP);
    assert.is(readLock(first.decided, 0, setting.notary.committee).lock.worker, bob.peer);
  }));

test('a second order for a decided slot is refused, with the certificate that shut it out', () =>
  withNotary(async setting => {
    const [one, two] = [lockOrder(0), lockOrder(0, [{ op: 'transfer', to: carol.peer, amount: 5n }])];
    const [first, second] = await setting.notary.submit([one.bytes, two.bytes]);
    assert.ok(first?.ok && second && !second.ok);
    assert.is((second.error as CodedError).code, 'SLOT_DECIDED');
    assert.equal(second.decided, first.decided);
    assert.is(await setting.balance(carol), 0n);
    assert.equal(await setting.submit(two), ['SLOT_DECIDED']);
  }));

test('all of a chain of orders and steps in one batch is decided in its order', () =>
  withNotary(async setting => {
    const order = lockOrder(0, [s.makeLock({ amount: 60n * FLOP }), s.makeLock({ amount: 40n * FLOP })]);
    const [a, b] = [targetOf(order, 0), targetOf(order, 1)];
    const outcomes = await setting.submit(
      order,
      lockOrder(1),
      s.accept(a, alice),
      s.cancel(b, bob),
      s.accept(b, alice),
      lockOrder(1, [s.makeLock({ amount: 40n * FLOP })]),
    );
    assert.equal(outcomes, ['ok', 'FUNDS_INSUFFICIENT', 'ok', 'ok', 'SLOT_DECIDED', 'ok']);
    assert.is(await setting.balance(bob), (60n * FLOP * 98n) / 100n);
    assert.is(await setting.balance(alice), 0n);
  }));

test('one release alone: two at once, a replay on another escrow, and a refund after it', () =>
  withNotary(async setting => {
    const order = lockOrder(0, [s.makeLock(), s.makeLock()]);
    const [a, b] = [targetOf(order, 0), targetOf(order, 1)];
    await setting.submit(order);
    const accept = s.accept(a, alice);
    assert.equal(await setting.submit(accept, accept, s.cancel(a, bob)), ['ok', 'ok', 'SLOT_DECIDED']);
    const replayed = { ...a, escrowId: b.escrowId };
    assert.equal(await setting.submit(s.attest(replayed, bob, { escrowId: a.escrowId })), ['SLOT_DECIDED']);
    setting.clock.advance(1_000_000);
    assert.equal(await setting.submit(s.timeout(a, 'refund')), ['SLOT_DECIDED']);
    assert.equal(await setting.submit(s.timeout(b, 'refund')), ['ok']);
    assert.is(await setting.balance(alice), 99n * FLOP);
  }));

test('time never steps back, across a restart too', () =>
  withNotary(async setting => {
    const order = lockOrder(0);
    const target = targetOf(order);
    await setting.submit(order);
    setting.clock.advance(70_000);
    assert.equal(await setting.submit(lockOrder(1)), ['ok']);
    setting.clock.set(T0);
    assert.equal(await setting.submit(s.attest(target, bob)), ['ESCROW_LATE']);
    await setting.restart();
    assert.equal(await setting.submit(s.attest(target, bob)), ['ESCROW_LATE']);
    assert.equal(await setting.submit(s.timeout(target, 'refund')), ['ok']);
  }));

test('a whole dispute: claim, dispute, the default split', () =>
  withNotary(async setting => {
    const order = lockOrder(0);
    const target = targetOf(order);
    assert.equal(await setting.submit(order, s.attest(target, bob), s.dispute(target, alice)), [
      'ok',
      'ok',
      'ok',
    ]);
    assert.equal(await setting.submit(s.timeout(target, 'arbitration')), ['ESCROW_EARLY']);
    setting.clock.advance(184_000);
    assert.equal(await setting.submit(s.timeout(target, 'arbitration')), ['ok']);
    assert.is(await setting.balance(bob), ((FLOP / 2n) * 98n) / 100n);
    const answer = await createLedgerDesk(setting.notary)(
      { type: 'escrow', escrowId: target.escrowId },
      bob.peer,
    );
    assert.is(answer.type === 'decided' && answer.decided.length, 4);
  }));

test('a restart between the sync and the answer loses nothing: the certificate is signed then', () => {
  let isLost = false;
  const synced: unknown[] = [];
  const wrap = (db: Database): NotaryDb => ({
    repository: (bucket, codec) => db.repository(bucket, codec),
    async write(ops, options) {
      synced.push(options?.sync);
      await db.write(ops, options);
      // The batch is on disk and the process ends before it answers.
      if (isLost) throw new CodedError({ code: 'DB_CLOSED' }, 'the process ended');
    },
  });
  return withNotary(
    async setting => {
      const order = lockOrder(0);
      isLost = true;
      assert.equal(await setting.submit(order), ['DB_CLOSED']);
      assert.equal(await setting.submit(lockOrder(1)), ['DB_CLOSED']);
      isLost = false;
      await setting.restart();
      assert.is(await setting.balance(alice), 99n * FLOP);
      assert.equal(await setting.submit(lockOrder(0, [s.makeLock({ amount: 7n })])), ['SLOT_DECIDED']);
      assert.equal(await setting.submit(order), ['ok']);
      assert.is(await setting.balance(alice), 99n * FLOP);
      assert.equal(synced, [true, true], 'the genesis and the one decision, each synced');
    },
    { wrap },
  );
});

test('a ledger that does not add up stops the notary: on start, and before it signs', () =>
  withNotary(
    async setting => {
      const { accounts } = setting.notary.store;
      const account = (await accounts.get(alice.peer))!;
      const meta = (await setting.notary.store.meta.get('state'))!;
      await setting.db.write([accounts.putOp(alice.peer, { ...account, balance: account.balance + 1n })]);
      try {
        await setting.restart();
        assert.unreachable();
      } catch (error) {
        assert.is((error as CodedError).code, 'LEDGER_AUDIT_FAILED');
      }
      await setting.db.write([
        accounts.putOp(alice.peer, account),
        setting.notary.store.meta.putOp('state', meta),
      ]);
      await setting.restart();
      const { escrows } = setting.notary.store;
      const order = lockOrder(0);
      await setting.submit(order);
      const target = targetOf(order);
      const stored = (await escrows.get(target.escrowId))!;
      assert.equal(await setting.submit(s.cancel(target, bob)), ['ok']);
      // A closed escrow opened again behind the notary's back.
      await setting.db.write([escrows.putOp(target.escrowId, stored)]);
      const before = await setting.balance(bob);
      assert.equal(await setting.submit(s.accept(target, alice)), ['LEDGER_AUDIT_FAILED']);
      assert.equal(await setting.submit(lockOrder(1)), ['LEDGER_AUDIT_FAILED']);
      assert.is(await setting.balance(bob), before);
    },
    { isBroken: true },
  ));

test('a decision that makes or loses money is not taken in, whatever rule let it through', () =>
  withNotary(async ({ notary }) => {
    const meta = (await notary.store.meta.get('state'))!;
    const draft = new NotaryDraft(notary.store, s.genesis, meta);
    const slot = `A/${alice.peer}/0`;
    const stored = { digest: new Uint8Array(32), value: new Uint8Array(1) };
    for (const balance of [1n, -1n]) {
      const accounts = new Map([[carol.peer, { balance, seq: 0 }]]);
      const decision = { slot, accounts, escrows: [], concerned: [carol.peer] };
      assert.is(
        s.thrownCode(() => draft.apply(decision, stored, T0)),
        'LEDGER_AUDIT_FAILED',
      );
    }
    assert.equal(draft.operations(), []);
    assert.equal(draft.meta, meta);
  }));

test('an open network grants once for each account; an invited one does not', async () => {
  await withNotary(async setting => {
    const desk = createLedgerDesk(setting.notary);
    const member = async () => {
      const answer = await desk({ type: 'funds', account: carol.peer }, carol.peer);
      return answer.type === 'funds' && open(fundsKind, answer.funds).body.member;
    };
    assert.is(await member(), false);
    const first = await desk({ type: 'join' }, carol.peer);
    assert.equal(await desk({ type: 'join' }, carol.peer), first);
    assert.is(await setting.balance(carol), 10n * FLOP);
    assert.is(await member(), true);
  });
  const genesis = s.makeGenesis({ membership: 'invited' });
  await withNotary(
    async setting => {
      try {
        await createLedgerDesk(setting.notary)({ type: 'join' }, carol.peer);
        assert.unreachable();
      } catch (error) {
        assert.is((error as CodedError).code, 'MEMBERSHIP_INVITED');
      }
    },
    { genesis },
  );
});

test('a trail has what concerns its account, in pages', () =>
  withNotary(async setting => {
    const transfer: LedgerOp = { op: 'transfer', to: carol.peer, amount: 1n };
    for (let seq = 0; seq < 70; seq++) void setting.submit(lockOrder(seq, [transfer]));
    await setting.submit(lockOrder(70, [transfer, s.makeLock()]));
    const desk = createLedgerDesk(setting.notary);
    const page = async (account: Signer, from: number) => {
      const answer = await desk({ type: 'trail', account: account.peer, from }, bob.peer);
      return answer.type === 'trail' ? [answer.entries.length, answer.more] : [];
    };
    assert.equal(await page(carol, 0), [64, true]);
    assert.equal(await page(carol, 64), [7, false]);
    assert.equal(await page(carol, 1000), [0, false]);
    assert.equal(await page(bob, 0), [1, false]);
    assert.equal(await page(admin, 0), [1, false]);
  }));

test('a node that is no notary, and a directory of another network, do not start', () =>
  withNotary(async setting => {
    const parts = { db: setting.db, clock: setting.clock, logger: silentLogger };
    const codes: string[] = [];
    for (const [signer, genesis] of [
      [bob, s.genesis],
      [admin, s.makeGenesis({ name: 'other' })],
    ] as const)
      await createNotary({ ...parts, signer }, { genesis })
        .start()
        .catch((error: CodedError) => codes.push(error.code));
    assert.equal(codes, ['LEDGER_NOT_NOTARY', 'LEDGER_OTHER_NETWORK']);
  }));

test.run();
