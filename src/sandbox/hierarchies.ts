import { access, constants, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../util/index.ts';

/** The controllers without which nothing is bounded, and the one that only counts. */
export const NEEDED = ['memory', 'pids', 'cpu'] as const;
const COUNTING = 'cpuacct';

/** One mounted tree of control groups: v1 has several, each with some controllers, v2 one, hybrid both. */
export interface Hierarchy {
  readonly version: 1 | 2;
  readonly mount: string;
  /** Where this process is in it. */
  readonly own: string;
  readonly controllers: readonly string[];
}

/** A hierarchy with the folder in it below which an owner's groups are made. */
export interface Based extends Hierarchy {
  readonly base: string;
}

/**
 * The mounted hierarchies; those of v2 still without controllers, as its own files name them.
 * Formats: proc(5) `/proc/self/mountinfo`, cgroups(7) `/proc/self/cgroup`.
 */
export function parseHierarchies(mountinfo: string, selfCgroup: string): Hierarchy[] {
  const own = selfCgroup
    .trim()
    .split('\n')
    .map(line => {
      const [id = '', names = '', ...path] = line.split(':');
      return { id, names: names.split(','), path: path.join(':') };
    });
  return mountinfo.split('\n').flatMap(line => {
    const [left = '', right = ''] = line.split(' - ');
    const [, , , root = '/', mount = ''] = left.split(' ');
    const [type, , options = ''] = right.split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') return [];
    const words = options.split(',');
    const mine = own.find(({ id, names }) =>
      type === 'cgroup2' ? id === '0' : names.some(name => name !== '' && words.includes(name)),
    );
    if (!mine) return [];
    const inside = root !== '/' && mine.path.startsWith(root) ? mine.path.slice(root.length) : mine.path;
    const controllers = type === 'cgroup' ? mine.names : [];
    return [{ version: type === 'cgroup' ? 1 : 2, mount, own: inside || '/', controllers } as const];
  });
}

/** Which hierarchies are used, each controller by the first that has it; v1 first, as what it holds v2 cannot have. */
export function choose(all: readonly Hierarchy[]): { used: Hierarchy[]; missing: string[] } {
  const ordered = [...all].sort((a, b) => a.version - b.version);
  const used = new Map<string, Hierarchy & { controllers: string[] }>();
  const missing: string[] = [];
  for (const name of [...NEEDED, COUNTING]) {
    const found = ordered.find(({ controllers }) => controllers.includes(name));
    if (!found) {
      if (name !== COUNTING) missing.push(name);
      continue;
    }
    const taken = used.get(found.mount)?.controllers ?? [];
    used.set(found.mount, { ...found, controllers: [...taken, name] });
  }
  return { used: [...used.values()], missing };
}

/** Reads what this machine has. */
export async function readHierarchies(): Promise<Hierarchy[]> {
  const [mountinfo, self] = await Promise.all(
    ['/proc/self/mountinfo', '/proc/self/cgroup'].map(file => readFile(file, 'utf8')),
  );
  const found = parseHierarchies(mountinfo as string, self as string);
  return Promise.all(
    found.map(async each => {
      if (each.version === 1) return each;
      const text = await readFile(join(each.mount, 'cgroup.controllers'), 'utf8');
      return { ...each, controllers: text.trim().split(/\s+/) };
    }),
  );
}

/**
 * The highest folder in which this process may make groups for `owner`, made: the same for every start of it, so that
 * what an earlier one left is found. root gets it below the hierarchy's root, others where the system delegates to them.
 * @throws Error with what stands in the way.
 */
export async function withBase(hierarchy: Hierarchy, owner: string): Promise<Based> {
  let problem = '';
  for (const level of levelsOf(hierarchy)) {
    const top = join(level, 'duxnode');
    const base = join(top, owner);
    try {
      await mkdir(base, { recursive: true });
      if (hierarchy.version === 2) for (const folder of [level, top, base]) await enable(folder, hierarchy);
      await access(join(base, 'cgroup.procs'), constants.W_OK);
      return { ...hierarchy, base };
    } catch (error) {
      problem = messageOf(error);
    }
  }
  throw new Error(problem);
}

function levelsOf({ mount, own }: Hierarchy): string[] {
  const parts = own.split('/').filter(part => part !== '' && part !== '..');
  return [mount, ...parts.map((_, at) => join(mount, ...parts.slice(0, at + 1)))];
}

/** In v2 a folder's children have the controllers that it lets through. */
async function enable(folder: string, { controllers }: Hierarchy): Promise<void> {
  const words = controllers.map(name => `+${name}`).join(' ');
  await writeFile(join(folder, 'cgroup.subtree_control'), words, { flag: 'r+' });
}
