import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { quiet, taskOf, textOf } from '../sandbox/conformance.ts';
import { programs } from '../sandbox/programs.ts';
import { groupsOf, IMAGE, imagesDir, nativeSubject } from './support.ts';

const test = suite('native: recovery');
const TASKS = 3;

/** Processes of sandboxes whose groups are `owner`'s. */
async function processesOf(owner: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const text = await readFile(`/proc/${name}/cgroup`, 'utf8').catch(() => '');
    if (text.includes(owner)) found.push(Number(name));
  }
  return found;
}

async function until(what: string, fn: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await fn())) {
    if (Date.now() > end) throw new Error(`${what}: not within 20 s`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

test('kill -9 of the daemon kills its tasks; the next start counts them and leaves nothing', async () => {
  const owner = `test-${randomUUID()}`;
  const other = await nativeSubject();
  const stateDir = await mkdtemp(join(tmpdir(), 'duxnode-native-'));
  try {
    const image = await other.executor.ensureImage(IMAGE, {});
    const file = fileURLToPath(new URL('daemon.ts', import.meta.url));
    const argv = ['--import', 'tsx', file, owner, stateDir, imagesDir, String(TASKS)];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [said] = await once(child.stdout, 'data');
    assert.is(String(said), 'running\n');
    assert.ok((await processesOf(owner)).length >= 3 * TASKS, 'bwrap, launcher and task of each');
    child.kill('SIGKILL');
    await once(child, 'exit');
    await until('the tasks die with their daemon', async () => (await processesOf(owner)).length === 0);
    assert.is(new Set(await groupsOf(owner)).size, TASKS);
    const next = await nativeSubject({ owner, stateDir });
    try {
      const kept = await other.executor.prepare(taskOf(programs.hello.code), image, {});
      await next.executor.ensureImage(IMAGE, {});
      const own = await next.executor.prepare(taskOf(programs.hello.code), image, {});
      assert.is(await next.executor.recover(), TASKS);
      assert.is(await next.executor.recover(), 0);
      assert.is(textOf((await own.run(quiet, {})).stdout), 'hello\n');
      assert.is(textOf((await kept.run(quiet, {})).stdout), 'hello\n');
    } finally {
      await next.executor.stop();
    }
    await next.leavesNothing();
    assert.equal((await readdir(stateDir)).sort(), ['images', 'seccomp.bpf', 'trial']);
  } finally {
    await other.executor.stop();
    await rm(stateDir, { recursive: true, force: true });
  }
  await other.leavesNothing();
});

test.run();
