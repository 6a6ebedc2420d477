import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDockerExecutor } from '../../src/sandbox/index.ts';
import { codeOf, deferred, silentLogger } from '../../src/util/index.ts';
import { tracesOf } from '../fixtures/traces.ts';
import { keepAliveClock } from '../sandbox/clock.ts';
import { collectingSink, MIB, quiet, rejection, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { type DaemonTask, OWN_DISKS, TASKS, withDaemon } from '../sandbox/killed.ts';
import { programs } from '../sandbox/programs.ts';
import { createEngineProxy, type EngineProxy } from './proxy.ts';
import { containersOf, docker, dockerSubject, IMAGE, socketPath, until, withDocker } from './support.ts';

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

const LINES = 200_000;
const BEGIN = 'import os, sys, threading\nwait = threading.Event().wait\n';
const outliving = (code: string, limits: DaemonTask['limits'] = {}): DaemonTask => ({
  code: BEGIN + code,
  limits: { milliCpus: 250, ...limits },
  resumable: true,
});

const COUNTING = `
for i in range(100):
    print(i, flush=True)
    print(i, end=' ', file=sys.stderr, flush=True)
    wait(.03)
open('outputs/lines', 'w').write('x\\n' * ${LINES})
open('outputs/bytes', 'wb').write(bytes(range(256)))
sys.exit(3)`;
/** It wakes the launcher's alarm, which is not set for another minute. */
const ALARM = "import os\nopen('outputs/x', 'w').write('x')\nos.kill(1, 14)\nwhile True: pass";
const numbers = (end: string) => Array.from({ length: 100 }, (_, i) => `${i}${end}`).join('');

test('kill -9 of the daemon: resumable tasks go on, and the next start takes them up where they are', () =>
  withDaemon(
    'docker',
    async ({ owner, folder, disks, handles, kill }) => {
      const [counts, ends, overdue, floods, overflows, removed, shot, endless] = handles.map(
        found => found ?? '',
      );
      const since = Date.now();
      await kill();
      const containers = await containersOf(owner);
      assert.is(containers.length, handles.length);
      const containerOf = (handle = '') => docker.getContainer(JSON.parse(handle).id);
      await containerOf(removed).remove({ force: true });
      // as when the engine is started again meanwhile
      await containerOf(shot).kill();
      for (const handle of [ends, overdue, overflows]) await containerOf(handle).wait();

      const parts = { logger: silentLogger, clock: keepAliveClock, disks };
      const next = createDockerExecutor(parts, { owner, socketPath, inputsDir: join(folder, 'inputs') });
      await next.start();
      const takeUp = async (handle = '') => next.resume(handle, since);
      try {
        const image = await next.ensureImage(IMAGE, {});
        for (const handle of [removed, '', '{}'])
          assert.is(codeOf(await rejection(takeUp(handle))), 'SANDBOX_FAILED');
        const going = await takeUp(counts);
        const quick = await takeUp(ends);
        const late = await takeUp(overdue);
        const loud = await takeUp(floods);
        const lost = await takeUp(overflows);
        const dead = await takeUp(shot);
        const cancelled = await takeUp(endless);
        assert.is(await next.recover(), 1, 'the ordinary one');
        const stop = new AbortController();
        const enough = () => stop.abort(new Error('enough'));
        const stopped = cancelled.run(quiet, { signal: stop.signal, onStarted: enough });
        assert.match(String(await rejection(stopped)), 'enough');
        assert.match(String(await rejection(dead.run(quiet, {}))), 'the sandbox ended before its task did');

        const woken = runOn(next, image, { ...taskOf(ALARM), resumable: true });
        const { sink, files } = collectingSink();
        const counting = going.run(sink, {});
        const ended = await quick.run(quiet, {});
        assert.equal([textOf(ended.stdout), ended.outcome, ended.exitCode], ['ended', 'exited', 0]);
        assert.ok(ended.usage.wallMs >= 1000 && ended.usage.wallMs < Date.now() - since);
        const timedOut = await late.run(quiet, {});
        assert.equal([textOf(timedOut.stdout), timedOut.outcome], ['began\n', 'timeout']);
        assert.match(
          String(await rejection(lost.run(quiet, {}))),
          'the beginning of what the task said is lost',
        );
        const flooded = await loud.run(quiet, {});
        assert.equal(
          [flooded.outcome, flooded.truncated.stdout, flooded.stdout.length],
          ['output_limit', true, MIB],
        );
        const { outcome, exitCode, outputs } = await woken;
        assert.equal([outcome, exitCode, outputs.map(({ path }) => path)], ['exited', 137, ['x']]);
        const counted = await counting;
        assert.equal([counted.outcome, counted.exitCode], ['exited', 3]);
        assert.is(textOf(counted.stdout), numbers('\n'));
        assert.is(textOf(counted.stderr), numbers(' '));
        assert.equal(
          files.map(({ path, bytes }) => [path, Buffer.from(bytes).toString('latin1')]),
          [
            ['bytes', Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('latin1')],
            ['lines', 'x\n'.repeat(LINES)],
          ],
        );
      } finally {
        await next.stop();
      }
      assert.equal(await containersOf(owner), []);
    },
    [
      outliving(COUNTING),
      outliving('wait(1)\nprint("ended", end="")'),
      outliving('print("began", flush=True)\nwhile True: pass', { timeoutMs: 1500 }),
      outliving('wait(1)\nfor _ in range(32): os.write(1, b"x" * 65536)\nwait(60)'),
      outliving('wait(1)\nfor _ in range(20): os.write(1, b"\\n" * 65536)\nprint("the end")'),
      outliving('while True: wait(1)'),
      outliving('while True: wait(1)'),
      outliving('while True: wait(1)'),
      { code: 'while True: pass', limits: { milliCpus: 250 } },
    ],
  ));

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
