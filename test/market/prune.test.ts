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
    const array = { elements: { count: 3 }, retries: 0 };
    const { taskId: arrayId } = await tasks.submit({ ...taskRequest({ payment: 0n, maxTotal: 0n }), array });
    assert.is((await ended(node!, arrayId)).state, 'completed');
    const { elements } = await tasks.elements(arrayId, { limit: 3 });
    const bundles = new Set(elements.map(({ bundle }) => bundle)).size;
    const nothing = { results: 0, tasks: 0, bytes: 0 };
    assert.equal(await tasks.prune(), nothing);
    net.clock.jump(8 * DAY_MS);
    const [first, second] = await Promise.all([tasks.prune(), tasks.prune()]);
    assert.equal([first.results, first.tasks], [1 + bundles, 0]);
    // one block each for stdout and stderr, which of the bundles is empty like the task's
    assert.is(first.bytes, (2 + bundles) * 4096);
    assert.equal(second, nothing);
    assert.is(await codeThrown(tasks.result(taskId)), 'RESULT_EXPIRED');
    assert.is(await codeThrown(tasks.result(arrayId, 0)), 'RESULT_EXPIRED');
    net.clock.jump(7 * DAY_MS);
    assert.equal(await tasks.prune(), { ...nothing, tasks: 2 + bundles });
    assert.is(await codeThrown(tasks.get(taskId)), 'TASK_NOT_FOUND');
    assert.is(await codeThrown(tasks.elements(arrayId, { limit: 3 })), 'TASK_NOT_FOUND');
  }));

test.run();
