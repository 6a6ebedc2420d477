import { type Clock, deferred, raceSignal, reasonOf } from '../util/index.ts';
import { isCleanPath } from '../wire/index.ts';
import { createCapture } from './capture.ts';
import { endsWithProcess, failed, imageUnknown, unavailable } from './errors.ts';
import type {
  Executor,
  SandboxImage,
  SandboxResult,
  SandboxSink,
  SandboxTask,
  SandboxUsage,
} from './interface.ts';
import { checkTask } from './task.ts';
import { bytesMoved, inputBytesOf } from './usage.ts';

export interface MemoryOutput {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** What is not the usual of a result, its outputs with their bytes; what was moved is counted. */
export type MemoryResult = Partial<Omit<SandboxResult, 'outputs' | 'usage'>> & {
  readonly outputs?: readonly MemoryOutput[];
  readonly usage?: Partial<SandboxUsage>;
};

/** A task's program as a function: writes through `sink`, heeds `signal`, returns what is not the usual. */
export type MemoryProgram = (
  task: SandboxTask,
  sink: Pick<SandboxSink, 'stdout' | 'stderr'>,
  signal: AbortSignal,
) => Promise<MemoryResult>;

export interface MemoryExecutorInit {
  /** Default: writes `{"ok":true}` and a line end to stdout and exits 0. */
  readonly run?: MemoryProgram;
  /** Images that are there. Default: `python:3.9-slim`. */
  readonly images?: readonly string[];
}

export interface MemoryExecutor extends Executor {
  /** Takes the engine away, or gives it back; tasks that run fail as `SANDBOX_UNAVAILABLE`. */
  setAvailable(available: boolean): void;
}

/** Wide enough for any test; that it refuses at all is what is tested. */
const bounds = {
  milliCpus: 64_000,
  memoryBytes: 2 ** 36,
  minMemoryBytes: 1,
  maxTmpfsBytes: 2 ** 36,
  maxDiskBytes: 2 ** 36,
  noDisks: null,
  maxInputFiles: 4096,
  runtimes: ['memory' as const],
  copiedInputBytes: Number.POSITIVE_INFINITY,
  gpus: null,
  allowedHosts: [],
  pullsImages: true,
};

const echo: MemoryProgram = async (_task, sink) => {
  await sink.stdout(Buffer.from('{"ok":true}\n'));
  return {};
};

/** An executor inside this process, for tests of other rooms. It isolates nothing: never for a stranger's code. */
export function createMemoryExecutor(
  { clock }: { readonly clock: Clock },
  { run: program = echo, images = ['python:3.9-slim'] }: MemoryExecutorInit = {},
): MemoryExecutor {
  const known = new Set(images);
  let away = new AbortController();
  let count = 0;
  away.abort(unavailable('it was not started yet'));

  const leave = (reason: string) => away.abort(unavailable(reason));
  const status = () =>
    away.signal.aborted
      ? { available: false, version: null, reason: reasonOf(away.signal).message }
      : { available: true, version: 'memory', reason: null };

  return {
    runtime: 'memory',
    async start() {
      away = new AbortController();
    },
    async stop() {
      leave('it was stopped');
    },
    setAvailable(available) {
      if (!available) leave('it was taken away');
      else if (away.signal.aborted) away = new AbortController();
    },
    status,
    limits: () => bounds,
    probe: async () => status(),
    hasImage: ref => known.has(ref),
    async ensureImage(ref, { signal }): Promise<SandboxImage> {
      signal?.throwIfAborted();
      away.signal.throwIfAborted();
      if (!known.has(ref)) throw imageUnknown(ref, 'it is not one of the images of this executor');
      return { ref, digest: `sha256:${'0'.repeat(64)}`, sizeBytes: 0, architecture: 'amd64' };
    },
    async prepare(task, _image, { signal }) {
      signal?.throwIfAborted();
      away.signal.throwIfAborted();
      checkTask(task, bounds);
      let used = false;
      const use = () => {
        if (used) throw failed(`the sandbox of ${task.key} was used already`);
        used = true;
      };
      return {
        id: `memory-${++count}`,
        runtime: 'memory' as const,
        handle: null,
        async run(sink, options) {
          use();
          options.signal?.throwIfAborted();
          const running = runProgram(clock, program, task, sink, options.onStarted);
          try {
            return await raceSignal(raceSignal(running.result, options.signal), away.signal);
          } finally {
            running.kill();
          }
        },
        async discard() {
          used = true;
        },
      };
    },
    async resume() {
      throw endsWithProcess();
    },
    async keepReady() {},
    prune: async () => [],
    recover: async () => 0,
  };
}

function runProgram(
  clock: Clock,
  program: MemoryProgram,
  task: SandboxTask,
  sink: SandboxSink,
  onStarted: (() => void) | undefined,
): { readonly result: Promise<SandboxResult>; kill(): void } {
  const killed = deferred<MemoryResult>();
  const stop = new AbortController();
  const end = (outcome: SandboxResult['outcome']) => {
    killed.resolve({ outcome, exitCode: 137 });
    stop.abort();
  };
  const capture = createCapture(task.limits, sink, killed.promise);
  const write = (stream: 'stdout' | 'stderr') => async (chunk: Uint8Array) => {
    if (!stop.signal.aborted && !(await capture.push(stream, chunk))) end('output_limit');
  };
  const startedAt = clock.now();
  const began = clock.monotonic();
  const cancel = clock.after(task.limits.timeoutMs, () => end('timeout'));
  async function go(): Promise<SandboxResult> {
    onStarted?.();
    const own = program(task, { stdout: write('stdout'), stderr: write('stderr') }, stop.signal);
    const told = await Promise.race([killed.promise, own]);
    const ended = stop.signal.aborted ? await killed.promise : told;
    cancel();
    const wallMs = clock.monotonic() - began;
    const outputs = fitting(task, ended.outputs ?? []);
    for (const output of outputs) await handOn(output, sink);
    const { truncated, ...streams } = capture.result();
    const { stdout, stderr } = { ...streams, ...ended };
    const given = {
      stdout,
      stderr,
      outputs: outputs.map(({ path, bytes }) => ({ path, size: bytes.length })),
    };
    return {
      outcome: 'exited',
      exitCode: 0,
      oomKilled: false,
      startedAt,
      endedAt: startedAt + Math.round(wallMs),
      ...ended,
      ...given,
      usage: {
        cpuMs: 0,
        peakMemoryBytes: 0,
        wallMs,
        ...bytesMoved(inputBytesOf(task), given),
        ...ended.usage,
      },
      truncated: { ...truncated, outputs: outputs.length < (ended.outputs?.length ?? 0) },
    };
  }
  return {
    result: go(),
    kill() {
      cancel();
      stop.abort();
    },
  };
}

/** The outputs that fit, in order of their paths. */
function fitting(task: SandboxTask, all: readonly MemoryOutput[]): MemoryOutput[] {
  let left = task.limits.outputBytes;
  const outputs: MemoryOutput[] = [];
  for (const file of [...all].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const fits = file.bytes.length <= left && outputs.length < task.limits.outputFiles;
    if (!fits || !isCleanPath(file.path)) continue;
    left -= file.bytes.length;
    outputs.push(file);
  }
  return outputs;
}

/** As large pieces as a pipe would give. */
const PIECE_BYTES = 64 * 1024;

async function handOn({ path, bytes }: MemoryOutput, sink: SandboxSink): Promise<void> {
  const target = await sink.file({ path, size: bytes.length });
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    await target.write(bytes.subarray(at, at + PIECE_BYTES));
  await target.end();
}
