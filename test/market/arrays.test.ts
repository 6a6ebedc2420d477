import { text } from 'node:stream/consumers';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bundleSize, envOf, MeanTime, mostMembers, sizeOf, valuesOf } from '../../src/market/elements.ts';
import type { TaskRequest } from '../../src/market/index.ts';
import { ArrayTally } from '../../src/market/requester/array-tally.ts';
import { bundleOutcomes } from '../../src/market/requester/bundle-outcomes.ts';
import type { DuxNode } from '../../src/node/node.ts';
import type { MemoryProgram } from '../../src/sandbox/index.ts';
import { systemClock } from '../../src/util/index.ts';
import { earned, verifyReceipt } from '../../src/verification/index.ts';
import {
  bundleResultMessage,
  type Elements,
  encodeCbor,
  MEMBERS_BYTES,
  type MemberResult,
  OUTCOME,
} from '../../src/wire/index.ts';
import { ended, FLOP, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { codeThrown, gate, quick, seen, withNet } from './support.ts';

const test = suite('market: arrays');

const cases = { numRuns: 2_000 };
/** What one element pays at most. */
const PAYMENT = FLOP / 100n;

/** An array for other nodes. */
function arrayOf(elements: Elements, { retries = 0, change = {} as Partial<TaskRequest['policy']> } = {}) {
  const count = BigInt(sizeOf(elements));
  const policy = { payment: PAYMENT, maxTotal: 3n * count * PAYMENT, ...change };
  const request = taskRequest(policy);
  return { ...request, spec: { ...request.spec, reuse: true }, array: { elements, retries } };
}

const matrices = fc.uniqueArray(
  fc.record({
    name: fc.stringMatching(/^[a-z]{1,4}$/),
    values: fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 5 }),
  }),
  { minLength: 1, maxLength: 4, selector: ({ name }) => name },
);

test('of a matrix each combination is one element', () => {
  fc.assert(
    fc.property(matrices, matrix => {
      const all = Array.from({ length: sizeOf({ matrix }) }, (_, i) => valuesOf({ matrix }, i));
      assert.is(new Set(all.map(values => JSON.stringify(values))).size, all.length);
      for (const { name, values } of matrix)
        assert.ok(all.every(element => values.includes(element[name] as string)));
    }),
    { numRuns: 300 },
  );
  const matrix = [
    { name: 'lr', values: ['0.1', '0.2'] },
    { name: 'seed', values: ['1', '2', '3'] },
  ];
  assert.is(mostMembers({ count: 10 }), 1000);
  const long = [{ name: 'text', values: ['x', 'x'.repeat(4096)] }];
  const members = Array(mostMembers({ matrix: long })).fill(envOf({ matrix: long }, 1, 100));
  assert.ok(members.length < 130 && encodeCbor(members).length <= MEMBERS_BYTES);
  assert.equal(valuesOf({ matrix }, 1), { lr: '0.1', seed: '2' });
  assert.equal(envOf({ matrix }, 4, 2), {
    lr: '0.2',
    seed: '2',
    DUX_ARRAY_INDEX: '4',
    DUX_ARRAY_COUNT: '6',
    DUX_ARRAY_RUN: '2',
  });
});

test('a bundle is never empty nor too large, and holds ten seconds of work where there is enough of it', () => {
  const facts = fc.record({
    waiting: fc.integer({ min: 1, max: 10_000 }),
    meanMs: fc.option(fc.double({ min: 0, max: 1e7, noNaN: true })),
    places: fc.integer({ min: 0, max: 1000 }),
    most: fc.integer({ min: 1, max: 1000 }),
  });
  fc.assert(
    fc.property(facts, given => {
      const { waiting, meanMs, places, most } = given;
      const size = bundleSize(given);
      assert.ok(size >= 1 && size <= Math.min(waiting, most), `${size}`);
      if (meanMs === null) return assert.is(size, 1);
      const each = Math.max(meanMs, 1);
      assert.ok((size - 1) * each < 10_000, 'no more than ten seconds and one run');
      if (size < waiting && size < most) assert.ok(size * each >= 1_000, 'a second at least');
      if (size < most && waiting * each >= 20_000 * Math.max(1, places)) assert.ok(size * each >= 10_000);
      assert.ok(bundleSize({ ...given, meanMs: 2 * each }) <= size, 'longer runs, fewer of them');
      assert.ok(bundleSize({ ...given, places: places + 1 }) <= size, 'more places, less for each');
      return undefined;
    }),
    cases,
  );
  const mean = new MeanTime();
  assert.is(mean.ms, null);
  mean.add(100, 10);
  for (let i = 0; i < 20; i++) mean.add(500, 10);
  assert.ok(Math.abs((mean.ms as number) - 50) < 0.1);
});

test('whatever becomes of its bundles, each element is in one state, and ends after its runs', () => {
  const steps = fc.array(
    fc.record({
      size: fc.integer({ min: 1, max: 9 }),
      outcomes: fc.array(fc.nat(2), { minLength: 9, maxLength: 9 }),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 3 }),
      steps,
      (total, runs, list) => {
        const tally = new ArrayTally(total, runs);
        for (const [n, { size, outcomes }] of list.entries()) {
          const indices = tally.next(size);
          assert.is(new Set(indices).size, indices.length);
          tally.started(`bundle ${n}`, indices);
          assert.not(
            tally.next(total).some(index => indices.includes(index)),
            'nobody runs twice at once',
          );
          tally.settled(indices, Uint8Array.from(outcomes).subarray(0, indices.length));
          const { completed, failed, running, waiting } = tally.counts;
          assert.is(completed + failed + waiting, total);
          assert.is(running, 0);
          assert.is(tally.next(total).length, waiting);
          assert.ok(tally.indices('failed').every(index => tally.of(index).failures === runs));
        }
      },
    ),
    { numRuns: 500 },
  );
});

const run = (exitCode: number, wallMs: number): MemberResult => ({
  outcome: 'exited',
  exitCode,
  oomKilled: false,
  stdout: new Uint8Array(),
  stderr: new Uint8Array(),
  truncated: { stdout: false, stderr: false, outputs: false },
  cpuMs: 0,
  peakMemoryBytes: 0,
  wallMs,
  inputBytes: 0,
  startedAt: 0,
  endedAt: 0,
});

test('a bundle earns its runs: the good ones in full, failed ones by their time, none beyond the ask', () => {
  const spec = { ...taskRequest().spec, timeoutMs: 1_000, members: [{}, {}, {}, {}] };
  const paid = (runs: MemberResult[], exitCode = 1) =>
    earned(
      spec,
      { outcome: 'exited', exitCode, usage: { wallMs: 0 }, stdout: bundleResultMessage.encode({ runs }) },
      { ask: 400n, timeoutMs: 99_000, floorPermille: 100 },
    );
  assert.is(paid([run(0, 5)]), 100n);
  assert.is(paid([run(0, 5), run(1, 500), run(1, 0)]), 160n);
  assert.is(paid([run(0, 1), run(0, 1), run(0, 1), run(0, 1)], 0), 400n);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(1), fc.nat(5_000)), { minLength: 1, maxLength: 4 }),
      fc.bigInt({ min: 0n, max: 1_000_000n }),
      (runs, ask) => {
        const stdout = bundleResultMessage.encode({ runs: runs.map(([code, ms]) => run(code, ms)) });
        const result = { outcome: 'exited' as const, exitCode: 1, usage: { wallMs: 0 }, stdout };
        const pay = earned(spec, result, { ask, timeoutMs: 1, floorPermille: 100 });
        assert.ok(pay >= 0n && pay <= ask);
      },
    ),
    { numRuns: 500 },
  );
});

/** Says which element it is; some fail in their first run. */
const flaky: MemoryProgram = async ({ env }, sink) => {
  await sink.stdout(Buffer.from(`${env.DUX_ARRAY_INDEX}\n`));
  const fails = Number(env.DUX_ARRAY_INDEX) % 7 === 3 && env.DUX_ARRAY_RUN === '1';
  const outputs = [{ path: 'n', bytes: Buffer.from(env.DUX_ARRAY_INDEX ?? '') }];
  if (fails) return { exitCode: 1 };
  return Number(env.DUX_ARRAY_INDEX) % 50 === 0 ? { outputs } : {};
};

const textOf = async (node: DuxNode, taskId: string, index: number) =>
  Buffer.from((await node.market.tasks.result(taskId, index)).stdout).toString();

test('elements that fail run again, they alone; every result is its own; the money adds up', () =>
  withNet([{ run: flaky }, { market: { workerEnabled: false } }], async ({ nodes }) => {
    const [worker, node] = nodes as [DuxNode, DuxNode];
    const { tasks } = node.market;
    const before = node.settlement.balance().free;
    const { taskId } = await tasks.submit(arrayOf({ count: 300 }, { retries: 1 }));
    const view = await ended(node, taskId);
    assert.is(view.state, 'completed', view.failure?.message);
    assert.equal(
      { ...view.array, paid: 0n },
      { total: 300, completed: 300, failed: 0, running: 0, waiting: 0, paid: 0n },
    );
    const { elements } = await tasks.elements(taskId, { limit: 300 });
    const again = elements.filter(({ failures }) => failures > 0).map(({ index }) => index);
    assert.equal(
      again,
      elements.map(({ index }) => index).filter(index => index % 7 === 3),
    );
    for (const index of [0, 3, 250]) {
      assert.is(await textOf(node, taskId, index), `${index}\n`);
      const { outputs } = await tasks.result(taskId, index);
      assert.is(outputs.length, index % 50 === 0 ? 1 : 0);
    }
    assert.is(await text((await tasks.output(taskId, 'n', 250)).bytes), '250');
    assert.is(before - node.settlement.balance().free, view.array?.paid);
    assert.is(node.settlement.balance().locked, 0n);
    // 300 good runs, and 43 failed ones of which each earns the tenth that is the least
    assert.ok(view.array!.paid >= 300n * PAYMENT + (43n * PAYMENT) / 10n - 1_000n);
    assert.ok(view.array!.paid <= 302n * PAYMENT + (43n * PAYMENT) / 10n);
    const { tasks: listed } = await tasks.list({ limit: 50 });
    assert.equal(
      listed.map(task => task.taskId),
      [taskId],
    );
    assert.ok(worker.market.tasks.stats().worker.executed < 40, 'they go in bundles');
    assert.is(tasks.stats().completed, 1);
    assert.is(await codeThrown(tasks.element(taskId, 300)), 'ELEMENT_NOT_FOUND');
    assert.is(await codeThrown(tasks.retry(taskId)), 'NOTHING_TO_RETRY');
    const { bundle } = await tasks.element(taskId, 0);
    assert.is(verifyReceipt(await tasks.receipt(bundle as string)).settlement, 'paid');
  }));

test('an array that failed is retried by its owner, after a restart too', () =>
  withNet([{ run: flaky }, { market: { workerEnabled: false } }], async net => {
    const { taskId } = await net.nodes[1]!.market.tasks.submit(arrayOf({ count: 30 }));
    const failed = await ended(net.nodes[1]!, taskId);
    assert.equal([failed.state, failed.failure?.code], ['failed', 'ELEMENTS_FAILED']);
    assert.equal([failed.array?.completed, failed.array?.failed], [26, 4]);
    await net.nodes[1]!.stop();
    const node = await net.restart(1);
    await net.ready();
    const { elements } = await node.market.tasks.elements(taskId, { state: 'failed', limit: 50 });
    assert.equal(
      elements.map(({ index }) => index),
      [3, 10, 17, 24],
    );
    await node.market.tasks.retry(taskId);
    const view = await ended(node, taskId);
    assert.equal([view.state, view.array?.completed], ['completed', 30]);
  }));

test('both sides restart in the middle: nothing is lost, and nothing paid twice', async () => {
  const ran = new Map<string, number>();
  const held = gate();
  const program: MemoryProgram = async (task, sink, signal) => {
    const index = task.env.DUX_ARRAY_INDEX ?? '';
    ran.set(index, (ran.get(index) ?? 0) + 1);
    return Number(index) >= 20 ? held.run(task, sink, signal) : {};
  };
  const worker = { run: program, market: { ...quick, price: PAYMENT } };
  await withNet(
    [{ market: { workerEnabled: false } }, worker, { market: { workerEnabled: false } }],
    async net => {
      const before = net.nodes[2]!.settlement.balance().free;
      const { taskId } = await net.nodes[2]!.market.tasks.submit(arrayOf({ count: 60 }));
      await held.entered;
      await seen(net.nodes[2]!, taskId, 'half done', ({ array }) => (array?.completed ?? 0) > 0);
      await net.nodes[2]!.stop();
      const node = await net.restart(2);
      await net.ready();
      held.open();
      const view = await ended(node, taskId);
      assert.equal([view.state, view.array?.completed], ['completed', 60]);
      await waitFor(() => node.settlement.balance().locked === 0n, 'all escrows to close');
      const paid = before - node.settlement.balance().free;
      assert.equal([paid, view.array?.paid], [60n * PAYMENT, 60n * PAYMENT]);
    },
  );
});

test('a cancelled array stops its bundles, pays for what had run, and can be taken up again', async () => {
  const held = gate();
  const program: MemoryProgram = async (task, sink, signal) =>
    Number(task.env.DUX_ARRAY_INDEX) < 20 ? {} : held.run(task, sink, signal);
  await withNet([{ run: program }, { market: { workerEnabled: false } }], async ({ nodes }) => {
    const node = nodes[1]!;
    const before = node.settlement.balance().free;
    const { taskId } = await node.market.tasks.submit(arrayOf({ count: 100 }));
    await held.entered;
    const { state, array } = await node.market.tasks.cancel(taskId);
    assert.equal([state, array?.running, array?.failed], ['cancelled', 0, 0]);
    const done = BigInt(array?.completed ?? 0);
    assert.ok(done > 0n && done <= 20n, `${done}`);
    await waitFor(() => node.settlement.balance().locked === 0n, 'the locks to come back');
    const gone = before - node.settlement.balance().free;
    // a bundle that was stopped in its first run has a part of that
    assert.ok(gone >= done * PAYMENT && gone < (done + 1n) * PAYMENT, `${gone} for ${done}`);
    held.open();
    await node.market.tasks.retry(taskId);
    assert.equal((await ended(node, taskId)).array?.completed, 100);
    await waitFor(() => node.settlement.balance().locked === 0n, 'all escrows to close');
    assert.is(before - node.settlement.balance().free - gone, (100n - done) * PAYMENT);
  });
});

test('an array that nobody can run, or that its owner cannot pay, says so once and ends', () =>
  withNet([{}, { market: { workerEnabled: false } }], async ({ nodes }) => {
    const { tasks } = nodes[1]!.market;
    const request = arrayOf({ count: 50 });
    const large = { ...request, spec: { ...request.spec, memoryBytes: 2 ** 40 } };
    const view = await ended(nodes[1]!, (await tasks.submit(large)).taskId);
    assert.equal([view.state, view.failure?.code, view.array?.completed], ['failed', 'NO_WORKER_FITS', 0]);
    const dear = arrayOf({ count: 50 }, { change: { payment: 100n * FLOP } });
    assert.is(await codeThrown(tasks.submit(dear)), 'FUNDS_INSUFFICIENT');
    const few = arrayOf({ count: 50 }, { change: { maxTotal: 20n * PAYMENT } });
    const short = await ended(nodes[1]!, (await tasks.submit(few)).taskId);
    assert.equal(
      [short.failure?.code, short.array?.completed, short.array?.paid],
      ['FUNDS_INSUFFICIENT', 20, 20n * PAYMENT],
    );
  }));

test('a bundle’s result is that of its runs, or none', () => {
  const spec = { ...taskRequest().spec, outputs: ['a'], members: [{}, {}, {}] };
  const { policy } = taskRequest({ resultSchema: '{"type": "number"}' });
  const outcomes = (runs: MemberResult[], paths: string[]) =>
    bundleOutcomes({ clock: systemClock }, spec, policy, {
      message: { stdout: bundleResultMessage.encode({ runs }) },
      outputs: paths.map(path => ({ path, size: 0, cid: '' })),
    });
  const says = (stdout: string) => ({ ...run(0, 1), stdout: Buffer.from(stdout) });
  const { completed, failed, notRun } = OUTCOME;
  assert.equal([...outcomes([says('1'), says('2')], ['0/a', '1/b'])], [completed, failed, notRun]);
  assert.equal([...outcomes([says('1'), says('no')], ['0/a', '1/a'])], [completed, failed, notRun]);
  assert.throws(() => outcomes([run(0, 1), run(0, 1), run(0, 1), run(0, 1)], []), /more results/);
});

test.run();
