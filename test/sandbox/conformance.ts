import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type {
  Executor,
  SandboxImage,
  SandboxOutput,
  SandboxResult,
  SandboxSink,
  SandboxTask,
} from '../../src/sandbox/index.ts';
import { codeOf, deferred } from '../../src/util/index.ts';
import { programs } from './programs.ts';

export interface Subject {
  readonly executor: Executor;
  readonly image: string;
  /** Asserts that nothing of this executor is left. */
  leavesNothing(): Promise<void>;
}

export const MIB = 1024 * 1024;
export const limits: SandboxTask['limits'] = {
  milliCpus: 1000,
  memoryBytes: 128 * MIB,
  diskBytes: 32 * MIB,
  timeoutMs: 20_000,
  stdoutBytes: MIB,
  stderrBytes: MIB,
  outputBytes: MIB,
  outputFiles: 16,
};
export const quiet: SandboxSink = {
  stdout() {},
  stderr() {},
  file: async () => ({ async write() {}, async end() {} }),
};

export interface CollectedFile extends SandboxOutput {
  readonly bytes: Uint8Array;
}

/** A sink that keeps files; each must come whole before the next. */
export function collectingSink(): { sink: SandboxSink; files: CollectedFile[] } {
  const files: CollectedFile[] = [];
  let isOpen = false;
  const file: SandboxSink['file'] = async output => {
    assert.not.ok(isOpen);
    isOpen = true;
    const pieces: Uint8Array[] = [];
    return {
      async write(piece) {
        assert.ok(isOpen && piece.length > 0);
        pieces.push(Buffer.from(piece));
      },
      async end() {
        const bytes = Buffer.concat(pieces);
        assert.is(bytes.length, output.size);
        files.push({ ...output, bytes });
        isOpen = false;
      },
    };
  };
  return { sink: { ...quiet, file }, files };
}

/** A task of Python source, or of a command line, with the suite's usual limits. */
export function taskOf(
  program: string | readonly string[],
  {
    limits: own,
    ...rest
  }: Partial<Omit<SandboxTask, 'limits'>> & { limits?: Partial<SandboxTask['limits']> } = {},
): SandboxTask {
  return {
    key: 'task/0/1',
    image: 'python:3.9-slim',
    program: typeof program === 'string' ? { code: program } : { argv: program },
    env: {},
    inputs: [],
    ...rest,
    limits: { ...limits, ...own },
  };
}

export async function runOn(
  executor: Executor,
  image: SandboxImage,
  task: SandboxTask,
): Promise<Omit<SandboxResult, 'outputs'> & { outputs: readonly CollectedFile[] }> {
  const prepared = await executor.prepare(task, image, {});
  const { sink, files } = collectingSink();
  const result = await prepared.run(sink, {});
  assert.equal(
    files.map(({ path, size }) => ({ path, size })),
    result.outputs,
  );
  return { ...result, outputs: files };
}

export const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString();

export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it was expected to reject');
}

/** What every executor does, whatever it is made of. */
export function conformance(test: Test, create: () => Promise<Subject>): void {
  const check = (name: string, body: (subject: Subject, image: SandboxImage) => Promise<void>) =>
    test(name, async () => {
      const subject = await create();
      try {
        await body(subject, await subject.executor.ensureImage(subject.image, {}));
        await subject.executor.stop();
        await subject.leavesNothing();
      } finally {
        await subject.executor.stop();
      }
    });

  check('is available once started, and not after it stopped', async ({ executor }) => {
    assert.is(executor.status().available, true);
    assert.ok(executor.status().version);
    assert.is((await executor.probe()).available, true);
    await executor.stop();
    assert.is(executor.status().available, false);
    assert.ok(executor.status().reason);
    const image = { ref: 'x', digest: 'sha256:x', sizeBytes: 0, architecture: 'amd64' };
    assert.is(codeOf(await rejection(executor.prepare(taskOf(''), image, {}))), 'SANDBOX_UNAVAILABLE');
  });

  check('knows its images by name and by digest', async ({ executor, image: ref }, image) => {
    assert.is(executor.hasImage(ref), true);
    assert.is(executor.hasImage('duxnode-test/none:1'), false);
    assert.match(image.digest, /^sha256:[0-9a-f]{64}$/);
    assert.is(codeOf(await rejection(executor.ensureImage('Not A Name', {}))), 'IMAGE_UNKNOWN');
  });

  check('runs source and returns its output', async ({ executor }, image) => {
    const result = await runOn(executor, image, taskOf(programs.hello.code));
    assert.is(result.outcome, 'exited');
    assert.is(result.exitCode, 0);
    assert.is(textOf(result.stdout), 'hello\n');
    assert.is(textOf(result.stderr), '');
    assert.equal(result.truncated, { stdout: false, stderr: false, outputs: false });
    assert.ok(result.endedAt >= result.startedAt);
    assert.ok(result.usage.wallMs >= 0);
  });

  check('keeps the order of each stream, live and in the result', async ({ executor }, image) => {
    const live = { stdout: '', stderr: '' };
    const sink: SandboxSink = {
      ...quiet,
      async stdout(chunk) {
        live.stdout += textOf(chunk);
      },
      stderr(chunk) {
        live.stderr += textOf(chunk);
      },
    };
    let started = 0;
    const prepared = await executor.prepare(taskOf(programs.streams.code), image, {});
    const result = await prepared.run(sink, { onStarted: () => started++ });
    assert.is(started, 1);
    assert.is(result.exitCode, 7);
    assert.is(textOf(result.stdout), 'out 0\nout 1\nout 2\n');
    assert.is(textOf(result.stderr), 'err 0\nerr 1\nerr 2\n');
    assert.equal(live, { stdout: textOf(result.stdout), stderr: textOf(result.stderr) });
  });

  check('passes bytes through unchanged', async ({ executor }, image) => {
    const { stdout } = await runOn(executor, image, taskOf(programs.binary.code));
    assert.is(stdout.length, 25_600);
    assert.ok(stdout.every((byte, at) => byte === at % 256));
  });

  check('delivers inputs and variables, collects outputs by path', async ({ executor }, image) => {
    const bytes = Buffer.alloc(300_000, 'abc\0');
    const task = taskOf(programs.copy.code, {
      inputs: [{ path: 'in/data.bin', bytes }],
      env: { NAME: 'žluť "q"\n$x' },
    });
    const result = await runOn(executor, image, task);
    assert.is(textOf(result.stderr), '');
    assert.equal(result.outputs.map(file => file.path).sort(), ['name.txt', 'sub/copy.bin']);
    const of = (path: string) => result.outputs.find(file => file.path === path)?.bytes ?? new Uint8Array();
    assert.ok(Buffer.from(of('sub/copy.bin')).equals(bytes));
    assert.is(textOf(of('name.txt')), 'žluť "q"\n$x');
  });

  check('takes files of any size in and out as they are, from memory and from disk', async subject => {
    const { executor } = subject;
    const image = await executor.ensureImage(subject.image, {});
    const dir = await mkdtemp(join(tmpdir(), 'duxnode-sizes-'));
    try {
      for (const size of [0, 1, MIB - 64, MIB]) {
        const bytes = randomBytes(size);
        const file = join(dir, String(size));
        await writeFile(file, bytes, { mode: 0o444 });
        for (const input of [
          { path: 'in/data.bin', bytes },
          { path: 'in/data.bin', file, size },
        ]) {
          const env = { NAME: 'x' };
          const own = { outputBytes: MIB + 1 };
          const result = await runOn(
            executor,
            image,
            taskOf(programs.copy.code, { inputs: [input], env, limits: own }),
          );
          assert.is(textOf(result.stderr), '');
          const copy = result.outputs.find(output => output.path === 'sub/copy.bin');
          assert.is(copy?.size, size);
          assert.ok(Buffer.from(copy?.bytes ?? []).equals(bytes));
        }
      }
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  check('keeps outputs within their caps and says so', async ({ executor }, image) => {
    const byCount = await runOn(
      executor,
      image,
      taskOf(programs.manyOutputs.code, { limits: { outputFiles: 2 } }),
    );
    assert.is(byCount.outputs.length, 2);
    assert.is(byCount.truncated.outputs, true);
    const bySize = await runOn(
      executor,
      image,
      taskOf(programs.manyOutputs.code, { limits: { outputBytes: 35 } }),
    );
    assert.is(bySize.outputs.length, 3);
    assert.is(bySize.truncated.outputs, true);
  });

  check('kills at the timeout', async ({ executor }, image) => {
    const result = await runOn(executor, image, taskOf(programs.spin.code, { limits: { timeoutMs: 200 } }));
    assert.is(result.outcome, 'timeout');
    assert.is(result.exitCode, 137);
    assert.ok(result.usage.wallMs >= 190 && result.usage.wallMs < 5000);
  });

  check('kills an endless writer at the cap and keeps what fits', async ({ executor }, image) => {
    const result = await runOn(
      executor,
      image,
      taskOf(programs.flood.code, { limits: { stdoutBytes: 50_000 } }),
    );
    assert.is(result.outcome, 'output_limit');
    assert.is(result.stdout.length, 50_000);
    assert.is(result.truncated.stdout, true);
    assert.is(result.truncated.stderr, false);
  });

  check(`tells a task's own 137 from a kill`, async ({ executor }, image) => {
    const result = await runOn(executor, image, taskOf(programs.exit137.code));
    assert.is(result.outcome, 'exited');
    assert.is(result.exitCode, 137);
    assert.is(result.oomKilled, false);
  });

  check('a sink that never answers does not keep a task past its time', async ({ executor }, image) => {
    const stuck = new Promise<void>(() => {});
    const prepared = await executor.prepare(
      taskOf(programs.flood.code, { limits: { timeoutMs: 300 } }),
      image,
      {},
    );
    const result = await prepared.run({ ...quiet, stdout: () => stuck }, {});
    assert.is(result.outcome, 'timeout');
  });

  check('an aborted run rejects with the reason', async ({ executor }, image) => {
    const reason = new Error('changed my mind');
    const controller = new AbortController();
    const prepared = await executor.prepare(taskOf(programs.spin.code), image, {});
    const run = prepared.run(quiet, { signal: controller.signal, onStarted: () => controller.abort(reason) });
    assert.is(await rejection(run), reason);
    const early = await executor.prepare(taskOf(programs.hello.code), image, {});
    assert.is(await rejection(early.run(quiet, { signal: controller.signal })), reason);
    assert.is(await rejection(executor.prepare(taskOf(''), image, { signal: controller.signal })), reason);
  });

  check('a sandbox is used once; a discarded one is gone', async ({ executor }, image) => {
    const once = await executor.prepare(taskOf(programs.nothing.code), image, {});
    await once.run(quiet, {});
    assert.is(codeOf(await rejection(once.run(quiet, {}))), 'SANDBOX_FAILED');
    const discarded = await executor.prepare(taskOf(programs.nothing.code), image, {});
    await discarded.discard();
    await discarded.discard();
    assert.is(codeOf(await rejection(discarded.run(quiet, {}))), 'SANDBOX_FAILED');
  });

  check('stopping ends what runs as unavailable', async ({ executor }, image) => {
    const prepared = await executor.prepare(taskOf(programs.spin.code), image, {});
    const stopping = deferred<Promise<void>>();
    const run = prepared.run(quiet, { onStarted: () => stopping.resolve(executor.stop()) });
    assert.is(codeOf(await rejection(run)), 'SANDBOX_UNAVAILABLE');
    await stopping.promise;
  });

  check('refuses what it cannot enforce, with a reason', async ({ executor }, image) => {
    const bytes = Buffer.from('x');
    const { maxDiskBytes, minMemoryBytes } = executor.limits();
    const refusals: [Parameters<typeof taskOf>[1], RegExp][] = [
      [{ limits: { milliCpus: 1e9 } }, /milliCpus/],
      [{ limits: { memoryBytes: 2 ** 50 } }, /memoryBytes/],
      [{ limits: { diskBytes: 2 ** 50 } }, /diskBytes/],
      [{ limits: { diskBytes: maxDiskBytes + 1 } }, /diskBytes/],
      [{ limits: { memoryBytes: minMemoryBytes - 1 } }, /memoryBytes/],
      [{ limits: { timeoutMs: Number.NaN } }, /timeoutMs/],
      [{ inputs: [{ path: '../x', bytes }] }, /path/],
      [{ inputs: [{ path: '/etc/x', bytes }] }, /path/],
      [
        {
          inputs: [
            { path: 'a', bytes },
            { path: 'a', bytes },
          ],
        },
        /same path/,
      ],
      [{ inputs: [{ path: 'a', bytes: Buffer.alloc(limits.diskBytes + 1) }] }, /diskBytes/],
      [{ env: { 'A=B': 'c' } }, /variable/],
      [{ program: { argv: [] } }, /command line/],
    ];
    for (const [facts, pattern] of refusals) {
      const error = await rejection(executor.prepare(taskOf('', facts), image, {}));
      assert.is(codeOf(error), 'SANDBOX_REFUSED', String(error));
      assert.match(String(error), pattern);
    }
  });
}
