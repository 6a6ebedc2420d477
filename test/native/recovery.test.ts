import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNativeExecutor } from '../../src/sandbox/index.ts';
import { silentLogger } from '../../src/util/index.ts';
import { processesOf, tracesOf } from '../fixtures/traces.ts';
import { waitFor } from '../fixtures/wait.ts';
import { keepAliveClock } from '../sandbox/clock.ts';
import { quiet, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { OWN_DISKS, TASKS, withDaemon } from '../sandbox/killed.ts';
import { programs } from '../sandbox/programs.ts';
import { groupsOf, IMAGE, imagesDir, nativeSubject } from './support.ts';

const test = suite('native: recovery');

test('kill -9 of the daemon kills its eight tasks; the next start counts them and leaves nothing', async () => {
  const other = await nativeSubject();
  try {
    const image = await other.executor.ensureImage(IMAGE, {});
    await withDaemon('native', async ({ owner, folder, disks, kill }) => {
      const alive = async () => (await processesOf(`duxnode/${owner}`)).length;
      assert.ok((await alive()) >= 3 * TASKS, 'bwrap, launcher and task of each');
      await kill();
      await waitFor(async () => (await alive()) === 0, 'the tasks to die with their daemon', 20_000);
      assert.is(new Set(await groupsOf(owner)).size, TASKS);
      assert.is((await tracesOf([`${folder}/disks/`])).length, 2 * OWN_DISKS, 'mounts and loop devices');
      const next = createNativeExecutor(
        { logger: silentLogger, clock: keepAliveClock, disks },
        { owner, imagesDir, stateDir: join(folder, 'state') },
      );
      await next.start();
      try {
        const kept = await other.executor.prepare(taskOf(programs.hello.code), image, {});
        await next.ensureImage(IMAGE, {});
        const own = await next.prepare(taskOf(programs.hello.code), image, {});
        assert.is(await next.recover(), TASKS);
        assert.is(await next.recover(), 0);
        assert.equal(await tracesOf([`${folder}/disks/`]), []);
        assert.is(textOf((await own.run(quiet, {})).stdout), 'hello\n');
        assert.is(textOf((await kept.run(quiet, {})).stdout), 'hello\n');
      } finally {
        await next.stop();
      }
      assert.equal(await readdir(folder), ['state']);
      assert.equal((await readdir(join(folder, 'state'))).sort(), ['images', 'seccomp.bpf', 'trial']);
    });
    assert.is((await runOn(other.executor, image, taskOf(programs.hello.code))).exitCode, 0);
  } finally {
    await other.executor.stop();
  }
  await other.leavesNothing();
});

test.run();
