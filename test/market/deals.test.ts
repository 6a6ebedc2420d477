import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { verifyReceipt } from '../../src/verification/index.ts';
import { ended, FLOP, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { codeThrown, gate, indexOf, seen, withNet } from './support.ts';

const test = suite('market: deals');

test('a paid task runs on another node, is attested and paid, and leaves a receipt that proves it', () =>
  withNet([{}, {}, {}], async net => {
    const [, node] = net.nodes;
    const before = net.nodes.map(({ settlement }) => settlement.balance().free);
    const { taskId } = await node!.market.tasks.submit(taskRequest());
    const view = await ended(node!, taskId);
    assert.is(view.state, 'completed');
    assert.is(view.attempts.length, 1);
    assert.is.not(view.worker, node!.identity.peer);
    const worker = indexOf(net, view.worker);
    const result = await node!.market.tasks.result(taskId);
    assert.is(Buffer.from(result.stdout).toString(), '{"ok":true}\n');
    assert.is(result.exitCode, 0);
    assert.is(view.payment?.state, 'released');
    assert.is(view.payment?.amount, 5n * FLOP);
    const report = verifyReceipt(await node!.market.tasks.receipt(taskId));
    assert.is(report.settlement, 'paid');
    assert.is(report.pay, 5n * FLOP);
    assert.is(report.worker, view.worker);
    assert.is(report.taskId, taskId);
    const { settlement } = net.nodes[worker]!;
    // where the worker is also the notary, the fee comes back to it
    const earned = worker === 0 ? 5n * FLOP : 5n * FLOP - report.fee;
    await waitFor(() => settlement.balance().free === before[worker]! + earned, 'the worker to be paid');
    await waitFor(() => settlement.balance().incoming === 0n, 'nothing to be incoming');
    assert.is(node!.settlement.balance().free, before[1]! - 5n * FLOP);
    assert.is(node!.settlement.balance().locked, 0n);
    const usage = { tasks: 1, cpuMs: report.usage.cpuMs, wallMs: report.usage.wallMs };
    const [used, ...none] = node!.shares.list();
    assert.equal([used?.peer, used?.used, none.length], [view.worker, { ...usage, amount: 5n * FLOP }, 0]);
    const lender = net.nodes[worker]!;
    await waitFor(() => lender.shares.list().length === 1, 'the worker to count it');
    const [lent] = lender.shares.list();
    assert.equal(
      [lent?.peer, lent?.lent],
      [node!.identity.peer, { ...usage, amount: 5n * FLOP - report.fee }],
    );
  }));

test('credits have no price: a task gives what it says', () =>
  withNet([{ currency: 'credits' }, { market: { price: 9n * FLOP } }], async net => {
    const [node] = net.nodes;
    const { taskId } = await node!.market.tasks.submit(taskRequest());
    const view = await ended(node!, taskId);
    assert.equal([view.state, view.payment?.amount], ['completed', 5n * FLOP]);
  }));

test('an unpaid task moves no money, and has a receipt all the same', () =>
  withNet([{}, {}], async net => {
    const node = net.nodes[1]!;
    const before = node.settlement.balance();
    const { taskId } = await node.market.tasks.submit(taskRequest({ payment: 0n, maxTotal: 0n }));
    const view = await ended(node, taskId);
    assert.is(view.state, 'completed');
    assert.is(view.payment?.state, 'none');
    assert.equal(node.settlement.balance(), before);
    assert.is(verifyReceipt(await node.market.tasks.receipt(taskId)).settlement, 'unpaid');
  }));

test('the own node runs a task without a lock', () =>
  withNet([{}], async net => {
    const node = net.nodes[0]!;
    const { taskId } = await node.market.tasks.submit(taskRequest({ avoidSelf: false }));
    const view = await ended(node, taskId);
    assert.is(view.state, 'completed');
    assert.is(view.worker, node.identity.peer);
    assert.is(view.payment?.escrowId, null);
    assert.is(view.attempts[0]?.price, 0n);
    assert.equal(node.shares.list(), []);
  }));

test('a result that does not have its format is the task’s own failure: kept, paid, tried nowhere else', () =>
  withNet(
    [{}, {}, {}],
    async net => {
      const node = net.nodes[1]!;
      const resultSchema = JSON.stringify({ type: 'object', required: ['answer'] });
      const { taskId } = await node.market.tasks.submit(taskRequest({ resultSchema, retries: 1 }));
      const view = await ended(node, taskId);
      assert.is(view.state, 'failed');
      assert.equal([view.failure?.class, view.failure?.code], ['user', 'RESULT_SCHEMA']);
      assert.is(view.attempts.length, 1);
      assert.equal([view.payment?.state, view.payment?.amount], ['released', 5n * FLOP]);
      assert.is((await node.market.tasks.result(taskId)).exitCode, 0);
      assert.is(verifyReceipt(await node.market.tasks.receipt(taskId)).settlement, 'paid');
      assert.ok(
        node.network.peers().every(({ score }) => score > 99),
        'the format is the user’s own: no peer is blamed',
      );
    },
    { open: 0 },
  ));

test('a schema that is none is refused at the door', () =>
  withNet([{}], async net => {
    const request = taskRequest({ resultSchema: '{"type":"nonsense"}' });
    assert.is(await codeThrown(net.nodes[0]!.market.tasks.submit(request)), 'SCHEMA_INVALID');
  }));

test('exit code 1: the user’s own failure, its result is there, and the time used is paid', () =>
  withNet(
    [
      {},
      {
        run: async (_task, sink) => {
          await sink.stderr(Buffer.from('boom\n'));
          return { exitCode: 1 };
        },
      },
    ],
    async net => {
      const node = net.nodes[0]!;
      const { taskId } = await node.market.tasks.submit(taskRequest());
      const view = await ended(node, taskId);
      assert.is(view.state, 'failed');
      assert.equal([view.failure?.class, view.failure?.code], ['user', 'TASK_EXIT']);
      assert.is(view.attempts.length, 1);
      assert.is(view.payment?.state, 'split');
      assert.is(view.payment?.amount, FLOP / 2n);
      const result = await node.market.tasks.result(taskId);
      assert.is(result.exitCode, 1);
      assert.is(Buffer.from(result.stderr).toString(), 'boom\n');
      assert.is(verifyReceipt(await node.market.tasks.receipt(taskId)).settlement, 'split');
    },
  ));

test('a task that runs too long is killed, and its whole time is paid', () =>
  withNet([{}, { run: gate().run }], async net => {
    const node = net.nodes[0]!;
    const request = taskRequest();
    const { taskId } = await node.market.tasks.submit({
      ...request,
      spec: { ...request.spec, timeoutMs: 50 },
    });
    const view = await ended(node, taskId);
    assert.is(view.failure?.code, 'TASK_TIMEOUT');
    // all of it, but for what a timer may be early
    assert.ok((view.payment?.amount ?? 0n) >= (45n * FLOP) / 10n);
    assert.is((await node.market.tasks.result(taskId)).outcome, 'timeout');
  }));

test('an unknown image is the user’s mistake once two workers say so; nothing is paid', () =>
  withNet([{}, {}, {}], async net => {
    const node = net.nodes[1]!;
    const request = taskRequest();
    const { taskId } = await node.market.tasks.submit({
      ...request,
      spec: { ...request.spec, image: 'nobody/has:this' },
    });
    const view = await ended(node, taskId);
    assert.equal([view.state, view.failure?.class, view.failure?.code], ['failed', 'user', 'IMAGE_UNKNOWN']);
    assert.equal(
      view.attempts.map(({ failure }) => failure?.class),
      ['worker', 'worker'],
    );
    assert.is.not(view.attempts[0]?.worker, view.attempts[1]?.worker);
    // the lock may have been under way when the worker gave up
    await waitFor(() => node.settlement.balance().locked === 0n, 'the lock to come back');
    assert.is(node.settlement.balance().free, 1_000n * FLOP);
  }));

test('an unknown image on the only worker that there is ends the task soon, and by its code', () =>
  withNet([{ market: { workerEnabled: false } }, {}], async net => {
    const node = net.nodes[0]!;
    const request = taskRequest();
    const { taskId } = await node.market.tasks.submit({
      ...request,
      spec: { ...request.spec, image: 'nobody/has:this' },
    });
    const view = await ended(node, taskId);
    assert.equal([view.failure?.class, view.failure?.code], ['user', 'IMAGE_UNKNOWN']);
    await waitFor(() => node.settlement.balance().locked === 0n, 'the lock to come back');
  }));

test('output files arrive whole, and by their names', () =>
  withNet(
    [
      {},
      {
        run: async () => ({
          outputs: [
            { path: 'big.bin', bytes: new Uint8Array(300_000).fill(7) },
            { path: 'empty.txt', bytes: new Uint8Array() },
          ],
        }),
      },
    ],
    async net => {
      const node = net.nodes[0]!;
      const { taskId } = await node.market.tasks.submit(taskRequest());
      assert.is((await ended(node, taskId)).state, 'completed');
      const { outputs } = await node.market.tasks.result(taskId);
      assert.equal(
        outputs.map(({ path, size }) => [path, size]),
        [
          ['big.bin', 300_000],
          ['empty.txt', 0],
        ],
      );
      const big = await node.market.tasks.output(taskId, 'big.bin');
      const pieces: Uint8Array[] = [];
      for await (const piece of big.bytes) pieces.push(piece);
      assert.is(Buffer.compare(Buffer.concat(pieces), Buffer.alloc(300_000, 7)), 0);
      assert.is(await codeThrown(node.market.tasks.output(taskId, 'none')), 'OUTPUT_NOT_FOUND');
    },
  ));

test('logs are followed while the task runs', () => {
  const door = gate();
  return withNet(
    [
      {},
      {
        run: async (task, sink, signal) => {
          await sink.stdout(Buffer.from('first '));
          return door.run(task, sink, signal);
        },
      },
    ],
    async net => {
      const node = net.nodes[0]!;
      const { taskId } = await node.market.tasks.submit(taskRequest());
      let text = '';
      for await (const { bytes } of node.market.tasks.logs(taskId, { follow: true })) {
        if (text === '') assert.is((await node.market.tasks.get(taskId)).state, 'running');
        text += Buffer.from(bytes).toString();
        door.open();
      }
      assert.is(text, 'first {"ok":true}\n');
      assert.is((await ended(node, taskId)).state, 'completed');
    },
  );
});

test('one idempotency key is one task, also for two requests at once; another request is a conflict', () =>
  withNet([{}, {}], async net => {
    const { tasks } = net.nodes[0]!.market;
    const options = { idempotencyKey: 'once' };
    const [a, b] = await Promise.all([
      tasks.submit(taskRequest(), options),
      tasks.submit(taskRequest(), options),
    ]);
    assert.is(a.taskId, b.taskId);
    const other = tasks.submit(taskRequest({}, 'print(2)'), options);
    assert.is(await codeThrown(other), 'IDEMPOTENCY_CONFLICT');
    await ended(net.nodes[0]!, a.taskId);
    assert.is((await tasks.submit(taskRequest(), options)).taskId, a.taskId);
    assert.is((await tasks.list({ limit: 10 })).tasks.length, 1);
  }));

test('without automatic payment the result is there, and money moves when its owner accepts', () =>
  withNet([{}, {}], async net => {
    const node = net.nodes[0]!;
    const { tasks } = node.market;
    const { taskId } = await tasks.submit(taskRequest({ automaticPayment: false }));
    const view = await seen(node, taskId, 'awaiting', ({ waiting }) => waiting === 'awaiting_accept');
    assert.is(view.state, 'paying');
    assert.is((await tasks.result(taskId)).exitCode, 0);
    assert.is(view.payment?.state, 'locked');
    assert.is(await codeThrown(tasks.cancel(taskId)), 'TASK_OVER');
    await tasks.accept(taskId);
    assert.is((await ended(node, taskId)).payment?.state, 'released');
    assert.is(await codeThrown(tasks.accept(taskId)), 'TASK_NOT_WAITING');
  }));

test('without automatic payment an accepted failure pays its share', () =>
  withNet([{}, { run: async () => ({ exitCode: 3 }) }], async net => {
    const node = net.nodes[0]!;
    const { taskId } = await node.market.tasks.submit(taskRequest({ automaticPayment: false }));
    await seen(node, taskId, 'awaiting', ({ waiting }) => waiting === 'awaiting_accept');
    await node.market.tasks.accept(taskId);
    const view = await ended(node, taskId);
    assert.equal([view.state, view.payment?.state, view.payment?.amount], ['failed', 'split', FLOP / 2n]);
  }));

test('a disputed result is not paid', () =>
  withNet(
    [{}, {}],
    async net => {
      const node = net.nodes[0]!;
      const { taskId } = await node.market.tasks.submit(taskRequest({ automaticPayment: false }));
      await seen(node, taskId, 'awaiting', ({ waiting }) => waiting === 'awaiting_accept');
      const disputes = [1, 2].map(() => codeThrown(node.market.tasks.dispute(taskId, 'wrong')));
      assert.equal((await Promise.all(disputes)).sort(), ['TASK_NOT_WAITING', 'nothing was thrown']);
      assert.is(await codeThrown(node.market.tasks.accept(taskId)), 'TASK_NOT_WAITING');
      const view = await node.market.tasks.get(taskId);
      assert.equal([view.state, view.waiting, view.payment?.state], ['paying', 'disputed', 'locked']);
    },
    { open: 1 },
  ));

test.run();
