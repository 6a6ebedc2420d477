import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { FileInput, SandboxSink } from '../../src/sandbox/index.ts';
import { codeOf } from '../../src/util/index.ts';
import { MIB, quiet, rejection, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { containersOf, dockerSubject, IMAGE, until, withDocker } from './support.ts';

const test = suite('docker: files');

/** Bytes of the largest file in the suite: in memory while it is an output. The environment may ask for less. */
const LARGE = Number(process.env.LARGE_FILE_MIB ?? 1024) * MIB;

async function withDir(fn: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-files-'));
  try {
    await fn(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function fileOf(path: string, size: number): Promise<{ input: FileInput; digest: string }> {
  const hash = createHash('sha256');
  const piece = randomBytes(MIB);
  const file = await open(path, 'wx', 0o444);
  for (let left = size; left > 0; left -= MIB) {
    const bytes = piece.subarray(0, left);
    hash.update(bytes);
    await file.write(bytes);
  }
  await file.close();
  return { input: { path: 'inputs/large.bin', file: path, size }, digest: hash.digest('hex') };
}

const copy = `
import hashlib, shutil
with open('inputs/large.bin', 'rb') as source, open('outputs/copy.bin', 'wb') as target:
    shutil.copyfileobj(source, target, 1 << 20)
print('copied')`;

function hashing() {
  const digests = new Map<string, string>();
  let most = 0;
  const file: SandboxSink['file'] = async ({ path }) => {
    const hash = createHash('sha256');
    return {
      async write(piece) {
        most = Math.max(most, process.memoryUsage.rss());
        hash.update(piece);
      },
      async end() {
        digests.set(path, hash.digest('hex'));
      },
    };
  };
  return { sink: { ...quiet, file }, digests, mostRss: () => most };
}

test('a large file goes in by a mount and out as a stream, and this process holds none of it', () =>
  withDir(dir =>
    withDocker(
      async executor => {
        const image = await executor.ensureImage(IMAGE, {});
        const { input, digest } = await fileOf(join(dir, 'large.bin'), LARGE);
        const task = taskOf(copy, {
          inputs: [input, { path: 'inputs/small.txt', bytes: Buffer.from('beside it') }],
          limits: {
            diskBytes: LARGE + 8 * MIB,
            memoryBytes: LARGE + 192 * MIB,
            outputBytes: LARGE,
            timeoutMs: 120_000,
          },
        });
        const prepared = await executor.prepare(task, image, {});
        const before = process.memoryUsage.rss();
        const { sink, digests, mostRss } = hashing();
        const began = performance.now();
        const result = await prepared.run(sink, {});
        assert.is(textOf(result.stderr), '');
        assert.equal(result.outputs, [{ path: 'copy.bin', size: LARGE }]);
        assert.is(digests.get('copy.bin'), digest);
        const grewMib = (mostRss() - before) / MIB;
        assert.ok(grewMib < 100, `this process grew by ${grewMib.toFixed(0)} MiB`);
        if (process.env.LARGE_FILE_MIB)
          console.error(
            `${LARGE / MIB} MiB in and out: ${((performance.now() - began) / 1000).toFixed(1)} s, RSS +${grewMib.toFixed(0)} MiB`,
          );
      },
      { inputsDir: join(dir, 'inputs'), maxTmpfsBytes: LARGE + 64 * MIB },
    ),
  ));

test('a mounted input is read-only, the task’s alone, and gone with it', () =>
  withDir(dir =>
    withDocker(
      async executor => {
        const image = await executor.ensureImage(IMAGE, {});
        const { input, digest } = await fileOf(join(dir, 'large.bin'), 5 * MIB);
        const code = `
import hashlib, os
path = 'inputs/large.bin'
print(hashlib.sha256(open(path, 'rb').read()).hexdigest())
real = os.path.realpath(path)
def tried(what):
    try:
        what()
        print('could')
    except OSError as error:
        print(type(error).__name__, error.errno)
tried(lambda: open(real, 'r+b'))
tried(lambda: os.chmod(real, 0o777))
tried(lambda: os.unlink(real))
tried(lambda: os.rename(real, real + '2'))
tried(lambda: open(os.path.dirname(real) + '/new', 'w'))
tried(lambda: os.listdir(os.path.dirname(real)))
os.unlink(path)
open('inputs/own', 'w').write('mine')`;
        const result = await runOn(executor, image, taskOf(code, { inputs: [input] }));
        assert.is(textOf(result.stderr), '');
        const [hash, ...tries] = textOf(result.stdout).trim().split('\n');
        assert.is(hash, digest);
        assert.is(tries.length, 6);
        assert.not.ok(tries.includes('could'), tries.join());
        await until(
          'its folder to be removed',
          async () => (await readdir(join(dir, 'inputs'))).length === 0,
        );
        assert.is((await stat(input.file)).size, 5 * MIB);
        // a file that not everybody may read is copied, and stays closed itself
        await chmod(input.file, 0o600);
        assert.match(
          textOf((await runOn(executor, image, taskOf(code, { inputs: [input] }))).stdout),
          digest,
        );
        assert.is((await stat(input.file)).mode & 0o777, 0o600);
      },
      { inputsDir: join(dir, 'inputs') },
    ),
  ));

test('mounts of an earlier run are removed, those in use are not', () =>
  withDir(async dir => {
    const inputsDir = join(dir, 'inputs');
    await mkdir(join(inputsDir, 'left'), { recursive: true });
    await writeFile(join(inputsDir, 'left', '0'), 'x');
    const { executor, leavesNothing } = await dockerSubject({ inputsDir });
    try {
      const image = await executor.ensureImage(IMAGE, {});
      const { input } = await fileOf(join(dir, 'large.bin'), 5 * MIB);
      const task = taskOf('print(len(open("inputs/large.bin", "rb").read()))', { inputs: [input] });
      const prepared = await executor.prepare(task, image, {});
      await executor.recover();
      assert.is((await readdir(inputsDir)).length, 1);
      assert.is(textOf((await prepared.run(quiet, {})).stdout), `${5 * MIB}\n`);
      const discarded = await executor.prepare(task, image, {});
      await discarded.discard();
      await executor.prepare(task, image, {});
    } finally {
      await executor.stop();
    }
    assert.equal(await readdir(inputsDir), []);
    await leavesNothing();
  }));

test('files of every size come as they are, those in between copied as they are read', () =>
  withDir(dir =>
    withDocker(
      async executor => {
        const image = await executor.ensureImage(IMAGE, {});
        for (const size of [0, 1, MIB, 4 * MIB, 4 * MIB + 1]) {
          const { input, digest } = await fileOf(join(dir, `${size}.bin`), size);
          const { sink, digests } = hashing();
          const limits = { outputBytes: 8 * MIB, diskBytes: 32 * MIB };
          const prepared = await executor.prepare(taskOf(copy, { inputs: [input], limits }), image, {});
          const result = await prepared.run(sink, {});
          assert.equal(result.outputs, [{ path: 'copy.bin', size }]);
          assert.is(digests.get('copy.bin'), digest, String(size));
        }
        const gone = { path: 'a', file: join(dir, 'none'), size: 1 };
        assert.is(
          codeOf(await rejection(executor.prepare(taskOf('', { inputs: [gone] }), image, {}))),
          'SANDBOX_FAILED',
        );
        const short = { path: 'a', file: join(dir, '1.bin'), size: 2 };
        assert.is(
          codeOf(await rejection(executor.prepare(taskOf('', { inputs: [short] }), image, {}))),
          'SANDBOX_FAILED',
        );
      },
      { inputsDir: join(dir, 'inputs') },
    ),
  ));

test('hostile outputs: what cannot be handed over stays, the rest comes whole', () =>
  withDocker(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const code = `
import os, socket
os.chdir('outputs')
open('good', 'w').write('kept')
try:
    os.mkfifo('fifo')
except PermissionError:
    pass
os.symlink('loop', 'loop')
os.symlink('.', 'around')
open('new\\nline', 'w').write('x')
deep = '/'.join(['d'] * 120)
os.makedirs(deep)
open(deep + '/leaf', 'w').write('deep')
os.makedirs('/'.join(['e'] * 200))
open('/'.join(['e'] * 200) + '/leaf', 'w').write('too deep')
with open('sparse', 'wb') as file:
    file.truncate(48 << 20)`;
    const limits = { diskBytes: 64 * MIB };
    const result = await runOn(executor, image, taskOf(code, { limits }));
    assert.is(textOf(result.stderr), '');
    const paths = result.outputs.map(({ path }) => path).sort();
    assert.equal(paths, [`${'d/'.repeat(120)}leaf`, 'good']);
    assert.is(result.truncated.outputs, true);
  }));

test('a huge number of tiny files is counted out at the cap', () =>
  withDocker(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const code = `
import os
made = 0
try:
    for i in range(100000):
        os.close(os.open('outputs/%d' % i, os.O_CREAT | os.O_WRONLY))
        made += 1
except OSError:
    pass
print(made)`;
    // as many inodes as 100,000 files want, in half of its memory
    const limits = { diskBytes: 512 * MIB, memoryBytes: 1024 * MIB, timeoutMs: 60_000 };
    const result = await runOn(executor, image, taskOf(code, { limits }));
    assert.ok(Number(textOf(result.stdout)) > 30_000, textOf(result.stdout));
    assert.is(result.outputs.length, 16);
    assert.is(result.truncated.outputs, true);
  }));

test('a sink that fails ends the run with its reason, and leaves nothing', () =>
  withDocker(async (executor, owner) => {
    const image = await executor.ensureImage(IMAGE, {});
    const task = taskOf('open("outputs/a", "wb").write(bytes(1 << 20))');
    const full = Object.assign(new Error('no room'), { code: 'ENOSPC' });
    const prepared = await executor.prepare(task, image, {});
    const sink = { ...quiet, file: async () => Promise.reject(full) };
    assert.match(String(await rejection(prepared.run(sink, {}))), /no room/);
    await until('the container to be removed', async () =>
      (await containersOf(owner)).every(({ State }) => State !== 'exited'),
    );
  }));

test.run();
