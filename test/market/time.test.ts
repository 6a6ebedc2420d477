import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openNotaryStore } from '../../src/ledger/notary-store.ts';
import type { TaskView } from '../../src/market/index.ts';
import { defaultWindows, MAX_TIMEOUT_MS, NOTARY_GRACE_MS } from '../../src/market/options.ts';
import { termsFor } from '../../src/market/terms.ts';
import type { DuxNode } from '../../src/node/node.ts';
import { createMemoryExecutor, type MemoryProgram } from '../../src/sandbox/index.ts';
import { type Deferred, deferred, systemClock } from '../../src/util/index.ts';
import { verifyReceipt } from '../../src/verification/index.ts';
import { termsSchema } from '../../src/wire/index.ts';
import { ended, FLOP, type TestNet, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { codeThrown, gate, indexOf, paidEscrows, seen, withNet } from './support.ts';

const test = suite('market: money over time');

const notary = { market: { workerEnabled: false } };
const requester = notary;
/** Beyond a limit, and what notaries allow for clocks; and before one. */
const PAST_MS = NOTARY_GRACE_MS + 10_000;
const BEFORE_MS = 20_000;

/** What a worker keeps of 5 FLOP, and of half of that, after the fee of 2 %. */
const WHOLE = (5n * FLOP * 98n) / 100n;
const HALF = WHOLE / 2n;

const { disputeMs: DISPUTE_MS, verdictMs: VERDICT_MS } = defaultWindows;
/** From the award on. */
const claimMs = termsFor(taskRequest().spec).claimMs;

async function escrowStates({ db }: DuxNode): Promise<string[]> {
  const states: string[] = [];
  for await (const [, { escrow }] of openNotaryStore(db).escrows.iterate({ limit: 100 }))
    states.push(escrow.state);
  return states.sort();
}

const escrowsAre = (net: TestNet, ...states: string[]) =>
  waitFor(
    async () => `${await escrowStates(net.nodes[0]!)}` === `${states.sort()}`,
    `the escrows to be ${states}`,
    8_000,
  );

const holds = ({ settlement }: DuxNode, free: bigint) =>
  waitFor(
    () => {
      const balance = settlement.balance();
      return balance.free === free && balance.locked === 0n && balance.incoming === 0n;
    },
    `${settlement.account} to hold ${free}`,
    8_000,
  );

const waitsForUser = (node: DuxNode, taskId: string) =>
  seen(node, taskId, 'waiting for its user', ({ waiting }) => waiting === 'awaiting_accept');

/** The worker files its claim shortly before its time is over. */
async function jumpToClaim(net: TestNet): Promise<void> {
  net.clock.jump(claimMs - BEFORE_MS);
  await escrowsAre(net, 'CLAIMED');
}

const byHand = { automaticPayment: false };

test('a requester that never comes back after the result: the worker claims in time and is paid in full, over its own restarts', async () => {
  const door = gate();
  await withNet([notary, requester, { run: door.run }], async net => {
    const worker = net.nodes[2]!;
    await net.nodes[1]!.market.tasks.submit(taskRequest());
    await door.entered;
    await net.nodes[1]!.network.stop();
    door.open();
    await waitFor(() => worker.market.tasks.stats().worker.executed === 1, 'the result to be attested');
    await net.nodes[1]!.stop();
    await worker.stop();
    await net.restart(2);
    await jumpToClaim(net);
    await net.nodes[2]!.stop();
    net.clock.jump(BEFORE_MS + DISPUTE_MS + PAST_MS);
    const back = await net.restart(2);
    await escrowsAre(net, 'PAID');
    await holds(back, 1_000n * FLOP + WHOLE);
  });
});

test('a worker that never comes back after the lock: the task is done elsewhere, and the old lock comes back to a requester that was away', async () => {
  const doors = [gate(), gate()];
  await withNet([notary, requester, doors[0]!, doors[1]!], async net => {
    const node = net.nodes[1]!;
    const { taskId } = await node.market.tasks.submit(taskRequest());
    const first = await seen(node, taskId, 'executing', ({ phase }) => phase === 'executing');
    const lost = net.nodes[indexOf(net, first.worker)]!;
    await lost.network.stop();
    await seen(node, taskId, 'elsewhere', ({ attempts }) => attempts.length === 2);
    for (const door of doors) door.open();
    await lost.stop();
    assert.is((await ended(node, taskId)).state, 'completed');
    await escrowsAre(net, 'OPEN', 'PAID');
    await node.stop();
    net.clock.jump(claimMs + PAST_MS);
    const back = await net.restart(1);
    await escrowsAre(net, 'PAID', 'REFUNDED');
    await holds(back, 995n * FLOP);
    const { attempts } = await back.market.tasks.get(taskId);
    assert.equal(
      attempts.map(({ payment }) => payment?.state),
      ['refunded', 'released'],
    );
    assert.is(await paidEscrows(net.nodes[0]!), 1);
  });
});

test('a user who never answers: the claim pays the worker when its window is over, with a receipt', () =>
  withNet([notary, requester, {}], async net => {
    const node = net.nodes[1]!;
    const { taskId } = await node.market.tasks.submit(taskRequest(byHand));
    await waitsForUser(node, taskId);
    assert.is((await node.market.tasks.result(taskId)).exitCode, 0);
    await jumpToClaim(net);
    assert.is((await node.market.tasks.get(taskId)).waiting, 'awaiting_accept');
    // whoever hears of the end may have the receipt at once
    const receipt: Deferred<Uint8Array> = deferred();
    node.market.tasks.onEvent(({ state }) => {
      if (state === 'completed') node.market.tasks.receipt(taskId).then(receipt.resolve, receipt.reject);
    });
    net.clock.jump(BEFORE_MS + DISPUTE_MS + PAST_MS);
    const view = await ended(node, taskId);
    assert.equal([view.state, view.waiting, view.failure], ['completed', null, null]);
    assert.equal([view.payment?.state, view.payment?.amount], ['released', 5n * FLOP]);
    const report = verifyReceipt(await receipt.promise);
    assert.equal([report.settlement, report.pay, report.verification], ['paid', 5n * FLOP, null]);
    await holds(node, 995n * FLOP);
    await holds(net.nodes[2]!, 1_000n * FLOP + WHOLE);
  }));

test('a user who never answers, and a worker that never claims: the lock comes back', () =>
  withNet([notary, requester, {}], async net => {
    const node = net.nodes[1]!;
    const { taskId } = await node.market.tasks.submit(taskRequest(byHand));
    await waitsForUser(node, taskId);
    await net.nodes[2]!.network.stop();
    await net.nodes[2]!.stop();
    net.clock.jump(claimMs + DISPUTE_MS + PAST_MS);
    const view = await ended(node, taskId);
    assert.equal([view.state, view.payment?.state], ['completed', 'refunded']);
    // nothing was paid: there is nothing to prove
    assert.is(view.hasReceipt, false);
    await holds(node, 1_000n * FLOP);
  }));

test('a user who never answers to a failed run: the split that both have signed is paid, not the whole', async () => {
  const run = async () => ({ exitCode: 3, usage: { cpuMs: 1, peakMemoryBytes: 1, wallMs: 15_000 } });
  await withNet([notary, requester, { run }], async net => {
    const node = net.nodes[1]!;
    const { taskId } = await node.market.tasks.submit(taskRequest(byHand));
    await waitsForUser(node, taskId);
    await jumpToClaim(net);
    net.clock.jump(BEFORE_MS + DISPUTE_MS - 60_000);
    const view = await ended(node, taskId);
    assert.equal([view.state, view.failure?.code, view.payment?.state], ['failed', 'TASK_EXIT', 'split']);
    assert.ok(view.payment!.amount < 5n * FLOP);
    await holds(node, 1_000n * FLOP - view.payment!.amount);
  });
});

test('a failed run that waits for its user still waits after a restart: the split is not filed unasked', async () => {
  const run = async () => ({ exitCode: 3, usage: { cpuMs: 1, peakMemoryBytes: 1, wallMs: 15_000 } });
  await withNet(
    [notary, requester, { run }],
    async net => {
      const { taskId } = await net.nodes[1]!.market.tasks.submit(taskRequest(byHand));
      await waitsForUser(net.nodes[1]!, taskId);
      await net.nodes[1]!.stop();
      const node = await net.restart(1);
      // another task goes through its whole settlement meanwhile
      const other = await node.market.tasks.submit(taskRequest());
      await ended(node, other.taskId);
      assert.is((await waitsForUser(node, taskId)).payment?.state, 'locked');
    },
    { open: 1 },
  );
});

test('a user’s dispute is filed on the claim, and without arbiters ends in halves on both ends', () =>
  withNet([notary, requester, {}], async net => {
    const node = net.nodes[1]!;
    const { taskId } = await node.market.tasks.submit(taskRequest(byHand));
    await waitsForUser(node, taskId);
    assert.is((await node.market.tasks.dispute(taskId, 'the answer is wrong')).waiting, 'disputed');
    // the worker hears of it, and claims long before it would have to
    const shown = ({ payment }: TaskView) => payment?.escrow?.state === 'disputed';
    const during = await seen(node, taskId, 'disputed', shown);
    assert.equal([during.state, during.waiting, during.payment?.state], ['paying', 'disputed', 'locked']);
    net.clock.jump(claimMs + DISPUTE_MS + VERDICT_MS + PAST_MS);
    const view = await ended(node, taskId);
    assert.equal([view.state, view.waiting], ['completed', null]);
    assert.equal([view.payment?.state, view.payment?.amount], ['split', (5n * FLOP) / 2n]);
    assert.is(verifyReceipt(await node.market.tasks.receipt(taskId)).settlement, 'split');
    await holds(node, 1_000n * FLOP - (5n * FLOP) / 2n);
    await holds(net.nodes[2]!, 1_000n * FLOP + HALF);
  }));

test('a result that fails its checks is not accepted: another runs the task, and its claim ends in halves', async () => {
  let runs = 0;
  const run: MemoryProgram = async (_task, sink) => {
    await sink.stdout(Buffer.from('{"answer":42}\n'));
    return {};
  };
  const executor = () => {
    const honest = createMemoryExecutor({ clock: systemClock }, { run });
    const prepare: typeof honest.prepare = async (...args) => {
      const prepared = await honest.prepare(...args);
      const ran = async (...given: Parameters<typeof prepared.run>) => {
        const result = await prepared.run(...given);
        return runs++ === 0 ? { ...result, endedAt: result.startedAt - 1 } : result;
      };
      return { ...prepared, run: ran };
    };
    return { ...honest, prepare };
  };
  await withNet([notary, requester, { executor }, { executor }], async net => {
    const node = net.nodes[1]!;
    const { taskId } = await node.market.tasks.submit(taskRequest());
    const view = await ended(node, taskId);
    const [bad, good] = view.attempts;
    assert.equal([view.state, view.attempts.length, runs], ['completed', 2, 2]);
    assert.equal([bad?.failure?.code, bad?.payment?.state], ['ATTESTATION_TIMES', 'locked']);
    assert.is(Buffer.from((await node.market.tasks.result(taskId)).stdout).toString(), '{"answer":42}\n');
    await escrowsAre(net, 'DISPUTED', 'PAID');
    net.clock.jump(claimMs + DISPUTE_MS + VERDICT_MS + PAST_MS);
    await escrowsAre(net, 'PAID', 'SPLIT');
    await holds(node, 1_000n * FLOP - 5n * FLOP - (5n * FLOP) / 2n);
    await holds(net.nodes[indexOf(net, bad!.worker)]!, 1_000n * FLOP + HALF);
    await holds(net.nodes[indexOf(net, good!.worker)]!, 1_000n * FLOP + WHOLE);
    const after: TaskView = await node.market.tasks.get(taskId);
    assert.equal(
      after.attempts.map(({ payment }) => payment?.state),
      ['split', 'released'],
    );
  });
});

test('a worker that claimed and is gone is paid all the same, by a requester that missed the dispute', async () => {
  await withNet([notary, requester, {}], async net => {
    const { taskId } = await net.nodes[1]!.market.tasks.submit(taskRequest(byHand));
    await waitsForUser(net.nodes[1]!, taskId);
    await net.nodes[1]!.stop();
    await jumpToClaim(net);
    await net.nodes[2]!.stop();
    net.clock.jump(BEFORE_MS + DISPUTE_MS + PAST_MS);
    const node = await net.restart(1);
    const view = await ended(node, taskId);
    assert.equal([view.state, view.payment?.state], ['completed', 'released']);
    await holds(node, 995n * FLOP);
  });
});

test('both were away until the claim was too late: nothing stays locked, and the worker is not owed any more', async () => {
  await withNet([notary, requester, {}], async net => {
    const { taskId } = await net.nodes[1]!.market.tasks.submit(taskRequest(byHand));
    await waitsForUser(net.nodes[1]!, taskId);
    await net.nodes[1]!.stop();
    await net.nodes[2]!.stop();
    net.clock.jump(claimMs + PAST_MS);
    const worker = await net.restart(2);
    await escrowsAre(net, 'REFUNDED');
    await holds(worker, 1_000n * FLOP);
  });
});

test('after an idle hour the first task is taken without waiting for the next look at the funds', () =>
  withNet([notary, requester, {}], async net => {
    const node = net.nodes[1]!;
    net.clock.jump(3_600_000);
    const began = performance.now();
    const deadline = net.clock.now() + 3_600_000;
    const { taskId } = await node.market.tasks.submit(taskRequest({ deadline }));
    assert.is((await ended(node, taskId)).state, 'completed');
    assert.ok(performance.now() - began < 4_000, 'it took as long as a look at the funds');
  }));

test('no timeout that is taken makes terms that no offer can carry; a longer one is refused at once', () =>
  withNet([notary, {}], async net => {
    const node = net.nodes[0]!;
    const withTimeout = (timeoutMs: number) => {
      const request = taskRequest();
      return { ...request, spec: { ...request.spec, timeoutMs } };
    };
    termsSchema.parse(termsFor(withTimeout(MAX_TIMEOUT_MS).spec));
    const { taskId } = await node.market.tasks.submit(withTimeout(MAX_TIMEOUT_MS));
    assert.is((await ended(node, taskId)).state, 'completed');
    for (const timeoutMs of [MAX_TIMEOUT_MS + 1, 30 * 86_400_000 - 1])
      assert.is(await codeThrown(node.market.tasks.submit(withTimeout(timeoutMs))), 'TIMEOUT_TOO_LONG');
  }));

test.run();
