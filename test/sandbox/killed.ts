import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import * as z from 'zod';
import {
  createDisks,
  type Disks,
  imagesDirFrom,
  type SandboxLimits,
  socketPathFrom,
} from '../../src/sandbox/index.ts';
import { silentLogger } from '../../src/util/index.ts';
import { program } from '../fixtures/program.ts';
import { tracesOf } from '../fixtures/traces.ts';
import { MIB } from './conformance.ts';

export const TASKS = 8;
/** Only root may mount. */
const isRoot = process.getuid?.() === 0;
/** Of each task; the large ones are file systems of their own, mounted on this machine. */
export const DISK_BYTES = Array.from({ length: TASKS }, (_, i) => (isRoot && i < 3 ? 1024 : 16) * MIB);
export const OWN_DISKS = DISK_BYTES.filter(bytes => bytes > 16 * MIB).length;

export interface DaemonTask {
  readonly code: string;
  readonly limits: Partial<SandboxLimits>;
  readonly resumable?: boolean;
}

const ENDLESS: readonly DaemonTask[] = DISK_BYTES.map(diskBytes => ({
  code: 'import os\nos.fork()\nwhile True: os.sched_yield()',
  limits: { timeoutMs: 600_000, milliCpus: 50, diskBytes },
}));

export interface DaemonSettings {
  readonly runtime: 'docker' | 'native';
  readonly owner: string;
  readonly folder: string;
  readonly socketPath: string;
  readonly imagesDir: string;
  readonly tasks: readonly DaemonTask[];
}

export interface World {
  readonly owner: string;
  readonly folder: string;
  /** Disks of the same folder, as the next start makes them. */
  readonly disks: Disks;
  /** Of each task. */
  readonly handles: readonly (string | null)[];
  /** Kills it at once. */
  kill(): Promise<void>;
}

/** A process whose tasks run, unless told eight that never end; afterwards nothing may be left of it but what `body` asserts. */
export async function withDaemon(
  runtime: DaemonSettings['runtime'],
  body: (world: World) => Promise<void>,
  tasks = ENDLESS,
  socketPath = socketPathFrom(process.env),
): Promise<void> {
  const owner = `test-${randomUUID()}`;
  const folder = await mkdtemp(join(tmpdir(), 'duxnode-killed-'));
  const settings: DaemonSettings = {
    runtime,
    owner,
    folder,
    socketPath,
    imagesDir: imagesDirFrom(process.env),
    tasks,
  };
  const argv = [...program('sandbox/daemon.ts'), JSON.stringify(settings)];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  async function kill(): Promise<void> {
    child.kill('SIGKILL');
    await exited;
  }
  try {
    const [said] = await Promise.race([once(child.stdout, 'data'), exited]);
    const handles = z
      .array(z.string().nullable())
      .length(tasks.length)
      .parse(JSON.parse(String(said)));
    const disks = createDisks({ logger: silentLogger }, { dir: join(folder, 'disks') });
    await body({ owner, folder, disks, handles, kill });
    assert.equal(await tracesOf([owner, folder]), []);
  } finally {
    await kill();
    await rm(folder, { recursive: true, force: true });
  }
}
