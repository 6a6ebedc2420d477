import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Executor, SandboxImage, SandboxResult } from '../../src/sandbox/index.ts';
import { MIB, quiet, type Subject, taskOf, textOf } from './conformance.ts';
import { programs } from './programs.ts';

interface Ran {
  /** The sandbox's name. */
  readonly id: string;
  readonly result: SandboxResult;
}

/** Leaves what it can behind: files that are hard to remove, and a process that ignores its end. */
const LITTER = `
import os, signal, time
for folder in ('/task', '/tmp', '/dev/shm', '/task/outputs'):
    os.makedirs(folder + '/deep/er', exist_ok=True)
    open(folder + '/deep/er/left', 'w').write('secret')
    os.symlink('/etc', folder + '/link')
    os.chmod(folder + '/deep/er', 0)
    os.chmod(folder + '/deep', 0)
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
`;
/** Folders in folders, deeper than any path can name. */
const DEEP = `
import os
os.chdir('/task')
for i in range(2500):
    os.mkdir('d')
    os.chdir('d')
open('secret', 'w').write('secret')
`;
/** Says what it finds: files where it may write, and processes but itself and PID 1. */
const LOOK = `
import os
found = [path for folder in ('/task', '/tmp', '/dev/shm') for path, _, files in os.walk(folder)]
pids = [pid for pid in os.listdir('/proc') if pid.isdigit() and pid not in ('1', str(os.getpid()))]
print(sorted(found), pids, os.environ.get('SECRET'))
`;
const CLEAN = "['/dev/shm', '/task', '/task/outputs', '/tmp'] [] None\n";

/** What `reuse` promises, for every runtime that has a launcher. */
export function reuseSuite(test: Test, create: () => Promise<Subject>): void {
  const check = (name: string, body: (executor: Executor, image: SandboxImage) => Promise<void>) =>
    test(name, async () => {
      const { executor, image, leavesNothing } = await create();
      try {
        await body(executor, await executor.ensureImage(image, {}));
      } finally {
        await executor.stop();
      }
      await leavesNothing();
    });

  async function ran(
    executor: Executor,
    image: SandboxImage,
    code: string,
    init: Parameters<typeof taskOf>[1],
  ): Promise<Ran> {
    const prepared = await executor.prepare(taskOf(code, init), image, {});
    return { id: prepared.id, result: await prepared.run(quiet, {}) };
  }

  check(
    'the next task of the same owner finds the same sandbox, and nothing in it',
    async (executor, image) => {
      const alice = { reuseBy: 'alice' };
      const first = await ran(executor, image, LITTER, { ...alice, env: { SECRET: 'x' } });
      assert.is(textOf(first.result.stderr), '');
      const second = await ran(executor, image, LOOK, alice);
      assert.is(second.id, first.id);
      assert.is(textOf(second.result.stdout), CLEAN);
      const third = await ran(executor, image, 'raise SystemExit(7)', alice);
      assert.equal([third.id, third.result.exitCode], [first.id, 7]);
    },
  );

  check(
    'another owner, another size and a task without reuse get another sandbox',
    async (executor, image) => {
      const { id } = await ran(executor, image, LITTER, { reuseBy: 'alice' });
      const others = [
        { reuseBy: 'bob' },
        { reuseBy: 'alice', limits: { milliCpus: 500 } },
        { reuseBy: undefined },
      ];
      for (const other of others) {
        const found = await ran(executor, image, LOOK, other);
        assert.is.not(found.id, id);
        assert.is(textOf(found.result.stdout), CLEAN);
      }
    },
  );

  check('two at once are apart, and use is counted for each task alone', async (executor, image) => {
    const alice = { reuseBy: 'alice' };
    const spend = 'import time\nt = time.process_time()\nwhile time.process_time() < t + 0.3: pass';
    const pair = await Promise.all([1, 2].map(() => ran(executor, image, spend, alice)));
    assert.is.not(pair[0]?.id, pair[1]?.id);
    const after = await ran(executor, image, programs.hello.code, alice);
    assert.ok(pair.some(({ id }) => id === after.id));
    assert.ok(after.result.usage.cpuMs < 250, `cpuMs ${after.result.usage.cpuMs}`);
  });

  check('a task that was killed takes its sandbox along', async (executor, image) => {
    const init = { reuseBy: 'alice', limits: { timeoutMs: 300 } };
    const first = await ran(executor, image, programs.spin.code, init);
    assert.is(first.result.outcome, 'timeout');
    const second = await ran(executor, image, LOOK, { reuseBy: 'alice' });
    assert.is.not(second.id, first.id);
    assert.is(textOf(second.result.stdout), CLEAN);
  });

  check('what cannot be wiped takes its sandbox along', async (executor, image) => {
    const alice = { reuseBy: 'alice', limits: { diskBytes: 64 * MIB } };
    const first = await ran(executor, image, DEEP, alice);
    assert.is(textOf(first.result.stderr), '');
    assert.is(first.result.exitCode, 0);
    const second = await ran(executor, image, LOOK, alice);
    assert.is.not(second.id, first.id);
    assert.is(textOf(second.result.stdout), CLEAN);
  });

  check('a sandbox that waits serves one task', async (executor, image) => {
    await executor.keepReady(true);
    const ids = new Set<string>();
    for (let i = 0; i < 4; i++) ids.add((await ran(executor, image, LOOK, {})).id);
    assert.is(ids.size, 4);
    await executor.keepReady(false);
  });
}
