import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createLedgerDesk, createNotary, createSettlement, type Notary } from '../../src/ledger/index.ts';
import { MEMBERS, purseOf, ticketOf } from '../../src/ledger/invites.ts';
import { silentLogger } from '../../src/util/index.ts';
import {
  escrowIdOf,
  grantKind,
  inviteKind,
  type Lock,
  redeemKind,
  removalKind,
  revokeKind,
  type Signer,
  seal,
} from '../../src/wire/index.ts';
import { withDatabase } from '../db/temp-dir.ts';
import * as s from './support.ts';

const test = suite('ledger: notary and trails, properties');
const { admin, alice, bob, carol } = s;
const PEOPLE = [admin, alice, bob, carol];
const RUNS = 30;

const who = fc.integer({ min: 0, max: 3 });
/** Mostly those who have money. */
const payer = fc.constantFrom(0, 1, 1, 1, 2, 3);
const action = fc.oneof(
  fc.record({
    type: fc.constant('order' as const),
    by: payer,
    to: who,
    units: fc.integer({ min: 1, max: 8 }),
    locks: fc.integer({ min: 0, max: 3 }),
    seqShift: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1),
    toPurse: fc.boolean(),
  }),
  fc.record({ type: fc.constant('grant' as const), to: who, by: fc.constantFrom(0, 0, 0, 1) }),
  fc.record({
    type: fc.constant('invite' as const),
    what: fc.constantFrom('redeem', 'redeem', 'redeem', 'redeem', 'remove', 'remove', 'revoke'),
    by: fc.integer({ min: 1, max: 3 }),
    units: fc.integer({ min: 0, max: 4 }),
  }),
  fc.record({
    type: fc.constant('step' as const),
    pick: fc.nat(),
    kind: fc.constantFrom(
      'accept',
      'cancel',
      'mutual',
      'claim',
      'claim',
      'dispute',
      'dispute',
      'refund',
      'late claim',
      'arbitration',
    ),
    pay: fc.integer({ min: 0, max: 6 }),
    isForged: fc.constantFrom(false, false, false, true),
  }),
  fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(1_000, 30_000, 70_000) }),
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;
type Made = { escrowId: string; lock: Lock; requester: Signer };

const unit = (count: number) => BigInt(count) * s.FLOP;
const byPeer = (peer: string) => PEOPLE.find(person => person.peer === peer)!;

function stepBytes({ kind, pay, isForged }: Extract<Action, { type: 'step' }>, target: Made): Uint8Array {
  const requester = isForged ? carol : target.requester;
  const worker = isForged ? alice : byPeer(target.lock.worker);
  const made = {
    accept: () => s.accept(target, requester),
    cancel: () => s.cancel(target, worker),
    mutual: () =>
      requester === worker ? s.cancel(target, carol) : s.mutual(target, unit(pay), requester, worker),
    claim: () => s.attest(target, worker),
    dispute: () => s.dispute(target, requester),
    refund: () => s.timeout(target, 'refund'),
    'late claim': () => s.timeout(target, 'claim'),
    arbitration: () => s.timeout(target, 'arbitration'),
  }[kind as 'accept'];
  return made().bytes;
}

/** One invite of many uses: redeemed by each at most once, and ended at some time. */
const key = s.person('an invite');
const { net } = s.genesis;
const terms = { net, id: key.peer, grant: s.FLOP / 4n, uses: 1000, expires: s.T0 + 300_000 };
const invite = seal(inviteKind, terms, admin).bytes;

async function inviteBytes(
  { what, by, units }: Extract<Action, { type: 'invite' }>,
  { store }: Notary,
): Promise<Uint8Array> {
  const signer = PEOPLE[by]!;
  const account = signer.peer;
  const use = (await store.accounts.get(purseOf(key.peer)))?.seq ?? 0;
  if (what === 'redeem') return seal(redeemKind, { net, invite, use, account }, signer, key).bytes;
  if (what === 'revoke')
    return seal(revokeKind, { net, invite: key.peer, use, amount: unit(units) }, admin).bytes;
  const ticket = (await store.accounts.get(ticketOf(key.peer, account)))?.seq ?? 0;
  return seal(removalKind, { net, invite: key.peer, use: Math.max(0, ticket - 1), account }, admin).bytes;
}

async function play(actions: readonly Action[], notary: Notary, clock: ReturnType<typeof s.manualClock>) {
  const escrows: Made[] = [];
  let waiting: Promise<unknown>[] = [];
  for (const [i, act] of actions.entries()) {
    if (act.type === 'wait') {
      clock.advance(act.ms);
      continue;
    }
    if (act.type === 'grant') {
      const { peer } = PEOPLE[act.to]!;
      const body = { net: s.genesis.net, invite: 'open', use: peer, account: peer, amount: 10n * s.FLOP };
      waiting.push(notary.submit([seal(grantKind, body, PEOPLE[act.by]!).bytes]));
    } else if (act.type === 'invite') {
      await Promise.all(waiting);
      waiting = [notary.submit([await inviteBytes(act, notary)])];
    } else if (act.type === 'step') {
      if (escrows.length === 0) continue;
      waiting.push(notary.submit([stepBytes(act, escrows[act.pick % escrows.length]!)]));
    } else {
      await Promise.all(waiting);
      waiting = [];
      const [by, to] = [PEOPLE[act.by]!, PEOPLE[act.to]!];
      const seq = ((await notary.store.accounts.get(by.peer))?.seq ?? 0) + act.seqShift;
      const locks = Array.from({ length: act.locks }, (_, j) =>
        s.makeLock({ worker: to.peer, amount: unit(act.units) / 2n + 1n, ...s.taskRefOf(`${i}/${j}`) }),
      );
      const order = s.makeOrder(by, seq, [
        ...locks,
        {
          op: 'transfer',
          to: act.toPurse ? purseOf(key.peer) : to.peer,
          amount: unit(act.units),
        },
      ]);
      locks.forEach((lock, j) => {
        escrows.push({ escrowId: escrowIdOf(order, j), lock, requester: by });
      });
      waiting.push(notary.submit([order.bytes, order.bytes]));
    }
  }
  await Promise.all(waiting);
}

test(`${RUNS} random ledgers: the supply holds, and every trail gives its owner the balance that the notary has`, async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  console.log(`  seed ${seed}, ${RUNS} ledgers`);
  let decided = 0;
  let admitted = 0;
  const property = fc.asyncProperty(fc.array(action, { minLength: 30, maxLength: 60 }), actions =>
    withDatabase(async db => {
      const clock = s.manualClock();
      const parts = { clock, logger: silentLogger };
      const notary = createNotary({ ...parts, db, signer: admin }, { genesis: s.genesis });
      await notary.start();
      await play(actions, notary, clock);
      const meta = (await notary.store.meta.get('state'))!;
      assert.is(meta.balances + meta.escrows, s.genesis.supply);
      // Its trails can still be read, but it grants nothing to the wallets that look at them.
      await notary.stop();
      decided += meta.log;
      const network = { call: () => Promise.reject(new Error('no network here')) };
      let total = (await notary.store.accounts.get(purseOf(key.peer)))?.balance ?? 0n;
      admitted += (await notary.store.accounts.get(MEMBERS))?.trail ?? 0;
      for (const signer of PEOPLE)
        await withDatabase(async own => {
          const wallet = createSettlement(
            {
              ...parts,
              network,
              db: own,
              signer,
              notary: { peer: admin.peer, desk: createLedgerDesk(notary) },
            },
            { genesis: s.genesis },
          );
          await wallet.start();
          await wallet.sync();
          await wallet.stop();
          const { free, locked, incoming } = wallet.balance();
          const joined = (await notary.store.accounts.get(signer.peer))?.balance ?? 0n;
          assert.is(free, joined, signer.peer);
          assert.ok(incoming >= 0n);
          total += free + locked;
        });
      assert.is(total, s.genesis.supply);
      await notary.start();
      await notary.stop();
    }),
  );
  await fc.assert(property, { numRuns: RUNS, seed });
  console.log(`  ${decided} statements decided, ${admitted} about members`);
  assert.ok(decided > RUNS && admitted > 0);
});

test.run();
