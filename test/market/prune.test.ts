import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ended, taskRequest } from '../fixtures/nodes.ts';
import { codeThrown, withNet } from './support.ts';

const test = suite('market: prune');
const DAY_MS = 86_400_000;

test('prune removes results past their time, then their tasks, and says how much that was', () =>
  withNet([{ market: { workerEnabled: false } }, {}], async net => {
    const [node] = net.nodes;
    const { tasks } = node!.market;
    const { taskId } = await tasks.submit(taskRequest({ payment: 0n, maxTotal: 0n }));
    assert.is((await ended(node!, taskId)).state, 'completed');
    const nothing = { results: 0, tasks: 0, bytes: 0 };
    assert.equal(await tasks.prune(), nothing);
    net.clock.jump(8 * DAY_MS);
    const [first, second] = await Promise.all([tasks.prune(), tasks.prune()]);
    assert.equal([first.results, first.tasks], [1, 0]);
    // one block each for stdout and stderr
    assert.is(first.bytes, 2 * 4096);
    assert.equal(second, nothing);
    assert.is(await codeThrown(tasks.result(taskId)), 'RESULT_EXPIRED');
    net.clock.jump(7 * DAY_MS);
    assert.equal(await tasks.prune(), { ...nothing, tasks: 1 });
    assert.is(await codeThrown(tasks.get(taskId)), 'TASK_NOT_FOUND');
  }));

test.run();
