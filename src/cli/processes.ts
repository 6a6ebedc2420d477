import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from '../api/client.ts';
import { hasCode, sleep } from '../util/index.ts';
import { CliError } from './exit.ts';
import type { Io } from './io.ts';
import { readEndpoint } from './target.ts';

/** How often the state of another process is looked at: it gives no event. */
const POLL_MS = 50;
/** A daemon on a slow machine with Docker to look at; joining may wait longer, and says so in its log. */
const READY_MS = 60_000;
/** A clean stop kills running containers and waits for the ledger's disk. */
const STOP_MS = 60_000;
/** What of a log explains a failed start. */
const TAIL_CHARS = 2000;

export interface Started {
  readonly pid: number;
  readonly url: string;
  readonly dataDir: string;
  readonly logFile: string;
}

/** Starts this very program again as a daemon of its own, whose output goes to `<data>/daemon.log`. */
export async function spawnDaemon(
  dataDir: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  { detached }: { detached: boolean },
): Promise<ChildProcess> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const log = await open(join(dataDir, 'daemon.log'), 'a', 0o600);
  try {
    const program = process.argv[1] ?? '';
    return spawn(process.execPath, [...process.execArgv, program, 'start', '--data', dataDir, ...args], {
      detached,
      env,
      stdio: ['ignore', log.fd, log.fd],
    });
  } finally {
    await log.close();
  }
}

async function isLive(url: string): Promise<boolean> {
  try {
    await createClient({ url }).getLive();
    return true;
  } catch (error) {
    // `api.auth: token` refuses us: that too is a daemon that answers.
    return hasCode(error, 'TOKEN_REQUIRED');
  }
}

/** Resolves once the child answers on its control port. @throws CliError `START_FAILED` with the end of its log. */
export async function untilReady(child: ChildProcess, dataDir: string, io: Io): Promise<Started> {
  const logFile = join(dataDir, 'daemon.log');
  const end = performance.now() + READY_MS;
  while (performance.now() < end) {
    if (child.exitCode !== null || child.signalCode !== null) throw await startFailed(logFile, 'it ended');
    const endpoint = await readEndpoint(dataDir);
    if (endpoint && endpoint.pid === child.pid && (await isLive(endpoint.url)))
      return { ...endpoint, dataDir, logFile };
    await sleepAwake(POLL_MS, io.signal);
  }
  throw await startFailed(logFile, `it was not ready after ${READY_MS / 1000} s and may still be joining`);
}

async function startFailed(logFile: string, why: string): Promise<CliError> {
  const log = await readFile(logFile, 'utf8');
  return new CliError(
    { code: 'START_FAILED' },
    `the daemon did not start: ${why}. The end of ${logFile}:\n${log.slice(-TAIL_CHARS)}`,
  );
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Resolves to true once the process is gone; to false after a minute. */
export async function untilGone(
  isGone: () => boolean | Promise<boolean>,
  signal: AbortSignal,
): Promise<boolean> {
  const end = performance.now() + STOP_MS;
  while (!(await isGone())) {
    if (performance.now() > end) return false;
    await sleepAwake(POLL_MS, signal);
  }
  return true;
}

/** Like sleep, but the process stays for it. */
async function sleepAwake(ms: number, signal: AbortSignal): Promise<void> {
  const alive = setInterval(() => {}, 2 ** 30);
  try {
    await sleep(ms, { signal });
  } finally {
    clearInterval(alive);
  }
}
