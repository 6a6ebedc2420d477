import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  createDockerExecutor,
  createNativeExecutor,
  type Executor,
  imagesDirFrom,
  type SandboxImage,
  type SandboxLimits,
  type SandboxSink,
  socketPathFrom,
} from '../../src/sandbox/index.ts';
import { silentLogger, systemClock } from '../../src/util/index.ts';
import { atLeast, type Figure, figure, median } from './figures.ts';

const run = promisify(execFile);
const MIB = 2 ** 20;
const IMAGE = 'python:3.9-slim';
const limits: SandboxLimits = {
  milliCpus: 1000,
  memoryBytes: 256 * MIB,
  diskBytes: 64 * MIB,
  timeoutMs: 60_000,
  stdoutBytes: MIB,
  stderrBytes: MIB,
  outputBytes: MIB,
  outputFiles: 16,
};
const DOCKER_RUN = [
  ...['run', '--rm', '--network', 'none', '--cpus', '1', '--memory', '256m'],
  ...[IMAGE, 'python3', '-c', 'print(1)'],
];
/** Between two tasks that are to find a sandbox ready: making one takes a tenth of it. */
const REFILL_MS = 700;
const IDLE_MS = 3_000;

const pause = (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms));

async function dockerRunMs(): Promise<number> {
  const began = performance.now();
  await run('docker', DOCKER_RUN);
  return performance.now() - began;
}

/** One `print(1)`: until its first byte, and until its exit code is in hand. */
async function once(executor: Executor, image: SandboxImage, reuseBy?: string) {
  const began = performance.now();
  let firstMs = 0;
  const sink: SandboxSink = {
    stdout() {
      firstMs ||= performance.now() - began;
    },
    stderr() {},
    file: async () => ({ async write() {}, async end() {} }),
  };
  const task = { key: 'bench/0/1', image: IMAGE, program: { code: 'print(1)' }, env: {}, inputs: [], limits };
  const prepared = await executor.prepare({ ...task, reuseBy }, image, {});
  const { exitCode } = await prepared.run(sink, {});
  if (exitCode !== 0) throw new Error(`print(1) ended with ${exitCode}`);
  return { firstMs, endMs: performance.now() - began };
}

/** Tasks a second, over `seconds`, at the best of some concurrencies. */
async function rate(fn: () => Promise<unknown>, seconds: number): Promise<number> {
  let best = 0;
  for (const concurrency of [1, 2, 3, 4, 6]) {
    const began = performance.now();
    const end = began + seconds * 1000;
    let count = 0;
    const worker = async () => {
      for (; performance.now() < end; count++) await fn();
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    best = Math.max(best, (count * 1000) / (performance.now() - began));
  }
  return best;
}

async function withExecutor<T>(executor: Executor, body: (image: SandboxImage) => Promise<T>): Promise<T> {
  // its timers do not keep a process alive
  const alive = setInterval(() => {}, 1000);
  try {
    await executor.start();
    await executor.keepReady(true);
    return await body(await executor.ensureImage(IMAGE, {}));
  } finally {
    await executor.stop();
    clearInterval(alive);
  }
}

/** Memory of the sandboxes that wait, as the kernel counts it for their control groups. */
async function waitingBytes(): Promise<number> {
  const { stdout } = await run('docker', ['ps', '-q', '--no-trunc', '--filter', 'label=duxnode.owner=bench']);
  let sum = 0;
  for (const id of stdout.split('\n').filter(Boolean)) sum += await groupBytes(id);
  return sum;
}

async function groupBytes(id: string): Promise<number> {
  const files = [
    `/sys/fs/cgroup/memory/docker/${id}/memory.usage_in_bytes`,
    `/sys/fs/cgroup/memory/system.slice/docker-${id}.scope/memory.usage_in_bytes`,
    `/sys/fs/cgroup/system.slice/docker-${id}.scope/memory.current`,
    `/sys/fs/cgroup/docker/${id}/memory.current`,
  ];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text !== undefined) return Number(text);
  }
  throw new Error(`no memory group of ${id} was found`);
}

/** One task at a time, with a sandbox that waits for it, and `docker run` in turn. */
async function warm(name: string, target: number, executor: Executor, rounds: number): Promise<Figure[]> {
  return withExecutor(executor, async image => {
    await once(executor, image);
    const [ours, first, theirs]: [number[], number[], number[]] = [[], [], []];
    for (let i = 0; i < rounds; i++) {
      await pause(REFILL_MS);
      const { endMs, firstMs } = await once(executor, image);
      ours.push(endMs);
      first.push(firstMs);
      theirs.push(await dockerRunMs());
    }
    console.error(`${name}: ${median(ours).toFixed(1)} ms, docker run ${median(theirs).toFixed(0)} ms`);
    return [
      figure(
        `exit code in hand, warm, ${name}, against \`docker run --rm\``,
        median(ours) / median(theirs),
        target,
        'ratio',
      ),
      ...(name === 'docker'
        ? [figure('first byte of live output, warm, docker', median(first), 10, 'ms')]
        : []),
    ];
  });
}

/** The sandbox alone, without market and network. */
export async function sandboxes(rounds: number, seconds: number): Promise<Figure[]> {
  const parts = { logger: silentLogger, clock: systemClock };
  const docker = (startBoxes: number) =>
    createDockerExecutor(parts, { owner: 'bench', socketPath: socketPathFrom(process.env), startBoxes });
  const stateDir = await mkdtemp(join(tmpdir(), 'duxnode-bench-'));
  try {
    const native = createNativeExecutor(parts, {
      owner: 'bench',
      stateDir,
      imagesDir: imagesDirFrom(process.env),
    });
    const latencies = [
      ...(await warm('docker', 0.04, docker(2), rounds)),
      ...(await warm('native', 0.08, native, rounds)),
    ];
    const four = docker(4);
    const idle = await withExecutor(four, async image => {
      await once(four, image);
      await pause(IDLE_MS);
      return waitingBytes();
    });
    const theirs = await rate(() => run('docker', DOCKER_RUN), seconds);
    const busy = docker(2);
    const [single, reused] = await withExecutor(busy, async image => [
      await rate(() => once(busy, image), seconds),
      await rate(() => once(busy, image, 'bench'), seconds),
    ]);
    console.error(
      `a second: docker run ${theirs.toFixed(1)}, one-shot ${single?.toFixed(1)}, reused ${reused?.toFixed(0)}`,
    );
    return [
      ...latencies,
      figure('memory of four sandboxes that wait', idle / MIB, 60, 'MiB'),
      atLeast(
        'tasks a second, one-shot, against `docker run`, each at its best concurrency',
        (single ?? 0) / theirs,
        3,
      ),
      atLeast('the same with `reuse`', (reused ?? 0) / theirs, 20),
    ];
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}
