import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDockerExecutor } from '../../src/sandbox/index.ts';
import { codeOf, deferred, silentLogger } from '../../src/util/index.ts';
import { tracesOf } from '../fixtures/traces.ts';
import { keepAliveClock } from '../sandbox/clock.ts';
import { quiet, rejection, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { OWN_DISKS, TASKS, withDaemon } from '../sandbox/killed.ts';
import { programs } from '../sandbox/programs.ts';
import { createEngineProxy, type EngineProxy } from './proxy.ts';
import { containersOf, dockerSubject, IMAGE, socketPath, until, withDocker } from './support.ts';

const test = suite('docker: recovery');

async function withProxy(body: (proxy: EngineProxy) => Promise<void>): Promise<void> {
  const proxy = await createEngineProxy();
  try {
    await proxy.listen();
    await body(proxy);
  } finally {
    await proxy.close();
  }
}

test('what an earlier run of this owner left is removed and counted; other owners keep theirs', async () => {
  const owner = `test-${randomUUID()}`;
  const died = await dockerSubject({ owner });
  const other = await dockerSubject();
  try {
    const image = await died.executor.ensureImage(IMAGE, {});
    await died.executor.prepare(taskOf('', { key: 'left/0/1' }), image, {});
    await died.executor.prepare(taskOf('', { key: 'left/0/2' }), image, {});
    const kept = await other.executor.prepare(taskOf(programs.hello.code), image, {});
    await withDocker(
      async executor => {
        const own = await executor.prepare(taskOf(programs.hello.code), image, {});
        assert.is(await executor.recover(), 2);
        assert.is(await executor.recover(), 0);
        assert.is(textOf((await own.run(quiet, {})).stdout), 'hello\n');
      },
      { owner },
    );
    assert.is(textOf((await kept.run(quiet, {})).stdout), 'hello\n');
  } finally {
    await died.executor.stop();
    await other.executor.stop();
  }
});

test('kill -9 of the daemon with eight tasks: the next start counts them and leaves nothing', () =>
  withDaemon('docker', async ({ owner, folder, disks, kill }) => {
    const containers = (await containersOf(owner)).map(found => found.Id);
    assert.is(containers.length, TASKS);
    assert.ok((await tracesOf(containers)).length >= TASKS, 'control groups of each');
    await kill();
    assert.is((await containersOf(owner)).length, TASKS);
    const parts = { logger: silentLogger, clock: keepAliveClock, disks };
    const inputsDir = join(folder, 'inputs');
    const next = createDockerExecutor(parts, { owner, socketPath, inputsDir });
    assert.is((await tracesOf([`${folder}/disks/`])).length, 2 * OWN_DISKS, 'mounts and loop devices');
    await next.start();
    try {
      assert.is(await next.recover(), TASKS);
      assert.equal(await containersOf(owner), []);
      assert.equal(await tracesOf([...containers, `${folder}/disks/`]), []);
      const image = await next.ensureImage(IMAGE, {});
      assert.is(textOf((await runOn(next, image, taskOf(programs.hello.code))).stdout), 'hello\n');
    } finally {
      await next.stop();
    }
    assert.equal(await containersOf(owner), []);
    assert.equal(await readdir(folder, { recursive: true }), ['inputs']);
  }));

test('no engine at the start: a reason that says what to do, and it comes by itself', () =>
  withProxy(async proxy => {
    await proxy.cut();
    await withDocker(
      async executor => {
        const { available, reason } = executor.status();
        assert.is(available, false);
        assert.match(reason ?? '', /start Docker/);
        assert.is(codeOf(await rejection(executor.ensureImage(IMAGE, {}))), 'SANDBOX_UNAVAILABLE');
        await proxy.listen();
        await until('the executor finds the engine', () => executor.status().available);
        const image = await executor.ensureImage(IMAGE, {});
        assert.is((await runOn(executor, image, taskOf(programs.hello.code))).exitCode, 0);
      },
      { socketPath: proxy.socketPath, probeDownMs: 50 },
    );
  }));

test('the engine goes in mid-task: quickly unavailable; when it is back nothing is left and tasks run', () =>
  withProxy(async proxy => {
    await withDocker(
      async (executor, owner) => {
        const image = await executor.ensureImage(IMAGE, {});
        const prepared = await executor.prepare(taskOf(programs.spin.code), image, {});
        const started = deferred<void>();
        const run = rejection(prepared.run(quiet, { onStarted: started.resolve }));
        await started.promise;
        const cutAt = performance.now();
        await proxy.cut();
        assert.is(codeOf(await run), 'SANDBOX_UNAVAILABLE');
        assert.ok(performance.now() - cutAt < 2000);
        assert.is(executor.status().available, false);
        assert.is(codeOf(await rejection(executor.prepare(taskOf(''), image, {}))), 'SANDBOX_UNAVAILABLE');
        assert.is((await containersOf(owner)).length, 1);
        await proxy.listen();
        await until('the executor finds the engine', () => executor.status().available);
        await until('the lost container is removed', async () => (await containersOf(owner)).length === 0);
        assert.is((await runOn(executor, image, taskOf(programs.hello.code))).exitCode, 0);
      },
      { socketPath: proxy.socketPath, probeDownMs: 50 },
    );
  }));

test('an engine that hangs is as one that is gone', () =>
  withProxy(async proxy => {
    const { executor, owner } = await dockerSubject({
      socketPath: proxy.socketPath,
      probeDownMs: 50,
      callTimeoutMs: 1000,
    });
    const image = await executor.ensureImage(IMAGE, {});
    const task = taskOf(programs.spin.code, { limits: { timeoutMs: 100 } });
    const prepared = await executor.prepare(task, image, {});
    const run = rejection(prepared.run(quiet, { onStarted: proxy.stall }));
    assert.is(codeOf(await run), 'SANDBOX_UNAVAILABLE');
    assert.is(executor.status().available, false);
    await executor.stop();
    await withDocker(
      async next => {
        assert.is(await next.recover(), 1);
      },
      { owner },
    );
  }));

test.run();
