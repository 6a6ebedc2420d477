import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KEEP_MS } from '../../src/ledger/checkpoints.ts';
import {
  type CommitteeNotary,
  checkFunds,
  committeeAt,
  committeeOf,
  type Escrow,
  LONG_MS,
  Promoter,
  readLock,
  TrailReplay,
} from '../../src/ledger/index.ts';
import {
  CHECKPOINT_KEY,
  countKey,
  META_KEY,
  type NotaryStore,
  openNotaryStore,
} from '../../src/ledger/notary-store.ts';
import type { StoredAccount } from '../../src/ledger/records.ts';
import { accountItems, changeState } from '../../src/ledger/state-digest.ts';
import { silentLogger } from '../../src/util/index.ts';
import type { Lock, TaskRef } from '../../src/wire/index.ts';
import { acceptKind, certificateKind, checkpointKind, open, readInvite, seal } from '../../src/wire/index.ts';
import { open as openDb } from '../db/temp-dir.ts';
import { movableClock } from '../fixtures/movable-clock.ts';
import { waitFor } from '../fixtures/wait.ts';
import { code, type TestLedger, type TestNode, withLedger } from './network.ts';
import * as s from './support.ts';

const test = suite('ledger: several notaries');
const { FLOP } = s;
/** A wallet that found too few notaries asks again after up to 5 s. */
const WAIT_MS = 30_000;

function terms(worker: TestNode, name: string): { ref: TaskRef; lock: Omit<Lock, 'op' | keyof TaskRef> } {
  const now = Date.now();
  const { op, taskId, replica, attempt, ...rest } = s.makeLock({
    ...s.taskRefOf(name),
    worker: worker.signer.peer,
    claimBy: now + 60_000,
    disputeBy: now + 120_000,
    verdictBy: now + 180_000,
  });
  return { ref: { taskId, replica, attempt }, lock: rest };
}

/** One paid task: locked, accepted, closed. */
async function pay(ledger: TestLedger, from: TestNode, worker: TestNode, name: string): Promise<void> {
  const { ref, lock } = terms(worker, name);
  const escrow = await from.wallet.lock(ref, lock);
  const { body, signers } = open(certificateKind, escrow.decided.certificate);
  const { committee } = from.wallet;
  assert.is(signers.length, committeeAt(body.epoch, committee)?.quorum);
  assert.is(body.ballot, 0);
  assert.is(readLock(escrow.decided, ref, committee).escrowId, escrow.escrowId);
  const accept = seal(
    acceptKind,
    {
      net: ledger.info.net,
      escrowId: escrow.escrowId,
      ...ref,
      attestation: new Uint8Array(32),
      verification: 'check',
    },
    from.signer,
  );
  const closing = await from.wallet.settle(escrow, accept.bytes);
  assert.ok(closing !== 'pending' && closing.outcome === 'paid');
}

test('four notaries: membership, funds, lock and release, each signed by three', () =>
  withLedger(
    async ledger => {
      const [alice, bob] = [await ledger.add(), await ledger.add()];
      await waitFor(() => alice.wallet.balance().free === 10n * FLOP, 'the grant', WAIT_MS);
      const { wallet } = ledger.first;
      await waitFor(() => wallet.funds() !== null, 'a funds statement', WAIT_MS);
      const funds = checkFunds(wallet.funds()!, committeeOf(ledger.info));
      assert.ok(funds.balance > 900n * FLOP && funds.member);
      await pay(ledger, alice, bob, 'one');
      await waitFor(
        async () => {
          await bob.wallet.sync();
          return bob.wallet.balance().free > 10n * FLOP;
        },
        'the pay',
        WAIT_MS,
      );
      assert.is(alice.wallet.balance().free, 9n * FLOP);
      assert.is(alice.wallet.status().note, null);
    },
    { notaries: 4 },
  ));

/** An order of alice's account that another machine with her key signed meanwhile. */
async function rival(ledger: TestLedger, alice: TestNode, to: string): Promise<Uint8Array> {
  const { net } = ledger.info;
  return s.makeOrder(alice.signer, 0, [{ op: 'transfer', to, amount: 1n }], { net }).bytes;
}

test('conflicting orders at different notaries: recovery decides one of them, and the account goes on', () =>
  withLedger(
    async ledger => {
      const [alice, bob] = [await ledger.add(), await ledger.add()];
      const known = ({ notary }: TestNode) => notary!.store.accounts.get(alice.signer.peer);
      const voters = ledger.nodes.slice(0, 2);
      await waitFor(
        async () => (await Promise.all(voters.map(known))).every(account => (account?.balance ?? 0n) > 0n),
        'the grant, at those who are to vote',
        WAIT_MS,
      );
      const value = await rival(ledger, alice, bob.signer.peer);
      for (const node of voters) {
        const answer = await node.notary!.round!(
          { type: 'propose', epoch: 0, values: [value] },
          alice.signer.peer,
        );
        assert.ok(answer.type === 'round' && answer.outcomes[0]?.type === 'signed');
      }
      const third = await rival(ledger, alice, alice.signer.peer);
      const refused = await ledger.first.notary!.round!(
        { type: 'propose', epoch: 0, values: [third] },
        alice.signer.peer,
      );
      const [outcome] = refused.type === 'round' ? refused.outcomes : [];
      assert.is(outcome?.type === 'refused' && outcome.code, 'SLOT_VOTED');
      const { ref, lock } = terms(bob, 'contested');
      const escrow = await alice.wallet.lock(ref, lock);
      assert.is(readLock(escrow.decided, ref, committeeOf(ledger.info)).requester, alice.signer.peer);
      // its certificate goes on to the worker before the wallet has written it down
      const isBooked = async () => (await alice.wallet.history(10)).some(({ kind }) => kind === 'lock');
      await waitFor(isBooked, 'the lock in the history', WAIT_MS);
      await waitFor(
        async () => {
          await bob.wallet.sync();
          return bob.wallet.balance().incoming > 0n || bob.wallet.balance().free > 10n * FLOP;
        },
        'the lock',
        WAIT_MS,
      );
    },
    { notaries: 4 },
  ));

test('one notary away: work goes on; two away: it waits, and goes on when one is back', () =>
  withLedger(
    async ledger => {
      const [alice, bob] = [await ledger.add(), await ledger.add()];
      await waitFor(() => alice.wallet.balance().free === 10n * FLOP, 'the grant', WAIT_MS);
      const [, , third, fourth] = ledger.nodes as [TestNode, TestNode, TestNode, TestNode];
      await ledger.stop(fourth);
      await pay(ledger, alice, bob, 'three notaries');
      await ledger.stop(third);
      const waiting = pay(ledger, alice, bob, 'two notaries');
      await waitFor(() => !alice.wallet.status().reachable, 'the wallet to see that too few answer', WAIT_MS);
      assert.match(alice.wallet.status().note ?? '', /fewer than 3 of the 4 notaries/);
      const unknown = { escrowId: 'ab'.repeat(32) } as Escrow;
      assert.is(await code(alice.wallet.inspect(unknown)), 'LEDGER_UNREACHABLE');
      await ledger.start(fourth);
      alice.network.join(fourth.network.addresses()[0]!);
      await waiting;
      await ledger.start(third);
      const log = () => ledger.nodes.slice(0, 4).map(({ notary }) => (notary as CommitteeNotary).counts.log);
      await waitFor(() => new Set(log()).size === 1, 'all notaries to know all decisions', WAIT_MS);
    },
    { notaries: 4 },
  ));

const counts = (nodes: readonly TestNode[]) =>
  nodes.map(({ notary }) => (notary as CommitteeNotary).counts.log);

test('the founder alone, then three, then three others: payments go on, and what is old is checked by the genesis alone', () =>
  withLedger(async ledger => {
    const { first } = ledger;
    const [alice, bob, carol, dora] = [
      await ledger.add(),
      await ledger.add(),
      await ledger.add(),
      await ledger.add(),
    ];
    await waitFor(() => alice.wallet.balance().free === 10n * FLOP, 'the grant', WAIT_MS);
    await pay(ledger, alice, bob, 'one');
    assert.is(await code(alice.wallet.changeNotaries([alice.signer.peer])), 'NOT_ADMIN');

    const peers = (...nodes: TestNode[]) => nodes.map(({ signer }) => signer.peer);
    // Those who are new read what lies before a checkpoint, too, as long as nothing of it was removed.
    const { checkpoints, store } = first.notary!;
    const meta = (await store.meta.get(META_KEY))!;
    await checkpoints.makeAlone(first.wallet.committee, meta, first.notary!.now() + KEEP_MS);
    assert.is(checkpoints.last?.height, meta.log);
    await first.wallet.changeNotaries(peers(first, bob, carol));
    await pay(ledger, alice, bob, 'two');
    await pay(ledger, alice, carol, 'three');
    assert.equal(alice.wallet.status().notaries, peers(first, bob, carol));

    await first.wallet.changeNotaries(peers(bob, carol, dora));
    await pay(ledger, alice, bob, 'four');
    const three = [bob, carol, dora];
    await waitFor(() => new Set(counts(three)).size === 1, 'all notaries to know all decisions', WAIT_MS);
    for (const { notary } of three)
      await waitFor(
        async () => (await notary!.store.meta.get('state'))!.epoch === 2,
        'every notary to take over',
        WAIT_MS,
      );

    await first.wallet.sync();
    const account = first.signer.peer;
    const replay = new TrailReplay(ledger.info, account);
    for await (const part of first.wallet.trail()) if (part.type === 'entry') replay.take(part.decided);
    assert.is(replay.committee.epoch, 2);
    assert.is(replay.sums.confirmed, first.wallet.balance().free);

    // A newcomer that starts again goes on where it was.
    await ledger.stop(dora);
    await ledger.start(dora);
    await pay(ledger, alice, dora, 'five');
    assert.match(first.wallet.status().note ?? '', /^this node is no notary any more: .*; safety rests on/);

    // One whose key has signed before, with nothing left of it, says so and stays out.
    await writeFile(join(alice.dir, 'notary'), '');
    await first.wallet.changeNotaries(peers(bob, carol, dora, alice));
    const isLost = () => alice.wallet.status().fault?.startsWith('LEDGER_LOST: ') ?? false;
    await waitFor(isLost, 'the one that lost its ledger to say so', WAIT_MS);
    await pay(ledger, alice, bob, 'six');

    await first.db.write([store.log.delOp(countKey(0))]);
    assert.is(await code(first.wallet.changeNotaries(peers(bob, carol, dora, first))), 'LOG_COMPACTED');
    await first.wallet.changeNotaries(peers(bob, carol));
    await ledger.audit();
  }));

test('members that were here for a day become notaries, and one that stays away is replaced', () => {
  const clock = movableClock();
  return withLedger(
    async ledger => {
      const { first } = ledger;
      const join = async (): Promise<TestNode> => {
        const node = await ledger.add();
        const terms = { grant: 10n * FLOP, uses: 1, expiresMs: 2 * LONG_MS };
        const { text } = await first.invitations.create(terms, first.network.addresses(), {});
        await node.membership.redeem(readInvite(text));
        const isKnown = async () => {
          await first.membership.sync();
          return first.membership.has(node.signer.peer);
        };
        await waitFor(isKnown, 'the new member to be known', WAIT_MS);
        return node;
      };
      const [alice, bob] = [await join(), await join()];
      const { network, db, membership, wallet: settlement } = first;
      const promoter = new Promoter({ network, db, clock, logger: silentLogger, membership, settlement });
      await promoter.start();
      const pass = async (ms: number) => {
        clock.jump(ms);
        await promoter.look();
      };
      const are = (...nodes: TestNode[]) => {
        const { keys } = settlement.committee;
        return keys.length === nodes.length && nodes.every(({ signer }) => keys.includes(signer.peer));
      };
      /** On a busy machine one of them may answer too late, and has to be there for longer. */
      const become = async (...nodes: TestNode[]) => {
        const isSo = async () => {
          await pass(LONG_MS / 2);
          return are(...nodes);
        };
        await waitFor(isSo, 'the notaries to change', WAIT_MS);
      };
      await pass(LONG_MS / 2);
      assert.ok(are(first));
      assert.match(promoter.outlook, /^3 notaries, once 2 more members were here for a day/);
      await promoter.stop();
      await promoter.start();
      await become(first, alice, bob);
      assert.match(promoter.outlook, /^4 notaries, once 1 more member was here for a day/);
      await pay(ledger, alice, bob, 'three of them');

      const carol = await join();
      await ledger.stop(bob);
      await waitFor(() => !network.isConnected(bob.signer.peer), 'it to be gone', WAIT_MS);
      await pass(LONG_MS / 2);
      assert.ok(are(first, alice, bob));
      await become(first, alice, carol);
      await pay(ledger, alice, carol, 'without the one that is away');
      await promoter.stop();
      await ledger.start(bob);
      await ledger.audit();
    },
    { overrides: { membership: 'invited', openGrant: 0n }, clock },
  );
});

test('four notaries in one state make a checkpoint together; one whose state is another is told, and nothing is mended', () => {
  const clock = movableClock();
  return withLedger(
    async ledger => {
      const [alice, bob] = [await ledger.add(), await ledger.add()];
      await waitFor(() => alice.wallet.balance().free === 10n * FLOP, 'the grant', WAIT_MS);
      await pay(ledger, alice, bob, 'a task');
      clock.jump(KEEP_MS);
      const nodes = ledger.nodes.slice(0, 4);
      const heights = () => nodes.map(({ notary }) => notary!.checkpoints.last?.height);
      await waitFor(() => heights().every(height => height !== undefined), 'the checkpoints', WAIT_MS);
      for (const { notary } of nodes) {
        const { body, signers } = open(checkpointKind, notary!.checkpoints.last!.bytes);
        assert.equal([...signers].sort(), nodes.map(({ signer }) => signer.peer).sort());
        assert.is(body.balances + body.escrows, ledger.info.supply);
      }

      // Bob loses all but its key, and the notaries have removed what it had read.
      await waitFor(
        async () => {
          await bob.wallet.sync();
          return bob.wallet.balance().free > 10n * FLOP;
        },
        'the pay',
        WAIT_MS,
      );
      const { free } = bob.wallet.balance();
      await ledger.stop(bob);
      await ledger.forget(bob);
      for (const { notary, db } of nodes) {
        const { trails } = notary!.store;
        for await (const [key] of trails.iterate({ prefix: bob.signer.peer, limit: 100 }))
          await db.write([trails.delOp(key)]);
      }
      await ledger.start(bob);
      await bob.wallet.sync();
      assert.is(bob.wallet.balance().free, free);
      const [line] = await bob.wallet.history(10);
      assert.ok(line?.kind === 'genesis');
      const resumed = await bob.wallet.certificate(line.slot);
      assert.is(open(certificateKind, resumed!.certificate).signers.length, 3);

      const last = nodes[3]!;
      await ledger.stop(last);
      last.db = await openDb(last.dir);
      await giveAway(openNotaryStore(last.db), alice.signer.peer, bob.signer.peer);
      await last.db.close();
      await ledger.start(last);
      const told = ({ wallet }: TestNode) => wallet.status().fault?.startsWith('NOTARIES_DIFFER: ') ?? false;
      await waitFor(() => told(last), 'the notary to see that it is alone', WAIT_MS);
      await pay(ledger, alice, bob, 'another task');
      await waitFor(() => nodes.every(told), 'all to see it', WAIT_MS);
      await bob.wallet.sync();
      assert.is(bob.wallet.balance().free, free + (FLOP * 98n) / 100n, 'counted once');

      await ledger.stop(last);
      await ledger.forget(last);
      await ledger.start(last);
      // what it finds first: that it signed what it does not know, or that it cannot read it any more
      const isLost = () => /^(LEDGER_LOST|NOTARY_BEHIND): /.test(last.wallet.status().fault ?? '');
      await waitFor(isLost, 'a notary without its disk to see that it can take no part', WAIT_MS);
    },
    { notaries: 4, clock },
  );
});

/** One unit of alice's is bob's, as if by a fault of the disk that all sums overlook. */
async function giveAway(store: NotaryStore, alice: string, bob: string): Promise<void> {
  const ids = [alice, bob];
  const before = (await store.accounts.getMany(ids)) as StoredAccount[];
  const after = before.map((account, i) => ({ ...account, balance: account.balance + (i === 0 ? -1n : 1n) }));
  const items = (accounts: StoredAccount[]) =>
    accounts.flatMap((account, i) => accountItems(ids[i]!, account));
  const meta = (await store.meta.get(META_KEY))!;
  const state = changeState(meta.state, items(before), items(after));
  await store.db.write([
    ...after.map((account, i) => store.accounts.putOp(ids[i]!, account)),
    store.meta.putOp(META_KEY, { ...meta, state }),
    // Without it the others' logs are asked for from their beginning, which the others may have removed.
    store.checkpoint.delOp(CHECKPOINT_KEY),
  ]);
}

test.run();
