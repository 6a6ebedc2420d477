import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type Abortable, codeOf, messageOf } from '../util/index.ts';
import { attemptsFound, attemptsSource } from './attempts.ts';
import type { Executor, SandboxImage, SandboxLimits, SandboxSink } from './interface.ts';
import { boundProbes, type SandboxProbe, type Shown, triedProbes } from './probe-list.ts';

/** What one probe proved of this machine's sandboxes, or what it found and how to mend it. */
export interface ProbeFinding {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
}

const MIB = 1024 * 1024;
/** Small, as each is meant to be reached; ten seconds for a task, as a busy machine is slow to start one. */
const limits: SandboxLimits = {
  milliCpus: 500,
  memoryBytes: 64 * MIB,
  diskBytes: 16 * MIB,
  timeoutMs: 10_000,
  stdoutBytes: 64 * 1024,
  stderrBytes: 64 * 1024,
  outputBytes: MIB,
  outputFiles: 16,
};

/** What is kept of it is enough; a probe hands over no files. */
const unheard: SandboxSink = {
  stdout() {},
  stderr() {},
  file: async () => ({ async write() {}, async end() {} }),
};

/**
 * Runs the cheap attacks in sandboxes of `executor`, one after another, each bounded. Never rejects but by the signal.
 * The image needs Python 3.
 */
export async function probeSandboxes(
  executor: Pick<Executor, 'prepare'>,
  image: SandboxImage,
  { signal }: Abortable = {},
): Promise<ProbeFinding[]> {
  async function show(code: string, own: Partial<SandboxLimits> = {}): Promise<Shown> {
    const program = { code };
    const task = {
      key: 'doctor/0/1',
      image: image.ref,
      program,
      env: {},
      inputs: [],
      limits: { ...limits, ...own },
    };
    try {
      const prepared = await executor.prepare(task, image, { signal });
      return await prepared.run(unheard, { signal });
    } catch (error) {
      signal?.throwIfAborted();
      return { failed: `${codeOf(error)}: ${messageOf(error)}` };
    }
  }

  const first = await show('print("here")');
  if ('failed' in first || first.exitCode !== 0)
    return [{ check: 'sandbox', ok: false, detail: `a task does not run here: ${saidOf(first)}` }];
  const ran = { check: 'sandbox', ok: true, detail: `a task ran, in ${Math.ceil(first.usage.wallMs)} ms` };
  const findings = [ran, ...(await withListener(port => tryAll(show, port)))];
  for (const { code, limits: own, judge, ...probe } of boundProbes) {
    const shown = await show(code, own);
    findings.push(findingOf(probe, judge(shown), saidOf(shown)));
  }
  return findings;
}

/** All statements of all probes in one sandbox: it is the same for each, and another would only cost time. */
async function tryAll(show: (code: string) => Promise<Shown>, port: number): Promise<ProbeFinding[]> {
  const tries = Object.assign({}, ...triedProbes.map(probe => probe.tries)) as Record<string, string>;
  const shown = await show(attemptsSource(tries, `HOST_PORT = ${port}`));
  const found = 'failed' in shown ? undefined : attemptsFound(shown.stdout);
  return triedProbes.map(({ tries: own, ...probe }) => {
    const ends = Object.keys(own).map(name => [name, found?.[name] ?? 'not tried'] as const);
    const open = ends.filter(([, end]) => end === 'done' || end === 'not tried');
    const got = found ? open.map(([name]) => name).join(', ') : saidOf(shown);
    return findingOf(probe, open.length === 0, `${got} got through`);
  });
}

function findingOf({ check, proved, mend }: SandboxProbe, ok: boolean, seen: string): ProbeFinding {
  return { check, ok, detail: ok ? proved : `not so: ${proved} (${seen}). ${mend}` };
}

/** What a sandbox said last, in one line. */
function saidOf(shown: Shown): string {
  if ('failed' in shown) return shown.failed;
  const words = Buffer.from(shown.stderr).toString().trim().split('\n').at(-1);
  return [shown.outcome, `exit code ${shown.exitCode}`, ...(words ? [words.slice(0, 200)] : [])].join(', ');
}

/** A port of this host that takes connections, for as long as `body` runs. */
async function withListener<T>(body: (port: number) => Promise<T>): Promise<T> {
  const server = createServer(socket => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await body((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}
