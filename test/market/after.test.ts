import { readFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { TaskRequest } from '../../src/market/index.ts';
import type { DuxNode } from '../../src/node/node.ts';
import type { MemoryProgram } from '../../src/sandbox/index.ts';
import { deferred } from '../../src/util/index.ts';
import { ended, FLOP, taskRequest } from '../fixtures/nodes.ts';
import { codeThrown, seen, withNet } from './support.ts';

const test = suite('market: tasks after tasks');

type Change = Partial<TaskRequest['policy']> & { readonly given?: Readonly<Record<string, string>> };

/** A task whose program is `code`; of `given`, each file's place to `TASK:OUTPUT`. */
function request(code: string, { given = {}, ...change }: Change = {}): TaskRequest {
  const { spec, policy } = taskRequest({ retries: 0, ...change }, code);
  const inputs = Object.entries(given).map(([path, from]) => {
    const [task, output] = from.split(':') as [string, string];
    return { path, task, output };
  });
  return { spec: { ...spec, inputs }, policy };
}

/** `wait` is held until `open`; `fail` exits 1; else it writes its inputs, one after another, and its code. */
function programs() {
  const door = deferred<void>();
  const run: MemoryProgram = async task => {
    const code = 'code' in task.program ? task.program.code : '';
    if (code === 'wait') await door.promise;
    if (code === 'fail') return { exitCode: 1 };
    const read = task.inputs.map(input => ('bytes' in input ? input.bytes : readFile(input.file)));
    const bytes = Buffer.concat([...(await Promise.all(read)), Buffer.from(`${code};`)]);
    return { outputs: [{ path: 'out', bytes }] };
  };
  return { run, open: () => door.resolve() };
}

async function textOf(node: DuxNode, taskId: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of (await node.market.tasks.output(taskId, 'out')).bytes) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

test('what tasks write goes into the next ones, which wait for it, over a restart too', () => {
  const { run, open } = programs();
  return withNet([{}, { run }], async net => {
    const submit = async (code: string, change?: Change) =>
      (await net.nodes[0]!.market.tasks.submit(request(code, change))).taskId;
    const first = await submit('wait');
    const second = await submit('b', { after: [first], given: { 'inputs/a': `${first}:out` } });
    const third = await submit('c', {
      after: [first, second],
      given: { x: `${second}:out`, y: `${first}:out` },
    });
    const isWaiting = ({ waiting }: { waiting: string | null }) => waiting === 'predecessors';
    for (const id of [second, third]) await seen(net.nodes[0]!, id, 'waiting', isWaiting);
    await net.nodes[0]!.stop();
    const node = await net.restart(0);
    for (const id of [second, third])
      assert.equal((await seen(node, id, 'waiting again', isWaiting)).attempts, []);
    open();
    for (const id of [first, second, third]) assert.is((await ended(node, id)).state, 'completed');
    assert.is(await textOf(node, third), 'wait;b;wait;c;');
    const { spec } = await node.market.tasks.get(second);
    const [output] = (await node.market.tasks.result(first)).outputs;
    assert.equal(spec.inputs, [{ path: 'inputs/a', cid: output?.cid, size: 5 }]);
  });
});

test('an array takes what a task writes, and is waited for as a whole', () => {
  const { run, open } = programs();
  return withNet([{}, { run }], async net => {
    const node = net.nodes[0]!;
    const { tasks } = node.market;
    const first = (await tasks.submit(request('wait'))).taskId;
    const array = { elements: { count: 3 }, retries: 0 };
    const given = { after: [first], given: { x: `${first}:out` }, maxTotal: 100n * FLOP };
    const many = (await tasks.submit({ ...request('b', given), array })).taskId;
    const last = (await tasks.submit(request('c', { after: [many] }))).taskId;
    for (const id of [many, last])
      await seen(node, id, 'waiting', ({ waiting }) => waiting === 'predecessors');
    open();
    assert.is((await ended(node, many)).state, 'completed');
    assert.is((await ended(node, last)).state, 'completed');
    const over = await tasks.submit({ ...request('d', { after: [many], given: { x: `${many}:out` } }) });
    assert.is((await ended(node, over.taskId)).failure?.code, 'OUTPUT_MISSING');
  });
});

test('without a good result before it a task fails, and all after it; nothing is asked, nothing is paid', () => {
  const { run, open } = programs();
  return withNet([{}, { run }], async net => {
    const node = net.nodes[0]!;
    const { tasks } = node.market;
    const submit = async (code: string, change?: Change) =>
      (await tasks.submit(request(code, change))).taskId;
    const fails = async (taskId: string, code: string) => {
      const { state, failure, attempts } = await ended(node, taskId);
      assert.equal([state, failure?.code, attempts.length], ['failed', code, 0]);
    };
    const held = await submit('wait');
    const failing = await submit('fail');
    const next = await submit('b', { after: [held, failing] });
    await fails(next, 'PREDECESSOR_FAILED');
    await fails(await submit('c', { after: [next] }), 'PREDECESSOR_FAILED');
    await fails(await submit('d', { after: [held], deadline: Date.now() + 300 }), 'DEADLINE');
    const cancelled = await submit('e', { after: [held] });
    const afterwards = await submit('f', { after: [cancelled] });
    assert.is((await tasks.cancel(cancelled)).state, 'cancelled');
    await fails(afterwards, 'PREDECESSOR_FAILED');
    const wrong = await submit('g', { after: [held], given: { x: `${held}:other` } });
    open();
    await fails(wrong, 'OUTPUT_MISSING');
    assert.is((await ended(node, held)).state, 'completed');
  });
});

test('only tasks that are there can be named', () =>
  withNet([{}], async net => {
    const { tasks } = net.nodes[0]!.market;
    const { taskId } = await tasks.submit(request('x', { deadline: Date.now() + 1_000 }));
    const unknown = taskId.replace(/.$/, last => (last === 'a' ? 'b' : 'a'));
    assert.is(await codeThrown(tasks.submit(request('y', { after: [unknown] }))), 'AFTER_UNKNOWN');
    const stray = request('y', { given: { x: `${taskId}:out` } });
    assert.is(await codeThrown(tasks.submit(stray)), 'AFTER_UNKNOWN');
    await tasks.cancel(taskId);
  }));

test.run();
