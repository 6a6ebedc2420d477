import { availableParallelism } from 'node:os';

const KIB = 1024;
const MIB = 1024 * KIB;

/** What the operator may set of the Docker sandbox. Sizes in bytes, times in milliseconds. */
export interface DockerOptions {
  /** The engine's socket. */
  readonly socketPath: string;
  /** OCI runtime, such as `runsc`; undefined is the engine's own default. */
  readonly runtime: string | undefined;
  /** Containers kept ready for each image and size that was asked for, until more are missed; and in all. */
  readonly startBoxes: number;
  readonly maxBoxes: number;
  /** Containers being created at once. */
  readonly maxCreations: number;
  /** How long one call to the engine may take, pulls apart. */
  readonly callTimeoutMs: number;
  readonly pullTimeoutMs: number;
  /** A pull that shows no progress for this long has failed. */
  readonly pullStallMs: number;
  /** Between two looks for an engine that is away, and for one that is there. */
  readonly probeDownMs: number;
  readonly probeUpMs: number;
  /** How long the outputs of a dead task may take to be handed over. */
  readonly collectTimeoutMs: number;
  /** Processes and threads of one task. */
  readonly maxPids: number;
  readonly maxOpenFiles: number;
  /** Size of /tmp (no exec) and of /dev/shm. */
  readonly tmpBytes: number;
  readonly shmBytes: number;
  /** The largest /task on tmpfs. */
  readonly maxDiskBytes: number;
  readonly minMemoryBytes: number;
  readonly maxInputFiles: number;
  /** User ids of tasks: from `uidFirst`, `uidCount` of them. */
  readonly uidFirst: number;
  readonly uidCount: number;
}

export const dockerDefaults: DockerOptions = {
  socketPath: '/var/run/docker.sock',
  runtime: undefined,
  // One for the next task, and one for the task after it while the first is made anew.
  startBoxes: 2,
  // Of about 11 MiB each.
  maxBoxes: 16,
  // A creation costs the engine about 100 ms of CPU: more at once than twice the cores only makes each of them later.
  maxCreations: 2 * availableParallelism(),
  // A loaded engine took up to 5 s for a creation; six times that is an engine that hangs.
  callTimeoutMs: 30_000,
  pullTimeoutMs: 600_000,
  pullStallMs: 60_000,
  probeDownMs: 2_000,
  probeUpMs: 15_000,
  collectTimeoutMs: 30_000,
  maxPids: 64,
  maxOpenFiles: 1024,
  tmpBytes: 16 * MIB,
  shmBytes: 16 * MIB,
  // tmpfs is the machine's memory; larger disks need a file system of their own.
  maxDiskBytes: 1024 * MIB,
  // The launcher and the forked task's interpreter need about 14 MiB.
  minMemoryBytes: 24 * MIB,
  maxInputFiles: 4096,
  // Far above the ids of any host user and of the engine's own subordinate ranges, below 2^31 as some tools are signed.
  uidFirst: 1_000_000_000,
  uidCount: 1_000_000_000,
};

/** The engine's socket by the environment that Docker's own client uses, else the usual place. */
export function socketPathFrom(env: Readonly<Record<string, string | undefined>>): string {
  const host = env.DOCKER_HOST;
  return host?.startsWith('unix://') ? host.slice('unix://'.length) : dockerDefaults.socketPath;
}
