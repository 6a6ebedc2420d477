import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type DaemonProcess, Devnet } from '../test/fixtures/daemons.ts';
import { containersOf, engine } from '../test/fixtures/processes.ts';
import { tracesOf } from '../test/fixtures/traces.ts';
import { runTask } from './bench/tasks.ts';

const NODES = 3;
/** Caches and pools have their size after this share of the tasks. */
const WARM_UP = 0.1;
/** After load the sandboxes that wait go back to their number, and removals come to their end. */
const SETTLE_MS = 120_000;
const MIB = 2 ** 20;
/** Containers that wait for tasks: two on each node for those of the usual size, two for those of this run. */
const WAITING = 4 * NODES;

/** What a long run must not make grow: `allowed` more than after the warm-up. */
const MEASURES = {
  'RSS of the largest node, MiB': { of: largestRss, allowed: (before: number) => before * 0.15 },
  // sockets of requests that are just being made
  'open files of all nodes': { of: openFiles, allowed: () => 12 },
  containers: { of: containers, allowed: (before: number) => Math.max(0, WAITING - before) },
  networks: { of: networks, allowed: () => 0 },
  mounts: { of: mounts, allowed: () => 0 },
  'control groups': { of: controlGroups, allowed: () => 0 },
  'files for temporary use': { of: temporaryFiles, allowed: () => 0 },
} as const;
/** Records, results and receipts are kept for `storage.retention_days`: on the disks of requester, worker and notary. */
const KEPT_BYTES_A_TASK = 32 * 1024;
/** A database's log and the tables that it has not merged yet. */
const KEPT_BYTES_A_NODE = 8 * MIB;

async function largestRss({ daemons }: Devnet): Promise<number> {
  return Math.round(Math.max(...(await Promise.all(daemons.map(daemon => daemon.rssBytes())))) / MIB);
}

async function openFiles({ daemons }: Devnet): Promise<number> {
  const lists = await Promise.all(daemons.map(({ pid }) => readdir(`/proc/${pid}/fd`)));
  return lists.flat().length;
}

async function containers({ daemons }: Devnet): Promise<number> {
  const lists = await Promise.all(daemons.map(async daemon => containersOf(await daemon.peer())));
  return lists.flat().length;
}

async function networks(): Promise<number> {
  return (await engine.listNetworks()).length;
}

/** Ids of all containers of the engine, and where their file systems are mounted: other programs have some as well. */
async function wordsOfContainers(): Promise<string[]> {
  const list = await engine.listContainers({ all: true });
  const facts = list.map(async ({ Id }) => {
    const found = await engine.getContainer(Id).inspect().catch(noSuchContainer);
    const driver: Readonly<Record<string, string>> = found?.GraphDriver.Data ?? {};
    return [Id, ...(driver.MergedDir ? [driver.MergedDir] : [])];
  });
  return (await Promise.all(facts)).flat();
}

/** It was removed since it was listed. */
function noSuchContainer(error: { statusCode?: number }): undefined {
  if (error.statusCode !== 404) throw error;
}

/** Ours, and those of the engine that belong to no container any more. */
async function mounts({ dir }: Devnet): Promise<number> {
  const { DockerRootDir } = await engine.info();
  const known = await wordsOfContainers();
  return (await tracesOf([dir, `${DockerRootDir}/`])).filter(path => !known.some(word => path.includes(word)))
    .length;
}

/** In any hierarchy: of native sandboxes of ours, and those of the engine that belong to no container any more. */
async function controlGroups({ daemons }: Devnet): Promise<number> {
  const peers = await Promise.all(daemons.map(daemon => daemon.peer()));
  const groups = await tracesOf([...peers.map(peer => `duxnode/${peer}`), 'docker/', 'docker-']);
  const known = await wordsOfContainers();
  return groups.filter(path => path.startsWith('/sys/fs/cgroup/') && !known.some(word => path.includes(word)))
    .length;
}

/** What the daemons keep beside their databases: inputs that are mounted, disks, blobs that are being written. */
async function temporaryFiles({ dir }: Devnet): Promise<number> {
  const names = await readdir(dir, { recursive: true });
  return names.filter(name => /\/(inputs|disks|sandbox|egress|incoming)\/./.test(name)).length;
}

async function diskBytes({ dir }: Devnet): Promise<number> {
  const names = await readdir(dir, { recursive: true });
  const sizes = names.map(name =>
    stat(join(dir, name)).then(
      info => (info.isFile() ? info.blocks * 512 : 0),
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

type Sample = Record<keyof typeof MEASURES, number>;

async function sample(net: Devnet): Promise<Sample> {
  const values = Object.entries(MEASURES).map(async ([name, { of }]) => [name, await of(net)]);
  return Object.fromEntries(await Promise.all(values));
}

function grown(before: Sample, after: Sample): (keyof typeof MEASURES)[] {
  const names = Object.keys(MEASURES) as (keyof typeof MEASURES)[];
  return names.filter(name => after[name] > before[name] + MEASURES[name].allowed(before[name]));
}

/** What is left once nothing shrinks any more, at most after a while. */
async function settled(net: Devnet, before: Sample): Promise<Sample> {
  const end = performance.now() + SETTLE_MS;
  for (;;) {
    const now = await sample(net);
    if (grown(before, now).length === 0 || performance.now() > end) return now;
    await new Promise(resolve => setTimeout(resolve, 2_000));
  }
}

async function many({ daemons }: Devnet, count: number): Promise<void> {
  let left = count;
  const started = performance.now();
  const submit = async (daemon: DaemonProcess) => {
    while (left-- > 0) {
      await runTask(daemon);
      if (left % 500 === 0) console.error(`${left} to go`);
    }
  };
  await Promise.all(daemons.flatMap(daemon => [submit(daemon), submit(daemon)]));
  console.error(`${count} tasks, ${((count * 1000) / (performance.now() - started)).toFixed(1)} a second`);
}

/** `npm run soak [-- COUNT]`: so many paid tasks on three nodes; fails when anything grew that must not. */
async function soak(count: number): Promise<void> {
  const net = await Devnet.start(NODES);
  try {
    await many(net, Math.ceil(count * WARM_UP));
    const before = await settled(net, { ...(await sample(net)), containers: WAITING });
    const disk = await diskBytes(net);
    await many(net, count);
    const after = await settled(net, before);
    const kept = Math.max(0, (await diskBytes(net)) - disk);
    const mayKeep = KEPT_BYTES_A_TASK * count + KEPT_BYTES_A_NODE * NODES;
    console.log(`| ${count} tasks on ${NODES} nodes | before | after |\n|---|---|---|`);
    for (const name of Object.keys(MEASURES) as (keyof typeof MEASURES)[])
      console.log(`| ${name} | ${before[name]} | ${after[name]} |`);
    console.log(`| bytes on disk for each task, all nodes | | ${Math.round(kept / count)} |`);
    const bad = [...grown(before, after), ...(kept > mayKeep ? ['bytes on disk'] : [])];
    if (bad.length > 0) console.error(`soak: grew: ${bad.join(', ')}`);
    process.exitCode = bad.length > 0 ? 1 : 0;
  } finally {
    await net.stop();
  }
}

const count = Number(process.argv[2] ?? 2_000);
if (!Number.isInteger(count) || count < 10) throw new Error('soak: COUNT is a whole number of 10 or more');
await soak(count);
