import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDatabase } from '../../src/db/index.ts';
import { createShares, type Deal, totalOf } from '../../src/reputation/index.ts';
import { silentLogger, systemClock } from '../../src/util/index.ts';
import { MAX_AMOUNT } from '../../src/wire/index.ts';
import { withTempDir } from '../db/temp-dir.ts';
import { alice, bob, carol, manualClock, T0 } from '../ledger/support.ts';

const test = suite('reputation: shares');

const deal = (peer: string, role: Deal['role'], amount = 5n): Deal => ({
  peer,
  role,
  cpuMs: 1_500,
  wallMs: 2_000,
  amount,
});
const sums = (tasks: number, amount: bigint) => ({
  tasks,
  cpuMs: tasks * 1_500,
  wallMs: tasks * 2_000,
  amount,
});

test('what each has done for the other adds up, and outlives a restart', () =>
  withTempDir(async dir => {
    const clock = manualClock();
    for (const round of [1, 2]) {
      const db = await openDatabase({ logger: silentLogger, clock: systemClock }, { dir });
      const shares = createShares({ db, clock, self: alice.peer });
      await shares.start();
      assert.is(shares.list().length, round === 1 ? 0 : 2);
      const deals = [deal(bob.peer, 'lent'), deal(bob.peer, 'used', 7n), deal(carol.peer, 'used')];
      for (const one of deals) await db.write(shares.record(one));
      assert.equal(shares.record(deal(alice.peer, 'lent')), [], 'nobody lends to itself');
      clock.advance(1_000);
      await db.close();
      const [latest, other] = shares.list();
      assert.equal([latest?.peer, other?.peer], [carol.peer, bob.peer]);
      assert.equal(other?.lent, sums(round, BigInt(round) * 5n));
      assert.equal(other?.used, sums(round, BigInt(round) * 7n));
      assert.is(other?.since, T0);
      const total = { lent: sums(round, BigInt(round) * 5n), used: sums(2 * round, BigInt(round) * 12n) };
      assert.equal(totalOf(shares.list()), total);
    }
  }));

test('the peer that was heard of longest ago is forgotten first, on disk too; sums end where amounts do', () =>
  withTempDir(async dir => {
    const clock = manualClock();
    const db = await openDatabase({ logger: silentLogger, clock: systemClock }, { dir });
    const shares = createShares({ db, clock, self: 'nobody' }, { maxPeers: 2 });
    for (const { peer } of [alice, bob, alice, carol]) {
      await db.write(shares.record(deal(peer, 'lent', MAX_AMOUNT)));
      clock.advance(1);
    }
    assert.equal(
      shares.list().map(({ peer }) => peer),
      [carol.peer, alice.peer],
    );
    const again = createShares({ db, clock, self: 'nobody' }, { maxPeers: 2 });
    await again.start();
    assert.equal(again.list(), shares.list());
    assert.is(totalOf(again.list()).lent.amount, MAX_AMOUNT);
    await db.close();
  }));

test.run();
