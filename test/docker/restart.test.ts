import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDisks, type Executor, type SandboxImage } from '../../src/sandbox/index.ts';
import { codeOf, deferred, silentLogger } from '../../src/util/index.ts';
import { tracesOf } from '../fixtures/traces.ts';
import { quiet, rejection, runOn, taskOf } from '../sandbox/conformance.ts';
import { DISK_BYTES, OWN_DISKS, TASKS, type World, withDaemon } from '../sandbox/killed.ts';
import { programs } from '../sandbox/programs.ts';
import { createPrivateEngine, type PrivateEngine } from './private-engine.ts';
import { containersOf, dockerSubject, IMAGE, until } from './support.ts';

const test = suite('docker: engine restart');

/** A second engine on this machine takes root; the proxy in recovery.test.ts shows the same without. */
const testAsRoot = process.getuid?.() === 0 ? test : test.skip;

/** Starts a task that never ends; says with which code it ended all the same. */
async function spinning(
  executor: Executor,
  image: SandboxImage,
  diskBytes: number,
): Promise<{ end: Promise<unknown> }> {
  const task = taskOf(programs.spin.code, { limits: { milliCpus: 50, diskBytes } });
  const prepared = await executor.prepare(task, image, {});
  const started = deferred<void>();
  const end = rejection(prepared.run(quiet, { onStarted: started.resolve })).then(codeOf);
  await started.promise;
  return { end };
}

/** Kills the engine below a resumable task whose daemon was killed before: its run is lost, and its next daemon says so. */
async function crashBelow(engine: PrivateEngine, whileDown: (at: number) => Promise<void>): Promise<void> {
  const { socketPath } = engine;
  const crash = async ({ owner, handles, kill }: World) => {
    await kill();
    const crashedAt = performance.now();
    await engine.crash();
    await whileDown(crashedAt);
    await engine.start();
    const { executor } = await dockerSubject({ owner, socketPath });
    try {
      const taken = await executor.resume(handles[0] ?? '', Date.now());
      assert.match(String(await rejection(taken.run(quiet, {}))), 'the sandbox ended before its task did');
      assert.is(await executor.recover(), 0);
    } finally {
      await executor.stop();
    }
    assert.equal(await containersOf(owner, engine.docker), []);
  };
  await withDaemon(
    'docker',
    crash,
    [{ code: programs.spin.code, limits: { milliCpus: 50 }, resumable: true }],
    socketPath,
  );
}

testAsRoot('kill -9 of the engine below eight tasks, and its restart', async () => {
  const engine = await createPrivateEngine();
  const folder = await mkdtemp(join(tmpdir(), 'duxnode-restart-'));
  const containers: string[] = [];
  try {
    await engine.start();
    await engine.loadBaseImage();
    const disks = createDisks({ logger: silentLogger }, { dir: join(folder, 'disks') });
    const init = { socketPath: engine.socketPath, probeDownMs: 100 };
    const { executor, owner } = await dockerSubject(init, { disks });
    try {
      const image = await executor.ensureImage(IMAGE, {});
      const runs = await Promise.all(DISK_BYTES.map(bytes => spinning(executor, image, bytes)));
      for (const { Id } of await containersOf(owner, engine.docker)) containers.push(Id);
      assert.is(containers.length, TASKS);
      assert.is((await tracesOf([`${folder}/disks/`])).length, 2 * OWN_DISKS, 'mounts and loop devices');
      await crashBelow(engine, async crashedAt => {
        for (const { end } of runs) assert.is(await end, 'SANDBOX_UNAVAILABLE');
        assert.ok(performance.now() - crashedAt < 2000);
        assert.is(executor.status().available, false);
      });
      await until('the executor finds the engine', () => executor.status().available);
      assert.is((await runOn(executor, image, taskOf(programs.hello.code))).exitCode, 0);
      await until('nothing is left', async () => (await containersOf(owner, engine.docker)).length === 0);
      await until('no disk is left', async () => (await readdir(join(folder, 'disks'))).length === 0);
      assert.equal(await tracesOf([...containers, folder]), []);
    } finally {
      await executor.stop();
    }
  } finally {
    await engine.close();
  }
  assert.equal(await readdir(folder), []);
  await rm(folder, { recursive: true });
});

testAsRoot('kill -9 of the engine while it starts containers: no control group of them stays', async () => {
  const engine = await createPrivateEngine();
  try {
    await engine.start();
    await engine.loadBaseImage();
    const { executor, owner } = await dockerSubject({ socketPath: engine.socketPath, probeDownMs: 100 });
    try {
      const image = await executor.ensureImage(IMAGE, {});
      const made = Promise.allSettled(
        DISK_BYTES.map(() => executor.prepare(taskOf(programs.hello.code), image, {})),
      );
      let containers: string[] = [];
      await until('the first of them start', async () => {
        containers = (await containersOf(owner, engine.docker)).map(({ Id }) => Id);
        return containers.length >= TASKS && (await tracesOf(containers)).length > 0;
      });
      await engine.crash();
      await made;
      assert.ok((await tracesOf(containers)).length > 0);
      await engine.start();
      await until('nothing is left', async () => (await tracesOf(containers)).length === 0);
    } finally {
      await executor.stop();
    }
  } finally {
    await engine.close();
  }
});

test.run();
