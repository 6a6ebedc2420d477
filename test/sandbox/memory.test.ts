import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createMemoryExecutor } from '../../src/sandbox/index.ts';
import { codeOf } from '../../src/util/index.ts';
import { keepAliveClock } from './clock.ts';
import { conformance, quiet, rejection, runOn, taskOf, textOf } from './conformance.ts';
import { actor, programs } from './programs.ts';

const test = suite('sandbox: memory');
const clock = keepAliveClock;

conformance(test, async () => {
  const executor = createMemoryExecutor({ clock }, { run: actor });
  await executor.start();
  return { executor, image: 'python:3.9-slim', leavesNothing: async () => {} };
});

test('by default answers a fixed JSON', async () => {
  const executor = createMemoryExecutor({ clock });
  await executor.start();
  const image = await executor.ensureImage('python:3.9-slim', {});
  const result = await runOn(executor, image, taskOf('anything'));
  assert.equal(JSON.parse(textOf(result.stdout)), { ok: true });
});

test('taken away in mid-task: the task fails as unavailable, and it comes back', async () => {
  const executor = createMemoryExecutor({ clock }, { run: actor });
  await executor.start();
  const image = await executor.ensureImage('python:3.9-slim', {});
  const prepared = await executor.prepare(taskOf(programs.spin.code), image, {});
  const run = prepared.run(quiet, { onStarted: () => executor.setAvailable(false) });
  assert.is(codeOf(await rejection(run)), 'SANDBOX_UNAVAILABLE');
  assert.is(executor.status().available, false);
  executor.setAvailable(true);
  assert.is((await runOn(executor, image, taskOf(programs.hello.code))).exitCode, 0);
});

test('an unknown image is the user’s mistake', async () => {
  const executor = createMemoryExecutor({ clock });
  await executor.start();
  assert.is(codeOf(await rejection(executor.ensureImage('none:1', {}))), 'IMAGE_UNKNOWN');
});

test.run();
