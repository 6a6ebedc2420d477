import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { TaskView } from '../../src/market/index.ts';
import { HOPELESS_ROUNDS } from '../../src/market/options.ts';
import { createMemoryExecutor, type MemoryExecutor } from '../../src/sandbox/index.ts';
import { systemClock } from '../../src/util/index.ts';
import { ended, FLOP, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { codeThrown, gate, seen, withNet } from './support.ts';

const test = suite('market: waits');

const notary = { market: { workerEnabled: false } };

/** Answers to one offer may come after its window, so this may take some offers. */
const refusedWith = ({ attempts }: TaskView, code: string) =>
  attempts.at(-1)?.bids.some(({ refusal }) => refusal?.code === code) === true;

test('while the engine is away the task waits with the reason; it runs when the engine is back', async () => {
  let engine: MemoryExecutor | undefined;
  const executor = () => {
    engine = createMemoryExecutor({ clock: systemClock });
    return engine;
  };
  await withNet([notary, { executor }], async net => {
    const node = net.nodes[0]!;
    engine!.setAvailable(false);
    const { taskId } = await node.market.tasks.submit(taskRequest());
    await seen(node, taskId, 'refused', view => refusedWith(view, 'NO_SANDBOX'));
    await seen(node, taskId, 'waiting', ({ waiting }) => waiting === 'no_bids');
    engine!.setAvailable(true);
    assert.is((await ended(node, taskId)).state, 'completed');
  });
});

test('a worker that refuses the award: the next bid is taken, without another auction', () =>
  withNet([notary, { market: { price: FLOP } }, { market: { price: 4n * FLOP } }], async net => {
    const node = net.nodes[0]!;
    const [, cheap, dear] = net.nodes;
    const off = node.market.tasks.onEvent(({ phase }) => {
      if (phase === 'awarding') void cheap!.market.tasks.drain();
    });
    const { taskId } = await node.market.tasks.submit(taskRequest());
    const view = await ended(node, taskId);
    off();
    assert.equal([view.state, view.attempts.length, view.worker], ['completed', 1, dear!.identity.peer]);
    const [first] = view.attempts[0]!.bids;
    // once in a while a bid beyond the best is tried first
    if (first?.worker === cheap!.identity.peer) assert.is(first.refusal?.code, 'DRAINING');
    assert.is(view.payment?.amount, 4n * FLOP);
  }));

test('a node that drains ends what runs and takes nothing new until it resumes', async () => {
  const door = gate();
  await withNet([notary, { run: door.run }], async net => {
    const [node, worker] = net.nodes;
    const first = await node!.market.tasks.submit(taskRequest());
    await door.entered;
    await worker!.market.tasks.drain();
    const second = await node!.market.tasks.submit(taskRequest());
    await seen(node!, second.taskId, 'refused', view => refusedWith(view, 'DRAINING'));
    door.open();
    assert.is((await ended(node!, first.taskId)).state, 'completed');
    await worker!.market.tasks.resume();
    assert.is((await ended(node!, second.taskId)).state, 'completed');
  });
});

test('a task that is too large for every node fails, and names the reasons', () =>
  withNet([notary, {}, {}], async net => {
    const node = net.nodes[1]!;
    const request = taskRequest();
    const { taskId } = await node.market.tasks.submit({
      ...request,
      spec: { ...request.spec, memoryBytes: 2 ** 40 },
    });
    const view = await ended(node, taskId);
    assert.equal([view.state, view.failure?.code], ['failed', 'NO_WORKER_FITS']);
    assert.match(view.failure!.message, /TOO_LARGE: lends 4 CPUs, 4096 MiB/);
    assert.is(
      view.attempts.every(({ worker }) => worker === null),
      true,
    );
  }));

test('a node that does not answer in time is not taken for one that refuses', async () => {
  let rounds = 0;
  const executor = () => {
    const real = createMemoryExecutor({ clock: systemClock });
    const hasImage = (image: string) => {
      if (rounds <= HOPELESS_ROUNDS) throw new Error('too busy to look at an offer');
      return real.hasImage(image);
    };
    return { ...real, hasImage };
  };
  await withNet([notary, { executor }], async net => {
    const [node, worker] = net.nodes;
    const off = node!.market.tasks.onEvent(({ phase }) => {
      if (phase === 'offering') rounds++;
    });
    const { taskId } = await node!.market.tasks.submit(taskRequest({ avoidSelf: false }));
    const view = await ended(node!, taskId);
    off();
    assert.equal([view.state, view.worker], ['completed', worker!.identity.peer]);
  });
});

test('for want of money a task waits, also one that its own node could never run; it runs when money comes', async () => {
  const door = gate();
  await withNet([{ run: door.run }, { market: { memoryBytes: 2 ** 20 } }], async net => {
    const [rich, poor] = net.nodes;
    const change = { payment: 800n * FLOP, maxTotal: 1_600n * FLOP, avoidSelf: false };
    const first = await poor!.market.tasks.submit(taskRequest(change));
    await door.entered;
    const second = await poor!.market.tasks.submit(taskRequest(change));
    const view = await seen(poor!, second.taskId, 'waiting', ({ waiting }) => waiting === 'funds_locked');
    assert.is(view.state, 'pending');
    await rich!.settlement.transfer(poor!.identity.peer, 700n * FLOP);
    await poor!.settlement.sync();
    await waitFor(() => door.count() === 2, 'the second to run');
    door.open();
    assert.is((await ended(poor!, first.taskId)).state, 'completed');
    assert.is((await ended(poor!, second.taskId)).state, 'completed');
  });
});

test('more than the wallet has is refused at the door', () =>
  withNet([notary, {}], async net => {
    const request = taskRequest({ payment: 5_000n * FLOP, maxTotal: 10_000n * FLOP });
    assert.is(await codeThrown(net.nodes[1]!.market.tasks.submit(request)), 'FUNDS_INSUFFICIENT');
  }));

test('beyond what the owner lets one task or one day cost, a task is refused at the door', () =>
  withNet([{}, { market: { maxPerTask: 5n * FLOP }, maxPerDay: 7n * FLOP }], async net => {
    const { market, settlement } = net.nodes[1]!;
    const submit = (payment: bigint, maxTotal: bigint) =>
      market.tasks.submit(taskRequest({ payment, maxTotal }));
    assert.is(await codeThrown(submit(3n * FLOP, 6n * FLOP)), 'TASK_LIMIT');
    assert.is(await codeThrown(submit(9_999n, 9_999n)), 'AMOUNT_SMALL');
    await settlement.transfer(net.nodes[0]!.identity.peer, 3n * FLOP);
    assert.is(await codeThrown(submit(5n * FLOP, 5n * FLOP)), 'DAY_LIMIT');
    assert.equal(settlement.balance(), { free: 997n * FLOP, locked: 0n, incoming: 0n });
    const task = await submit(4n * FLOP, 5n * FLOP);
    assert.is((await ended(net.nodes[1]!, task.taskId)).state, 'completed');
    await waitFor(() => settlement.spending().today === 7n * FLOP, 'the payment to count');
  }));

test('a notary that is away: the result is there, the payment waits and says for what', async () => {
  const door = gate();
  await withNet([notary, notary, { run: door.run }], async net => {
    const node = net.nodes[1]!;
    const { taskId } = await node.market.tasks.submit(taskRequest());
    await door.entered;
    await net.nodes[0]!.stop();
    door.open();
    const waiting = (view: { waiting: string | null }) => view.waiting === 'ledger_unreachable';
    const view = await seen(node, taskId, 'waiting for the ledger', waiting);
    assert.is(view.state, 'paying');
    assert.is((await node.market.tasks.result(taskId)).exitCode, 0);
    await net.restart(0);
    const paid = await ended(node, taskId);
    assert.equal([paid.state, paid.waiting, paid.payment?.state], ['completed', null, 'released']);
  });
});

test('a lock that comes after the worker has given up goes back at once, not when the claim’s time is over', async () => {
  const door = gate();
  await withNet([notary, notary, { run: door.run }], async net => {
    const node = net.nodes[1]!;
    // the notary goes away as soon as a worker is awarded: the lock cannot be certified in time
    const away: Promise<void>[] = [];
    const off = node.market.tasks.onEvent(({ phase }) => {
      if (phase === 'awarding' && away.length === 0) away.push(net.nodes[0]!.stop());
    });
    const { taskId } = await node.market.tasks.submit(taskRequest());
    await waitFor(() => away.length > 0, 'the award');
    await Promise.all(away);
    off();
    const state = await seen(node, taskId, 'staged', v => v.phase === 'staging' || v.phase === 'executing');
    if (state.phase === 'staging')
      await seen(node, taskId, 'waiting', ({ waiting }) => waiting === 'ledger_unreachable');
    await node.market.tasks.cancel(taskId);
    await net.restart(0);
    await waitFor(
      async () => {
        await node.settlement.sync();
        return node.settlement.balance().locked === 0n;
      },
      'the lock to come back',
      20_000,
    );
    assert.is((await node.market.tasks.get(taskId)).state, 'cancelled');
  });
});

test('a node stops quickly whatever its tasks are doing', async () => {
  const door = gate();
  await withNet([notary, notary, { run: door.run, market: { slots: 1 } }], async net => {
    const { tasks } = net.nodes[1]!.market;
    const running = await tasks.submit(taskRequest());
    await door.entered;
    const queued = await tasks.submit(taskRequest()); // at its worker
    const unpaid = await tasks.submit(
      taskRequest({ payment: 0n, maxTotal: 0n, deadline: Date.now() + 60_000 }),
    );
    const following = (async () => {
      for await (const _ of tasks.logs(running.taskId, {
        follow: true,
        signal: AbortSignal.timeout(5_000),
      })) {
        // reads until it is cut
      }
    })();
    const began = performance.now();
    await net.nodes[1]!.stop();
    assert.ok(performance.now() - began < 5_000, 'the requester stops');
    const again = performance.now();
    await net.nodes[2]!.stop();
    assert.ok(performance.now() - again < 5_000, 'the worker stops');
    await codeThrown(following);
    door.open();
    await net.restart(2);
    const node = await net.restart(1);
    const view = await ended(node, running.taskId);
    assert.equal([view.state, view.failure?.code], ['failed', 'LEASE_LOST']);
    for (const { taskId } of [queued, unpaid]) await ended(node, taskId);
  });
});

test.run();
