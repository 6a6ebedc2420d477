import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { IMAGE, docker as sharedEngine, until } from './support.ts';

/** A Docker engine of a test's own: everything of it is below one folder, and the machine's engine is not touched. */
export interface PrivateEngine {
  readonly socketPath: string;
  readonly docker: Docker;
  readonly configFile: string;
  readonly pidFile: string;
  start(): Promise<void>;
  /** As a crash would: SIGKILL for the engine, and for nothing else. */
  crash(): Promise<void>;
  /** Ends it in order and removes its folder. */
  close(): Promise<void>;
  loadBaseImage(): Promise<void>;
}

export async function createPrivateEngine(): Promise<PrivateEngine> {
  const folder = await mkdtemp(join(tmpdir(), 'duxnode-engine-'));
  const socketPath = join(folder, 'docker.sock');
  const docker = new Docker({ socketPath });
  const logFile = join(folder, 'log');
  const configFile = join(folder, 'daemon.json');
  const pidFile = join(folder, 'pid');
  await writeFile(configFile, '{}');
  let child: ReturnType<typeof spawn> | undefined;
  let crashed = false;

  async function answers(): Promise<boolean> {
    try {
      await docker.ping();
      return true;
    } catch (error) {
      if (child?.exitCode !== null)
        throw new Error(`dockerd ended: ${(await readFile(logFile, 'utf8')).slice(-500)}`, { cause: error });
      return false;
    }
  }

  async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const ending = child;
    child = undefined;
    if (!ending || ending.exitCode !== null) return;
    const exited = once(ending, 'exit');
    ending.kill(signal);
    await exited;
  }

  async function start(): Promise<void> {
    // Where PID 1 is slow to reap, the dead containerd of a crashed engine still looks alive by its pid.
    await rm(join(folder, 'exec/containerd/containerd.pid'), { force: true });
    const log = await open(logFile, 'a');
    child = spawn(
      'dockerd',
      [
        ...['--host', `unix://${socketPath}`, '--data-root', join(folder, 'data')],
        ...['--exec-root', join(folder, 'exec'), '--pidfile', pidFile],
        ...[
          '--config-file',
          configFile,
          '--iptables=false',
          '--ip6tables=false',
          '--bridge=none',
          '--shutdown-timeout=5',
        ],
      ],
      { stdio: ['ignore', log.fd, log.fd] },
    );
    await log.close();
    crashed = false;
    await until('the private engine answers', answers, 30_000);
  }

  return {
    socketPath,
    docker,
    configFile,
    pidFile,
    start,
    async crash() {
      crashed = true;
      await end('SIGKILL');
    },
    async close() {
      try {
        // only an engine ends the containers of the one that crashed
        if (crashed) await start();
      } finally {
        await end('SIGTERM');
        await unmountBelow(folder);
        await rm(folder, { recursive: true });
      }
    },
    async loadBaseImage() {
      const loading = await docker.loadImage(await sharedEngine.getImage(IMAGE).get(), { quiet: true });
      for await (const _ of loading);
    },
  };
}

/** An engine that crashed once leaves its own mounts behind, the last one first. */
async function unmountBelow(folder: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8'))
    .split('\n')
    .map(line => line.split(' ')[1] ?? '');
  for (const path of mounts.reverse())
    if (path.startsWith(folder)) await once(spawn('umount', ['-l', path]), 'exit');
}
