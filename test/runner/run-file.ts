import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bundles } from './bundle.ts';
import { EXIT_GRACE_MS, type TestFile } from './plan.ts';
import type { ChildReport, FileRun } from './report.ts';

/** The tail is what tells; a test that prints without end must not fill the runner's memory. */
const MAX_OUTPUT_BYTES = 1024 * 1024;
/** How often a group of leftover processes is looked at while it is given time to end. */
const LOOK_EVERY_MS = 50;

/** Runs one file in a process group of its own, which is gone when this resolves. */
export async function runFile(
  root: string,
  file: TestFile,
  bundles: Bundles,
  signal: AbortSignal,
): Promise<FileRun> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, ['--enable-source-maps', bundles.child, bundles.of(file.path)], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, FORCE_COLOR: '0', TEST_BUNDLES: bundles.dir },
  });
  const output = collect(child);
  const { report, killed, exitCode, exitSignal } = await watch(child, file.limitMs, signal);
  const leftBehind = await endGroup(child.pid, killed !== undefined);
  const durationMs = performance.now() - startedAt;
  return {
    path: file.path,
    durationMs,
    output: output(),
    report,
    exitCode,
    signal: exitSignal,
    killed,
    leftBehind,
  };
}

interface Ending {
  report: ChildReport | undefined;
  killed: FileRun['killed'];
  exitCode: number | null;
  exitSignal: NodeJS.Signals | null;
}

/** Waits for the end of `child`, and brings it about when its time is over or `signal` aborts. */
function watch(child: ChildProcess, limitMs: number, signal: AbortSignal): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const ending: Ending = { report: undefined, killed: undefined, exitCode: null, exitSignal: null };
    const kill = (why: FileRun['killed']) => {
      ending.killed ??= why;
      killGroup(child.pid);
    };
    let timer = setTimeout(() => kill('limit'), limitMs);
    const onAbort = () => kill('stopped');
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    child.once('message', message => {
      ending.report = message as ChildReport;
      clearTimeout(timer);
      timer = setTimeout(() => kill('handle'), EXIT_GRACE_MS);
    });
    child.once('error', error => {
      settle();
      reject(error);
    });
    child.once('exit', (exitCode, exitSignal) => {
      settle();
      resolve({ ...ending, exitCode, exitSignal });
    });
  });
}

/** Keeps the last MAX_OUTPUT_BYTES of what `child` prints; returns what reads them. */
function collect(child: ChildProcess): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const keep = (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    while (bytes > MAX_OUTPUT_BYTES && chunks.length > 1) bytes -= chunks.shift()!.length;
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  return () => Buffer.concat(chunks).toString();
}

/** Makes sure that the group is empty; true when it had to be killed although the file's process ended by itself. */
async function endGroup(pid: number | undefined, wasKilled: boolean): Promise<boolean> {
  if (pid === undefined) return false;
  const deadline = performance.now() + EXIT_GRACE_MS;
  while (!wasKilled && performance.now() < deadline && (await groupLives(pid))) await delay(LOOK_EVERY_MS);
  const lives = !wasKilled && (await groupLives(pid));
  killGroup(pid);
  return lives;
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** True when a process that is no zombie is in the group. Signal 0 would count zombies that nobody waits for. */
async function groupLives(group: number): Promise<boolean> {
  try {
    process.kill(-group, 0);
  } catch {
    return false;
  }
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name));
  const states = await Promise.all(pids.map(pid => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')));
  return states.some(stat => {
    const [state = 'X', , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(pgrp) === group && !'ZX'.includes(state);
  });
}
