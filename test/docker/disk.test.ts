import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDisks, createDockerExecutor, type Executor } from '../../src/sandbox/index.ts';
import { codeOf, messageOf, silentLogger } from '../../src/util/index.ts';
import { keepAliveClock } from '../sandbox/clock.ts';
import { MIB, quiet, rejection, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { programs } from '../sandbox/programs.ts';
import { containersOf, IMAGE, socketPath, withDocker } from './support.ts';

const test = suite('docker: large disks of tasks');

interface World {
  readonly dir: string;
  readonly executor: Executor;
  readonly owner: string;
  /** Another executor of the same owner and folder, as after a kill of the first. */
  next(): Executor;
}

async function withDisks(body: (world: World) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'dux:disk-'));
  const dir = join(folder, 'disks');
  const inputsDir = join(folder, 'inputs');
  await mkdir(inputsDir);
  const owner = `test-${randomUUID()}`;
  const started: Executor[] = [];
  const next = () => {
    const disks = createDisks({ logger: silentLogger }, { dir });
    const parts = { logger: silentLogger, clock: keepAliveClock, disks };
    const executor = createDockerExecutor(parts, { socketPath, owner, inputsDir });
    started.push(executor);
    return executor;
  };
  const executor = next();
  await executor.start();
  try {
    await body({ dir, executor, owner, next });
  } finally {
    for (const each of started.reverse()) await each.stop();
    assert.equal(await containersOf(owner), []);
    assert.not.match(await readFile('/proc/self/mountinfo', 'utf8'), folder);
    assert.equal(await readdir(folder, { recursive: true }), ['inputs']);
    await rm(folder, { recursive: true });
  }
}

/** Writes so many MiB, and says how far it came. */
const fill = (mib: number) => `
import os
piece = b'x' * (1 << 20)
written = 0
try:
    while written < ${mib}:
        with open(f'big{written // 100}', 'ab') as file:
            file.write(piece)
        written += 1
except OSError as error:
    print(error.errno)
print(written >= ${mib}, os.statvfs('/task').f_blocks * os.statvfs('/task').f_frsize >> 20 > 150, os.listdir('/task'))
open('outputs/size', 'w').write(str(written))`;

const LIMITS = { memoryBytes: 64 * MIB, diskBytes: 200 * MIB, timeoutMs: 60_000 };

test('a disk that is larger than the task’s memory can be filled, and is full at its end', () =>
  withDisks(async ({ executor }) => {
    const image = await executor.ensureImage(IMAGE, {});
    const inputs = [{ path: 'in', bytes: Buffer.from('here') }];
    const fits = await runOn(executor, image, taskOf(fill(199), { limits: LIMITS, inputs }));
    assert.is(textOf(fits.stderr), '');
    const [said = '', names = ''] = textOf(fits.stdout).split(' [');
    assert.is(said, 'True True');
    assert.match(names, /'in'/);
    assert.not.match(names, /lost\+found/);
    assert.equal([fits.outcome, fits.exitCode, fits.oomKilled], ['exited', 0, false]);
    assert.equal(
      fits.outputs.map(({ path, bytes }) => [path, textOf(bytes)]),
      [['size', '199']],
    );
    const full = await runOn(executor, image, taskOf(fill(250), { limits: LIMITS }));
    assert.match(textOf(full.stdout), /^28\nFalse True/);
    assert.equal([full.outcome, full.oomKilled], ['exited', false]);
  }));

test('without it the same task dies of its memory, and one that asks for more than that is refused with the reason', () =>
  withDocker(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    assert.is((await runOn(executor, image, taskOf(fill(150), { limits: LIMITS }))).outcome, 'out_of_memory');
    assert.is(executor.limits().maxDiskBytes, 512 * MIB);
    const task = taskOf('', { limits: { diskBytes: 600 * MIB } });
    const error = await rejection(executor.prepare(task, image, {}));
    assert.is(codeOf(error), 'SANDBOX_REFUSED');
    assert.match(
      messageOf(error),
      /diskBytes must be from 1 to 536870912 here, as no task has a disk of its own/,
    );
  }));

test('it is as closed as the rest: no setuid program, no device, nothing of another task', () =>
  withDisks(async ({ executor, dir }) => {
    const image = await executor.ensureImage(IMAGE, {});
    const limits = { diskBytes: 4096 * MIB };
    const other = await executor.prepare(
      taskOf('', { limits, inputs: [{ path: 'secret', bytes: Buffer.from('s') }] }),
      image,
      {},
    );
    const code = `
import os
line = [line for line in open('/proc/self/mountinfo') if line.split()[4] == '/task'][0].split()
print(all(word in line[5].split(',') for word in ('rw', 'nosuid', 'nodev', 'noatime')))
print(os.listdir('/task'), os.stat('/task').st_uid == os.getuid(), oct(os.stat('/task').st_mode & 0o777))
print(os.path.exists(${JSON.stringify(dir)}), [name for name in os.listdir('/dev') if name.startswith('loop')])`;
    const { stdout } = await runOn(executor, image, taskOf(code, { limits }));
    assert.is(textOf(stdout), "True\n['outputs'] True 0o700\nFalse []\n");
    await other.discard();
  }));

test('a large input is mounted beside a large disk', () =>
  withDisks(async ({ executor, dir }) => {
    const image = await executor.ensureImage(IMAGE, {});
    const file = join(dir, '..', 'source');
    await writeFile(file, Buffer.alloc(32 * MIB, 7), { mode: 0o444 });
    const inputs = [{ path: 'inputs/large.bin', file, size: 32 * MIB }];
    const code = `
import os, shutil
shutil.copyfile('inputs/large.bin', 'outputs/copy.bin')
print(os.path.getsize('outputs/copy.bin'), os.path.ismount('/task'), os.path.ismount('/inputs'))`;
    const result = await runOn(executor, image, taskOf(code, { limits: LIMITS, inputs }));
    assert.is(textOf(result.stderr), '');
    assert.is(textOf(result.stdout), `${32 * MIB} True True\n`);
    await rm(file);
  }));

test('small disks stay in memory, and take no loop device', () =>
  withDisks(async ({ executor, dir }) => {
    const image = await executor.ensureImage(IMAGE, {});
    const limits = { memoryBytes: 512 * MIB, diskBytes: 256 * MIB };
    const prepared = await executor.prepare(taskOf(programs.hello.code, { limits }), image, {});
    assert.equal(await readdir(dir), []);
    await prepared.run(quiet, {});
  }));

test('after a kill the next start removes container, mount and file', () =>
  withDisks(async ({ executor, owner, dir, next }) => {
    const image = await executor.ensureImage(IMAGE, {});
    await executor.prepare(taskOf('', { limits: { diskBytes: 1024 * MIB } }), image, {});
    assert.equal((await readdir(dir)).sort(), ['2', '2.img']);
    const successor = next();
    await successor.start();
    assert.equal(await readdir(dir), []);
    assert.is(await successor.recover(), 1);
    assert.equal(await containersOf(owner), []);
  }));

test.run();
