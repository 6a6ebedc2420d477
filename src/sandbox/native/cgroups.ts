import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clock, codeOf, messageOf, sleep } from '../../util/index.ts';
import type { Counted } from '../box.ts';
import { failed, unavailable } from '../errors.ts';
import { type Based, choose, readHierarchies, withBase } from '../hierarchies.ts';

export interface GroupLimits {
  readonly memoryBytes: number;
  readonly milliCpus: number;
  readonly pids: number;
}

/** The control group of one sandbox: one folder in each hierarchy. */
export interface Group {
  /** A process that writes its id into each of these is in the group, with all that it starts. */
  readonly joinFiles: readonly string[];
  /** What of it is shown inside, read only, and where: the launcher reads its peaks and kills there. */
  readonly shown: { readonly folder: string; readonly at: string };
  counted(): Promise<Counted>;
  /** Processes that the kernel killed for memory. */
  oomKills(): Promise<number>;
  /** Kills what is still in it, and removes it. */
  remove(): Promise<void>;
}

/** The groups of one owner on this machine. */
export interface Cgroups {
  readonly version: string;
  create(name: string, limits: GroupLimits): Promise<Group>;
  /** Names of all groups that there are, also of earlier runs. */
  list(): Promise<string[]>;
  remove(name: string): Promise<void>;
  /** Removes the owner's own folder, where it is empty. */
  leave(): Promise<void>;
}

/** The kernel's unit of the CPU quota, microseconds. */
const PERIOD_US = 100_000;
/** The last process of a group is dead a little before the kernel lets the group go. */
const REMOVE_LOOK_MS = 5;
const REMOVE_LOOKS = 400;

/** @throws CodedError `SANDBOX_UNAVAILABLE` with what is missing and how to mend it. */
export async function openCgroups({ clock }: { readonly clock: Clock }, owner: string): Promise<Cgroups> {
  const { used, missing } = choose(await readHierarchies());
  if (missing.length > 0)
    throw unavailable(
      `this machine has no control groups for ${missing.join(' and ')}: mount them, or start the kernel with cgroup_enable=${missing[0]}`,
    );
  try {
    return cgroupsIn(clock, await Promise.all(used.map(hierarchy => withBase(hierarchy, owner))));
  } catch (error) {
    throw unavailable(
      `limits cannot be set, as this user may make no control groups (${messageOf(error)}): start the daemon as root, or by 'systemd-run --user --scope -p Delegate=yes'`,
      { cause: error },
    );
  }
}

function cgroupsIn(clock: Clock, hierarchies: readonly Based[]): Cgroups {
  const foldersOf = (name: string) => hierarchies.map(({ base }) => join(base, name));
  const withController = (name: string) => hierarchies.find(({ controllers }) => controllers.includes(name));

  async function remove(name: string): Promise<void> {
    await Promise.all(foldersOf(name).map(folder => removeFolder(clock, folder)));
  }

  return {
    version: [...new Set(hierarchies.map(({ version }) => `v${version}`))].join('+'),
    async create(name, limits) {
      try {
        await Promise.all(
          hierarchies.map(async hierarchy => {
            const folder = join(hierarchy.base, name);
            await mkdir(folder);
            for (const [file, value] of settingsOf(hierarchy, limits))
              await writeFile(join(folder, file), String(value), { flag: 'r+' });
            if (hierarchy.controllers.includes('memory')) await withoutSwap(folder, hierarchy, limits);
          }),
        );
      } catch (error) {
        await remove(name);
        throw failed(`its control group could not be made: ${messageOf(error)}`, { cause: error });
      }
      return groupOf(name);
    },
    async list() {
      const names = await Promise.all(
        hierarchies.map(async ({ base }) => {
          const entries = await readdir(base, { withFileTypes: true });
          return entries.filter(entry => entry.isDirectory()).map(entry => entry.name);
        }),
      );
      return [...new Set(names.flat())];
    },
    remove,
    async leave() {
      for (const { base } of hierarchies)
        for (const folder of [base, dirname(base)]) await rmdirUnlessUsed(folder);
    },
  };

  function groupOf(name: string): Group {
    const memory = withController('memory') as Based;
    const [counter, word, unit] = withController('cpuacct')
      ? (['cpuacct', 'cpuacct.usage', 1e6] as const)
      : (['cpu', 'cpu.stat', 1e3] as const);
    const of = (controller: string, file: string) =>
      readFile(join(withController(controller)?.base ?? '', name, file), 'utf8');
    const v1 = memory.version === 1;
    return {
      joinFiles: foldersOf(name).map(folder => join(folder, 'cgroup.procs')),
      shown: {
        folder: join(memory.base, name),
        at: v1 ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup',
      },
      async counted() {
        const [peakWord, nowWord] = v1
          ? ['memory.max_usage_in_bytes', 'memory.usage_in_bytes']
          : ['memory.peak', 'memory.current'];
        const [cpu = 0, peakMemoryBytes = 0, memoryBytes = 0] = await Promise.all(
          [of(counter, word), of('memory', peakWord), of('memory', nowWord)].map(text =>
            text.then(
              found => Number(/\d+/.exec(found)?.[0] ?? 0),
              () => 0, // a kernel that does not count it, or a group that is gone
            ),
          ),
        );
        return { cpuMs: cpu / unit, peakMemoryBytes, memoryBytes };
      },
      async oomKills() {
        const text = await of('memory', v1 ? 'memory.oom_control' : 'memory.events');
        return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
      },
      remove: () => remove(name),
    };
  }
}

function settingsOf({ version, controllers }: Based, limits: GroupLimits): [string, number | string][] {
  const quota = Math.max(1000, Math.round((limits.milliCpus / 1000) * PERIOD_US));
  const settings: Record<string, [string, number | string][]> =
    version === 1
      ? {
          memory: [['memory.limit_in_bytes', limits.memoryBytes]],
          pids: [['pids.max', limits.pids]],
          cpu: [
            ['cpu.cfs_period_us', PERIOD_US],
            ['cpu.cfs_quota_us', quota],
          ],
        }
      : {
          memory: [['memory.max', limits.memoryBytes]],
          pids: [['pids.max', limits.pids]],
          cpu: [['cpu.max', `${quota} ${PERIOD_US}`]],
        };
  return controllers.flatMap(name => settings[name] ?? []);
}

/** Memory that is swapped out counts as well; a kernel that does not count it has none, or is told not to use it. */
async function withoutSwap(folder: string, { version }: Based, { memoryBytes }: GroupLimits): Promise<void> {
  const [file, value] = version === 1 ? ['memory.memsw.limit_in_bytes', memoryBytes] : ['memory.swap.max', 0];
  try {
    await writeFile(join(folder, file), String(value), { flag: 'r+' });
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    if (version === 1) await writeFile(join(folder, 'memory.swappiness'), '0', { flag: 'r+' });
  }
}

/** Kills what is still in a group, and removes it. One that is not there is no error. @throws CodedError `SANDBOX_FAILED`. */
export async function removeFolder(clock: Clock, folder: string): Promise<void> {
  for (let looks = 0; looks < REMOVE_LOOKS; looks++) {
    try {
      return await rmdir(folder);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      if (codeOf(error) !== 'EBUSY') throw error;
    }
    for (const pid of await processesIn(folder)) kill(pid);
    await sleep(REMOVE_LOOK_MS, { clock });
  }
  throw failed(`the control group ${folder} has processes that cannot be killed`);
}

async function processesIn(folder: string): Promise<number[]> {
  try {
    const text = await readFile(join(folder, 'cgroup.procs'), 'utf8');
    return text.split('\n').map(Number).filter(Boolean);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENODEV') return [];
    throw error;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}

async function rmdirUnlessUsed(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    if (!['ENOENT', 'EBUSY', 'ENOTEMPTY', 'EACCES', 'EPERM'].includes(codeOf(error))) throw error;
  }
}
