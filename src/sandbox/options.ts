import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import type { Gpus } from '../wire/index.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** What every runtime holds a task to. Sizes in bytes, times in milliseconds. */
export interface BoxOptions {
  /** Sandboxes kept ready for each image and size that was asked for, until more are missed; and in all. */
  readonly startBoxes: number;
  readonly maxBoxes: number;
  /** Sandboxes being created at once. */
  readonly maxCreations: number;
  /** How long the outputs of a dead task may take to be handed over, beside the time for their bytes. */
  readonly collectTimeoutMs: number;
  /** An image that this node pulled goes when nobody used it for this long. */
  readonly imageMaxAgeMs: number;
  /** Images that this node pulled, together, of the engine's disk: 0 to 1. */
  readonly imageDiskShare: number;
  /** Processes and threads of one task. */
  readonly maxPids: number;
  readonly maxOpenFiles: number;
  /** Size of /tmp (no exec) and of /dev/shm. */
  readonly tmpBytes: number;
  readonly shmBytes: number;
  /** The largest /task on tmpfs, which is memory; a larger one is a disk of its own, where that can be. */
  readonly maxTmpfsBytes: number;
  /** The largest disk of its own. */
  readonly maxDiskBytes: number;
  readonly minMemoryBytes: number;
  readonly maxInputFiles: number;
  /** What the operator lends; null: none. */
  readonly gpus: Gpus | null;
  /** Input files up to this size are copied into the sandbox, larger ones are mounted. */
  readonly copiedInputBytes: number;
  /** User ids of tasks: from `uidFirst`, `uidCount` of them. */
  readonly uidFirst: number;
  readonly uidCount: number;
}

/** What the operator may set of the Docker sandbox. */
export interface DockerOptions extends BoxOptions {
  /** The engine's socket. */
  readonly socketPath: string;
  /** OCI runtime, such as `runsc`; undefined is the engine's own default. */
  readonly runtime: string | undefined;
  /** How long one call to the engine may take, pulls apart. */
  readonly callTimeoutMs: number;
  readonly pullTimeoutMs: number;
  /** A pull that shows no progress for this long has failed. */
  readonly pullStallMs: number;
  /** Between two looks for an engine that is away, and for one that is there. */
  readonly probeDownMs: number;
  readonly probeUpMs: number;
}

/** What the operator may set of the native sandbox. */
export interface NativeOptions extends BoxOptions {
  /** Where unpacked images and what belongs to a running sandbox are kept; of this daemon alone. */
  readonly stateDir: string;
  /** Where images are found, as files in the form of `docker save`. */
  readonly imagesDir: string;
  /** Between two looks while the machine cannot make sandboxes. */
  readonly probeDownMs: number;
  /** How long a trial sandbox may take. */
  readonly trialMs: number;
  /** The largest image, unpacked: bytes of files, and files. */
  readonly maxImageBytes: number;
  readonly maxImageEntries: number;
}

export const boxDefaults: BoxOptions = {
  // One for the next task, and one for the task after it while the first is made anew.
  startBoxes: 2,
  // Of about 11 MiB each.
  maxBoxes: 16,
  // A creation costs Docker's engine about 100 ms of CPU: more at once than twice the cores only makes each of them later.
  maxCreations: 2 * availableParallelism(),
  collectTimeoutMs: 30_000,
  imageMaxAgeMs: 14 * 86_400_000,
  imageDiskShare: 0.1,
  maxPids: 64,
  maxOpenFiles: 1024,
  tmpBytes: 16 * MIB,
  shmBytes: 16 * MIB,
  // tmpfs is the machine's memory: half a GiB is what a small one can lend to a few tasks.
  maxTmpfsBytes: 512 * MIB,
  // What ext4 holds with blocks of 4 KiB; what is lent in all is far less.
  maxDiskBytes: 16 * 1024 * 1024 * MIB,
  // The launcher and the forked task's interpreter need about 14 MiB.
  minMemoryBytes: 24 * MIB,
  maxInputFiles: 4096,
  gpus: null,
  // A copy takes the task's memory and 1 ms a MiB; a mount a sandbox of its own, 100 ms.
  copiedInputBytes: 4 * MIB,
  // Far above the ids of any host user and of the engine's own subordinate ranges, below 2^31 as some tools are signed.
  uidFirst: 1_000_000_000,
  uidCount: 1_000_000_000,
};

export const dockerDefaults: DockerOptions = {
  ...boxDefaults,
  socketPath: '/var/run/docker.sock',
  runtime: undefined,
  // A loaded engine took up to 5 s for a creation; six times that is an engine that hangs.
  callTimeoutMs: 30_000,
  pullTimeoutMs: 600_000,
  pullStallMs: 60_000,
  probeDownMs: 2_000,
  probeUpMs: 15_000,
};

export const nativeDefaults: Omit<NativeOptions, 'stateDir' | 'imagesDir'> = {
  ...boxDefaults,
  probeDownMs: 15_000,
  // It takes 10 ms; a machine that needs a thousand times as long runs no tasks.
  trialMs: 10_000,
  // The largest images that people share (CUDA, data science) come to about this.
  maxImageBytes: 32 * 1024 * MIB,
  maxImageEntries: 1_000_000,
};

/** Where `scripts/images/build-base.sh` keeps what it makes. */
export function imagesDirFrom(env: Readonly<Record<string, string | undefined>>): string {
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'duxnode', 'images');
}

/** The engine's socket by the environment that Docker's own client uses, else the usual place. */
export function socketPathFrom(env: Readonly<Record<string, string | undefined>>): string {
  const host = env.DOCKER_HOST;
  return host?.startsWith('unix://') ? host.slice('unix://'.length) : dockerDefaults.socketPath;
}
