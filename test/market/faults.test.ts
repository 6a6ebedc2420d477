import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DuxNode } from '../../src/node/node.ts';
import { createMemoryExecutor, type MemoryExecutor } from '../../src/sandbox/index.ts';
import { systemClock } from '../../src/util/index.ts';
import { signerFromSeed } from '../../src/wire/index.ts';
import { ended, FLOP, type TestNet, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { codeThrown, gate, indexOf, paidEscrows, seen, withNet } from './support.ts';

const test = suite('market: faults');

/** Node 0 keeps the ledger and takes no tasks. */
const notary = { market: { workerEnabled: false } };

const allBack = (node: DuxNode) =>
  waitFor(
    async () => {
      await node.settlement.sync();
      return node.settlement.balance().locked === 0n;
    },
    'all locks to come back',
    20_000,
  );

/** The worker of a task that is inside its program. */
async function runningOn(net: TestNet, node: DuxNode, taskId: string): Promise<number> {
  const view = await seen(node, taskId, 'executing', ({ phase }) => phase === 'executing');
  return indexOf(net, view.worker);
}

/** The lost worker is there again; one of its task's locks was paid, and the other came back. */
async function backAndPaidOnce(net: TestNet, node: DuxNode, lost: number): Promise<void> {
  await net.nodes[lost]!.stop();
  await net.restart(lost);
  await allBack(node);
  assert.is(node.settlement.balance().free, 995n * FLOP);
  assert.is(await paidEscrows(net.nodes[0]!), 1);
}

test('a worker that is lost in mid-task: another one runs it, one is paid, the old lock comes back', async () => {
  const doors = [gate(), gate()];
  await withNet([notary, {}, doors[0]!, doors[1]!], async net => {
    const node = net.nodes[1]!;
    const { taskId } = await node.market.tasks.submit(taskRequest());
    const lost = await runningOn(net, node, taskId);
    await net.nodes[lost]!.network.stop();
    await seen(node, taskId, 'elsewhere', ({ attempts }) => attempts.length === 2);
    doors[lost === 2 ? 1 : 0]!.open();
    const view = await ended(node, taskId);
    assert.is(view.state, 'completed');
    assert.is(view.attempts[0]?.failure?.code, 'WORKER_DEAD');
    assert.is.not(view.worker, view.attempts[0]?.worker);
    await backAndPaidOnce(net, node, lost);
  });
});

test('an idempotent task whose worker is silent runs on a second one too: the first result is paid, the other lock comes back', async () => {
  const doors = [gate(), gate()];
  await withNet([notary, {}, doors[0]!, doors[1]!], async net => {
    const node = net.nodes[1]!;
    const { taskId } = await node.market.tasks.submit(taskRequest({ idempotent: true }));
    const lost = await runningOn(net, node, taskId);
    doors[3 - lost]!.open();
    await net.nodes[lost]!.network.stop();
    const view = await ended(node, taskId);
    assert.is(view.state, 'completed');
    assert.equal(
      view.attempts.map(({ failure }) => failure?.code ?? null),
      ['OVERTAKEN', null],
    );
    assert.is.not(view.worker, view.attempts[0]?.worker);
    await backAndPaidOnce(net, node, lost);
  });
});

test('without money for two at a time a silent worker is waited for alone', async () => {
  const doors = [gate(), gate()];
  await withNet([notary, {}, doors[0]!, doors[1]!], async net => {
    const node = net.nodes[1]!;
    const request = taskRequest({ idempotent: true, maxTotal: 5n * FLOP });
    const { taskId } = await node.market.tasks.submit(request);
    const lost = await runningOn(net, node, taskId);
    doors[3 - lost]!.open();
    await net.nodes[lost]!.network.stop();
    const { attempts } = await seen(node, taskId, 'waiting', ({ waiting }) => waiting === 'funds_locked');
    assert.equal(
      attempts.map(({ failure }) => failure?.code),
      ['WORKER_DEAD'],
    );
    await net.nodes[lost]!.stop();
    await net.restart(lost);
    const view = await ended(node, taskId);
    assert.is(view.state, 'completed');
    assert.is(view.attempts.length, 2);
    await allBack(node);
    assert.is(await paidEscrows(net.nodes[0]!), 1);
  });
});

test('a worker that is shut down in mid-task says so, and the task goes on at once', async () => {
  const doors = [gate(), gate()];
  await withNet([notary, notary, doors[0]!, doors[1]!], async net => {
    const node = net.nodes[1]!;
    const { taskId } = await node.market.tasks.submit(taskRequest());
    const lost = await runningOn(net, node, taskId);
    await net.nodes[lost]!.stop();
    for (const door of doors) door.open();
    const view = await ended(node, taskId);
    assert.is(view.state, 'completed');
    assert.is(view.attempts[0]?.failure?.code, 'STOPPING');
    await allBack(node);
    assert.is(node.settlement.balance().free, 995n * FLOP);
    await net.restart(lost);
  });
});

test('an engine that dies in mid-task is the worker’s failure: retried elsewhere', async () => {
  const doors = [gate(), gate()];
  const engines: MemoryExecutor[] = [];
  const worker = (door: ReturnType<typeof gate>) => ({
    executor: () => {
      const engine = createMemoryExecutor({ clock: systemClock }, { run: door.run });
      engines.push(engine);
      return engine;
    },
  });
  await withNet([{ ...notary }, worker(doors[0]!), worker(doors[1]!)], async net => {
    const node = net.nodes[0]!;
    const { taskId } = await node.market.tasks.submit(taskRequest());
    const lost = await runningOn(net, node, taskId);
    engines[lost - 1]!.setAvailable(false);
    for (const door of doors) door.open();
    const view = await ended(node, taskId);
    assert.equal([view.state, view.attempts.length], ['completed', 2]);
    assert.is(view.attempts[0]?.failure?.class, 'worker');
    assert.is(await paidEscrows(net.nodes[0]!), 1);
  });
});

test('a requester that restarts in mid-task takes its task up again, and pays once', async () => {
  const door = gate();
  await withNet([notary, notary, door], async net => {
    const { taskId } = await net.nodes[1]!.market.tasks.submit(taskRequest());
    await runningOn(net, net.nodes[1]!, taskId);
    await net.nodes[1]!.stop();
    const node = await net.restart(1);
    door.open();
    const view = await ended(node, taskId);
    assert.equal([view.state, view.attempts.length, door.count()], ['completed', 1, 1]);
    assert.is(Buffer.from((await node.market.tasks.result(taskId)).stdout).toString(), '{"ok":true}\n');
    assert.is(await paidEscrows(net.nodes[0]!), 1);
  });
});

test('a result that was ready while its requester was away is pulled when it is back', async () => {
  const door = gate();
  await withNet([notary, notary, door], async net => {
    const { taskId } = await net.nodes[1]!.market.tasks.submit(taskRequest());
    await runningOn(net, net.nodes[1]!, taskId);
    await net.nodes[1]!.stop();
    door.open();
    const worker = net.nodes[2]!.market.tasks;
    await waitFor(() => worker.stats().worker.executed === 1, 'the result to be attested');
    const node = await net.restart(1);
    const view = await ended(node, taskId);
    assert.equal([view.state, view.attempts.length, door.count()], ['completed', 1, 1]);
    assert.is(await paidEscrows(net.nodes[0]!), 1);
  });
});

test('a worker that crashed and is back has lost its lease, says so, and gives the lock back', async () => {
  const doors = [gate(), gate()];
  await withNet(
    [notary, { market: { workerEnabled: false, deadMs: 20_000, suspectMs: 10_000 } }, doors[0]!, doors[1]!],
    async net => {
      const node = net.nodes[1]!;
      const { taskId } = await node.market.tasks.submit(taskRequest());
      const lost = await runningOn(net, node, taskId);
      // without a network nothing of the stop is heard: for its requester it is as if it had crashed
      await net.nodes[lost]!.network.stop();
      await net.nodes[lost]!.stop();
      await net.restart(lost);
      for (const door of doors) door.open();
      const view = await ended(node, taskId);
      assert.equal([view.state, view.attempts[0]?.failure?.code], ['completed', 'LEASE_LOST']);
      await allBack(node);
      assert.is(node.settlement.balance().free, 995n * FLOP);
    },
  );
});

test('cancel while pending: nothing was spent', () =>
  withNet([{}, {}], async net => {
    const node = net.nodes[0]!;
    const { peer } = signerFromSeed(new Uint8Array(32).fill(7));
    const { taskId } = await node.market.tasks.submit(taskRequest({ requirePeers: [peer] }));
    await seen(node, taskId, 'waiting', ({ waiting }) => waiting === 'no_bids');
    const before = node.settlement.balance();
    const view = await node.market.tasks.cancel(taskId);
    assert.equal([view.state, view.waiting, view.failure?.code], ['cancelled', null, 'CANCELLED']);
    assert.equal(node.settlement.balance(), before);
    assert.is(await codeThrown(node.market.tasks.cancel(taskId)), 'TASK_OVER');
  }));

test('cancel while it runs: the worker stops, is paid for its time, the rest comes back', async () => {
  const door = gate();
  await withNet([notary, notary, door], async net => {
    const node = net.nodes[1]!;
    const { taskId } = await node.market.tasks.submit(taskRequest());
    await runningOn(net, node, taskId);
    const view = await node.market.tasks.cancel(taskId);
    assert.equal([view.state, view.failure?.code], ['cancelled', 'CANCELLED']);
    const { worker } = net.nodes[2]!.market.tasks.stats();
    assert.is(worker.running, 0);
    const paid = await seen(node, taskId, 'settled', ({ payment }) => payment?.state === 'split');
    assert.is(paid.payment?.amount, FLOP / 2n);
    await allBack(node);
    assert.is(node.settlement.balance().free, 1_000n * FLOP - FLOP / 2n);
    assert.is(await codeThrown(node.market.tasks.cancel(taskId)), 'TASK_OVER');
  });
});

test('cancel after the end is refused', () =>
  withNet([{}, {}], async net => {
    const { tasks } = net.nodes[0]!.market;
    const { taskId } = await tasks.submit(taskRequest());
    await ended(net.nodes[0]!, taskId);
    assert.is(await codeThrown(tasks.cancel(taskId)), 'TASK_OVER');
    assert.is(await codeThrown(tasks.cancel('bafyreigh2akiscaildc')), 'TASK_NOT_FOUND');
  }));

test('cancel at any moment of the award leaves no lock and no place taken', async () => {
  await withNet([notary, notary, gate()], async net => {
    const { tasks } = net.nodes[1]!.market;
    for (const phase of ['offering', 'awarding', 'queued', 'staging', 'executing']) {
      const cancelled: Promise<unknown>[] = [];
      const off = tasks.onEvent(event => {
        if (event.phase === phase && event.state !== 'cancelled' && cancelled.length === 0)
          cancelled.push(tasks.cancel(event.taskId));
      });
      const { taskId } = await tasks.submit(taskRequest());
      const view = await Promise.race([
        ended(net.nodes[1]!, taskId),
        seen(net.nodes[1]!, taskId, 'executing', v => v.phase === 'executing'),
      ]);
      off();
      if (view.state !== 'cancelled' && cancelled.length === 0) await tasks.cancel(taskId);
      await Promise.all(cancelled);
      assert.is((await ended(net.nodes[1]!, taskId)).state, 'cancelled', phase);
    }
    await allBack(net.nodes[1]!);
  });
});

test.run();
