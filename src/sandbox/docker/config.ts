import type { ContainerCreateOptions, HostConfig, MountSettings } from 'dockerode';
import { INPUTS_DIR } from '../launcher/protocol.ts';
import { launcherSource } from '../launcher/source.ts';
import type { BoxPlan } from '../opener.ts';
import type { DockerOptions } from '../options.ts';
import { seccompProfile } from '../seccomp/docker.ts';
import { tmpfsOptions } from '../tmpfs.ts';
import type { DockerExtras } from './extras.ts';
import { keptLog } from './kept-log.ts';

export interface ContainerPlan extends Omit<BoxPlan, 'image' | 'extras'> {
  /** The image's digest, so that a tag that moves meanwhile changes nothing. */
  readonly image: string;
  /** Paths that the image declares as volumes: they would be writable folders of the host without a limit. */
  readonly volumes: readonly string[];
  /** User and group id, of this container alone. */
  readonly uid: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly name: string;
  /** Its /task is among the extras. */
  readonly ownDisk: boolean;
  /** What it gets beside the usual. */
  readonly extras: Pick<DockerExtras, 'config' | 'mounts'>;
}

/** gVisor's own threads for one process in it count as well: 64 processes took 365. It ends with all in it when it may have no more. */
const GVISOR_THREADS = 6;

/** The whole hardened configuration; each line is proved by an attack in test/attacks. */
export function containerConfig(plan: ContainerPlan, options: DockerOptions): ContainerCreateOptions {
  const { direct } = plan;
  const launched = direct === undefined;
  return {
    name: plan.name,
    Image: plan.image,
    Labels: { ...plan.labels },
    // -I: neither the environment nor the working folder changes what the launcher imports.
    Entrypoint: direct ? [...direct.argv] : ['python3', '-I', '-B', '-X', 'utf8', '-c', launcherSource],
    Cmd: [],
    // The launcher hands the environment to the task alone: LD_PRELOAD and its like must not reach PID 1.
    Env: Object.entries(direct?.env ?? {}).map(([name, value]) => `${name}=${value}`),
    WorkingDir: direct?.cwd ?? '/',
    User: `${plan.uid}:${plan.uid}`,
    Hostname: 'sandbox',
    // Else an engine that stops or restarts waits 10 s for each task, as PID 1 ignores SIGTERM.
    StopSignal: 'SIGKILL',
    NetworkDisabled: true,
    Healthcheck: { Test: ['NONE'] },
    AttachStdin: launched,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: launched,
    StdinOnce: launched,
    Tty: false,
    HostConfig: hostConfig(plan, options),
  };
}

/** Private: nothing that is mounted later on either side shows on the other. */
function inputsMount(dir: string): MountSettings {
  const BindOptions = { Propagation: 'private' as const };
  return { Type: 'bind', Source: dir, Target: INPUTS_DIR, ReadOnly: true, BindOptions };
}

function hostConfig(plan: ContainerPlan, options: DockerOptions): HostConfig {
  const { limits } = plan;
  const runtime = plan.runtime === 'runsc' ? 'runsc' : options.runtime;
  const tmpfs = (exec: 'exec' | 'noexec', bytes: number) => tmpfsOptions({ exec, bytes, uid: plan.uid });
  const volumes = plan.volumes.map(path => [path, tmpfs('noexec', options.tmpBytes)]);
  return {
    NetworkMode: 'none',
    IpcMode: 'private',
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges', `seccomp=${seccompProfile}`],
    ReadonlyRootfs: true,
    Privileged: false,
    Tmpfs: {
      ...Object.fromEntries(volumes),
      '/tmp': tmpfs('noexec', options.tmpBytes),
      ...(plan.ownDisk ? {} : { '/task': tmpfs('exec', limits.diskBytes) }),
    },
    Mounts: [...(plan.inputsDir === undefined ? [] : [inputsMount(plan.inputsDir)]), ...plan.extras.mounts],
    ShmSize: options.shmBytes,
    PidsLimit: options.maxPids * (runtime === 'runsc' ? GVISOR_THREADS : 1),
    Memory: limits.memoryBytes,
    MemorySwap: limits.memoryBytes,
    NanoCpus: limits.milliCpus * 1_000_000,
    // Where the whole machine runs out of memory, tasks go before the daemon.
    OomScoreAdj: 500,
    Ulimits: [
      { Name: 'nofile', Soft: options.maxOpenFiles, Hard: options.maxOpenFiles },
      { Name: 'core', Soft: 0, Hard: 0 },
      { Name: 'fsize', Soft: limits.diskBytes, Hard: limits.diskBytes },
    ],
    LogConfig: plan.lasting ? keptLog : { Type: 'none', Config: {} },
    RestartPolicy: { Name: 'no' },
    AutoRemove: false,
    ...(runtime === undefined ? {} : { Runtime: runtime }),
    ...plan.extras.config,
  };
}
