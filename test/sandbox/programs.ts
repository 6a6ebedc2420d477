import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { MemoryProgram, SandboxInput } from '../../src/sandbox/index.ts';

interface Program {
  /** What a real executor runs. */
  readonly code: string;
  /** What the in-memory executor runs in its place. */
  readonly act: MemoryProgram;
}

const text = (value: string) => Buffer.from(value);
/** An input's bytes, however it was given. */
async function bytesOf(input: SandboxInput | undefined): Promise<Uint8Array> {
  if (!input) return new Uint8Array();
  return 'bytes' in input ? input.bytes : readFile(input.file);
}

const forever: MemoryProgram = async (_task, _sink, signal) => {
  await delay(60_000, undefined, { signal });
  return {};
};

/** The conformance suite's programs, each as Python and as a function. */
export const programs = {
  hello: {
    code: 'print("hello")',
    act: async (_task, sink) => {
      await sink.stdout(text('hello\n'));
      return {};
    },
  },
  streams: {
    code: [
      'import sys',
      'for i in range(3):',
      '    print("out", i)',
      '    print("err", i, file=sys.stderr)',
      'sys.exit(7)',
    ].join('\n'),
    act: async (_task, sink) => {
      for (let i = 0; i < 3; i++) {
        await sink.stdout(text(`out ${i}\n`));
        await sink.stderr(text(`err ${i}\n`));
      }
      return { exitCode: 7 };
    },
  },
  binary: {
    code: 'import sys\nsys.stdout.buffer.write(bytes(range(256)) * 100)',
    act: async (_task, sink) => {
      for (let i = 0; i < 100; i++) await sink.stdout(Uint8Array.from({ length: 256 }, (_, n) => n));
      return {};
    },
  },
  copy: {
    code: [
      'import os',
      'data = open("in/data.bin", "rb").read()',
      'os.mkdir("outputs/sub")',
      'open("outputs/sub/copy.bin", "wb").write(data)',
      'open("outputs/name.txt", "w").write(os.environ["NAME"])',
    ].join('\n'),
    act: async task => ({
      outputs: [
        { path: 'sub/copy.bin', bytes: await bytesOf(task.inputs[0]) },
        { path: 'name.txt', bytes: text(task.env.NAME ?? '') },
      ],
    }),
  },
  manyOutputs: {
    code: 'for i in range(5): open("outputs/%d" % i, "w").write("x" * 10)',
    act: async () => ({
      outputs: Array.from({ length: 5 }, (_, i) => ({ path: `${i}`, bytes: text('x'.repeat(10)) })),
    }),
  },
  nothing: { code: '', act: async () => ({}) },
  spin: { code: 'while True: pass', act: forever },
  exit137: { code: 'import os\nos._exit(137)', act: async () => ({ exitCode: 137 }) },
  flood: {
    code: 'while True: print("x" * 1000)',
    act: async (_task, sink, signal) => {
      while (!signal.aborted) await sink.stdout(text(`${'x'.repeat(1000)}\n`));
      return {};
    },
  },
} satisfies Record<string, Program>;

/** For `createMemoryExecutor({ clock }, { run: actor })`. */
export const actor: MemoryProgram = (task, sink, signal) => {
  const found = Object.values(programs).find(
    program => 'code' in task.program && program.code === task.program.code,
  );
  if (!found) throw new Error('the suite has no such program');
  return found.act(task, sink, signal);
};
