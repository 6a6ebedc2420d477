import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KEEP_MS } from '../../src/ledger/checkpoints.ts';
import {
  createLedgerDesk,
  createNotary,
  createSettlement,
  type TrailPart,
  TrailReplay,
} from '../../src/ledger/index.ts';
import { type CodedError, silentLogger } from '../../src/util/index.ts';
import { checkpointKind, escrowIdOf, MAX_OPS, open, type Signer } from '../../src/wire/index.ts';
import { open as openDb, withDatabase, withTempDir } from '../db/temp-dir.ts';
import * as s from './support.ts';

const test = suite('ledger: checkpoints');
const { admin, alice, bob, carol, FLOP } = s;

const SETTLEMENTS = 10_000;
/** Of each order of 64 locks, for bob: his wallet reads them all. */
const FOR_BOB = 4;
const AMOUNT = FLOP / 1000n;

const genesis = s.makeGenesis({ membership: 'invited', openGrant: 0n });
const { net } = genesis;

/** One order of 64 locks, and the acceptance of each. */
function round(seq: number) {
  const locks = Array.from({ length: MAX_OPS }, (_, i) =>
    s.makeLock({ ...s.taskRefOf(`${seq}/${i}`), amount: AMOUNT, worker: (i < FOR_BOB ? bob : carol).peer }),
  );
  const order = s.makeOrder(alice, seq, locks, { net });
  const accepts = locks.map(
    (lock, i) => s.accept({ escrowId: escrowIdOf(order, i), lock }, alice, { net }).bytes,
  );
  return { order, locks, accepts };
}

type Round = ReturnType<typeof round>;

async function count(records: AsyncIterable<unknown>): Promise<number> {
  let found = 0;
  for await (const _ of records) found++;
  return found;
}

const all = { limit: Number.MAX_SAFE_INTEGER };

test(`${SETTLEMENTS} settlements: the log stays bounded, nothing old is decided again, and a wallet's trail verifies`, () =>
  withTempDir(dir =>
    withDatabase(async bobsDb => {
      const clock = s.manualClock();
      let db = await openDb(dir);
      const make = () => createNotary({ db, clock, logger: silentLogger, signer: admin }, { genesis });
      let notary = make();
      await notary.start();
      const components = {
        clock,
        logger: silentLogger,
        network: { call: () => Promise.reject(new Error('none')) },
      };
      const local = () => ({ peer: admin.peer, desk: createLedgerDesk(notary) });
      const wallet = createSettlement(
        { ...components, db: bobsDb, signer: bob, notary: local() },
        { genesis },
      );
      await wallet.start();
      const read = async (signer: Signer) => {
        const from = (await notary.store.accounts.get(signer.peer))?.trail ?? 0;
        await createLedgerDesk(notary)({ type: 'trail', account: signer.peer, from }, signer.peer);
      };
      const submit = async (values: Uint8Array[]) => {
        const outcomes = await notary.submit(values);
        return outcomes.map(outcome => (outcome.ok ? 'ok' : (outcome.error as CodedError).code));
      };
      const rounds = Math.ceil(SETTLEMENTS / MAX_OPS);
      const kept: Round[] = [];
      for (let seq = 0; seq < rounds; seq++) {
        const made = round(seq);
        assert.equal(await submit([made.order.bytes]), ['ok']);
        assert.ok((await submit(made.accepts)).every(outcome => outcome === 'ok'));
        if (seq === 0 || seq === rounds - 1) kept.push(made);
        if (seq % 16 !== 15) continue;
        await wallet.sync();
        await wallet.sync();
        for (const signer of [alice, carol, admin]) await read(signer);
        clock.advance(KEEP_MS + 1);
      }
      const balances = async () =>
        Promise.all(
          [admin, alice, bob, carol].map(
            async ({ peer }) => (await notary.store.accounts.get(peer))?.balance,
          ),
        );
      await wallet.sync();
      const before = await balances();
      await notary.stop();
      await db.close();
      db = await openDb(dir);
      notary = make();
      await notary.start();
      assert.equal(await balances(), before);
      const paid = (places: number) => (AMOUNT * BigInt(places * rounds) * 98n) / 100n;
      assert.is(before[2], paid(FOR_BOB));
      assert.is(before[3], paid(MAX_OPS - FOR_BOB));

      const { store } = notary;
      const decisions = (await store.meta.get('state'))!.log;
      assert.is(decisions, rounds * (MAX_OPS + 1));
      const records = {
        log: await count(store.log.iterate(all)),
        slots: await count(store.slots.iterate(all)),
        escrows: await count(store.escrows.iterate(all)),
        trails: await count(store.trails.iterate(all)),
      };
      console.log(`  of ${decisions} decisions: ${JSON.stringify(records)}`);
      // What was decided since the last round of reading, or within ten minutes.
      assert.ok(Object.values(records).every(number => number < 6_000));
      const { bytes, height } = notary.checkpoints.last!;
      assert.ok(open(checkpointKind, bytes).signers[0] === admin.peer && height <= decisions);

      const [first, last] = kept as [Round, Round];
      assert.equal(await submit([first.order.bytes, ...first.accepts.slice(0, 2)]), [
        'ORDER_SEQ',
        'ESCROW_UNKNOWN',
        'ESCROW_UNKNOWN',
      ]);
      const refund = s.timeout(
        { escrowId: escrowIdOf(first.order, 0), lock: first.locks[0]!, net },
        'refund',
      );
      assert.equal(await submit([refund.bytes]), ['ESCROW_UNKNOWN']);
      assert.equal(await submit([last.order.bytes, last.accepts[0]!]), ['ok', 'ok']);
      assert.equal(await balances(), before);

      const parts: TrailPart[] = [];
      for await (const part of wallet.trail()) parts.push(part);
      const replay = new TrailReplay(genesis, bob.peer);
      for (const part of parts) if (part.type === 'entry') replay.take(part.decided);
      const end = parts.at(-1)!;
      assert.is(end.type === 'end' && replay.end(end.bytes).body.confirmed, before[2]);
      await wallet.stop();

      // Without its disk, an account goes on from what the notary says that it has.
      await withDatabase(async empty => {
        const lost = createSettlement(
          { ...components, db: empty, signer: bob, notary: local() },
          { genesis },
        );
        await lost.start();
        await lost.sync();
        assert.is(lost.balance().free, before[2]);
        const trail: TrailPart[] = [];
        for await (const part of lost.trail()) trail.push(part);
        assert.is(trail.length, 3, 'an opening, one entry, an end');
        await lost.stop();
      });
      await notary.stop();
      await db.close();
    }),
  ));

test.run();
