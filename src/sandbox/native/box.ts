import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { codeOf, deferred, messageOf } from '../../util/index.ts';
import { BadProgram, type Box, type ExitState } from '../box.ts';
import { failed, unavailable } from '../errors.ts';
import type { NativeOptions } from '../options.ts';
import type { Cgroups, Group } from './cgroups.ts';
import {
  ARGS_FD,
  type BoxProgram,
  boxCommand,
  bwrapArgs,
  fstabOf,
  type Making,
  type NativePlan,
  type NativeWeakening,
} from './command.ts';
import type { Host } from './host.ts';
import { createOutput, type Output } from './output.ts';
import type { Pipes } from './pipes.ts';
import { toolEnvironment } from './tools.ts';

export interface BoxComponents {
  readonly host: Host;
  readonly cgroups: Cgroups;
  readonly pipes: Pipes;
  readonly options: NativeOptions;
  readonly weaken?: NativeWeakening | undefined;
}

/** As a shell tells it. */
const SIGKILLED = 137;
const STATUS_BYTES = 4096;

/**
 * A sandbox from a child process. It needs no task: once started, a launcher in it waits for one. What it is made of
 * (control group, mounts, processes) is of this box alone, and goes by `remove`.
 */
export async function createNativeBox(
  components: BoxComponents,
  plan: NativePlan,
  program: BoxProgram,
): Promise<Box> {
  const { host, cgroups, options, weaken = making => making } = components;
  const { memoryBytes, milliCpus } = plan.limits;
  const folder = boxFolder(options, plan.name);
  // bwrap itself waits outside of the sandbox, in the same group.
  const limits = { memoryBytes, milliCpus, pids: options.maxPids + 1 };
  const [group] = await Promise.all([cgroups.create(plan.name, limits), mkdir(folder, { recursive: true })]);
  try {
    const fstab = join(folder, 'fstab');
    const making = weaken({
      command: boxCommand(host, plan, group, fstab, program, options),
      bwrap: bwrapArgs(host, plan, group, program),
      fstab: fstabOf(host, plan, options),
    });
    await writeFile(fstab, making.fstab);
    return boxOf(components, plan, program, making, group, folder);
  } catch (error) {
    await group.remove();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Where what belongs to a box is kept. */
export function boxFolder({ stateDir }: NativeOptions, name = ''): string {
  return join(stateDir, 'boxes', name);
}

interface Running {
  readonly child: ChildProcess;
  readonly output: Output;
  /** What bwrap says of itself, as JSON lines. */
  status: string;
}

function boxOf(
  { pipes }: BoxComponents,
  plan: NativePlan,
  program: BoxProgram,
  { command: words, bwrap }: Making,
  group: Group,
  folder: string,
): Box {
  const exited = deferred<ExitState>();
  // It is looked at by whoever waits for the end; nobody may.
  void Promise.allSettled([exited.promise]);
  const closed = deferred<void>();
  let starting: Promise<Running> | undefined;
  let running: Running | undefined;

  async function launch(): Promise<Running> {
    const stdin = program === 'launcher' ? 'pipe' : 'ignore';
    const [out, err] = [await pipes.take(), await pipes.take()];
    const child = spawn(words[0] as string, words.slice(1), {
      stdio: [stdin, out.write, err.write, 'pipe', 'pipe'],
      cwd: '/',
      env: toolEnvironment(),
    });
    closeSync(out.write);
    closeSync(err.write);
    const output = createOutput({ stdout: reader(out.read), stderr: reader(err.read) });
    const launched: Running = { child, output, status: '' };
    listen(launched);
    (child.stdio[ARGS_FD] as Writable).end(bwrap);
    const spawned = deferred<void>();
    child.once('spawn', spawned.resolve);
    child.once('error', error => {
      output.destroy();
      const reason = `${words[0]} cannot be run (${messageOf(error)})`;
      spawned.reject(unavailable(codeOf(error) === 'ENOENT' ? `${reason}: install util-linux` : reason));
    });
    await spawned.promise;
    running = launched;
    return launched;
  }

  function listen(launched: Running): void {
    const { child } = launched;
    // A child that is gone, or does not read any more, is seen by its exit.
    for (const stream of child.stdio) stream?.on('error', () => undefined);
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      launched.status = (launched.status + chunk.toString()).slice(-STATUS_BYTES);
    });
    child.once('close', (code, signal) => {
      closed.resolve();
      settle(launched, code, signal).then(exited.resolve, exited.reject);
    });
  }

  async function settle(
    { status, output }: Running,
    code: number | null,
    signal: NodeJS.Signals | null,
  ): Promise<ExitState> {
    const oomKilled = (await group.oomKills()) > 0;
    if (signal !== null) return { exitCode: SIGKILLED, oomKilled };
    if (!status.includes('"exit-code"') && !oomKilled) throw notStarted(output.lastWords(), code);
    return { exitCode: code ?? SIGKILLED, oomKilled };
  }

  async function kill(): Promise<void> {
    // The first process inside dies with bwrap, and with it the kernel kills all the others.
    running?.child.kill('SIGKILL');
  }

  return {
    id: plan.name,
    async next() {
      return running ? running.output.next() : { done: true, value: undefined };
    },
    async start() {
      starting ??= launch();
      await starting;
    },
    async write(bytes) {
      const stdin = running?.child.stdin;
      if (!stdin || stdin.destroyed || stdin.write(bytes)) return;
      await Promise.race([new Promise(resolve => stdin.once('drain', resolve)), closed.promise]);
    },
    kill,
    ended: () => exited.promise,
    closed: closed.promise,
    usage: () => group.counted(),
    async remove() {
      if (starting) {
        await Promise.allSettled([starting]); // whoever started it was told
        await kill();
        if (running) await Promise.allSettled([exited.promise]);
        running?.output.destroy();
      }
      closed.resolve();
      await group.remove();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** bwrap tells a code only of what it could start, so that these are its own words, and no task's. */
function notStarted(words: string, code: number | null): Error {
  const [, reason] = /^bwrap: execvp .*: (.*)$/.exec(words) ?? [];
  if (reason !== undefined) return new BadProgram(reason === 'No such file or directory');
  return failed(`it could not be made: ${words || `exit code ${code}`}`);
}

function reader(fd: number): Socket {
  return new Socket({ fd, readable: true, writable: false });
}
