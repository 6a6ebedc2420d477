import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CommitteeNotary,
  checkFunds,
  committeeOf,
  type Escrow,
  readLock,
} from '../../src/ledger/index.ts';
import type { Lock, TaskRef } from '../../src/wire/index.ts';
import { acceptKind, certificateKind, open, seal } from '../../src/wire/index.ts';
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
  const committee = committeeOf(ledger.info);
  assert.is(signers.length, committee.quorum);
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
      await waitFor(() => alice.wallet.balance().free === 10n * FLOP, 'the grant', WAIT_MS);
      const value = await rival(ledger, alice, bob.signer.peer);
      for (const node of ledger.nodes.slice(0, 2)) {
        const answer = await node.notary!.round!({ type: 'propose', values: [value] });
        assert.ok(answer.type === 'round' && answer.outcomes[0]?.type === 'signed');
      }
      const third = await rival(ledger, alice, alice.signer.peer);
      const refused = await ledger.first.notary!.round!({ type: 'propose', values: [third] });
      const [outcome] = refused.type === 'round' ? refused.outcomes : [];
      assert.is(outcome?.type === 'refused' && outcome.code, 'SLOT_VOTED');
      const { ref, lock } = terms(bob, 'contested');
      const escrow = await alice.wallet.lock(ref, lock);
      assert.is(readLock(escrow.decided, ref, committeeOf(ledger.info)).requester, alice.signer.peer);
      const first = await alice.wallet.history(10);
      assert.ok(first.some(({ kind }) => kind === 'lock'));
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

test.run();
