import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DaemonProcess, Devnet } from '../../test/fixtures/daemons.ts';
import { type Figure, figure, median, quantile } from './figures.ts';
import { runTask, TRIVIAL } from './tasks.ts';

const run = promisify(execFile);
const MIB = 2 ** 20;

/** What people type today, with the same limits. */
const DOCKER_RUN = [
  ...[
    'run',
    '--rm',
    '--network',
    'none',
    '--cpus',
    String(TRIVIAL.cpu_cores),
    '--memory',
    `${TRIVIAL.memory_mb}m`,
  ],
  ...['python:3.9-slim', 'python3', '-c', TRIVIAL.code],
];

async function dockerRunMs(): Promise<number> {
  const started = performance.now();
  await run('docker', DOCKER_RUN);
  return performance.now() - started;
}

/** Submit to paid on another process, and `docker run` of the same, in turn so that a slower moment meets both. */
export async function againstDocker(rounds: number): Promise<Figure[]> {
  const net = await Devnet.start(2);
  try {
    const requester = net.daemons[1] as DaemonProcess;
    for (let i = 0; i < 3; i++) await runTask(requester);
    await dockerRunMs();
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let i = 0; i < rounds; i++) {
      ours.push((await runTask(requester)).paidMs);
      theirs.push(await dockerRunMs());
    }
    console.error(
      `paid result ${median(ours).toFixed(0)} ms, docker run --rm ${median(theirs).toFixed(0)} ms (medians of ${rounds})`,
    );
    return [
      figure(
        'submit to attested and paid result, against `docker run --rm`',
        median(ours) / median(theirs),
        0.8,
        'ratio',
      ),
    ];
  } finally {
    await net.stop();
  }
}

/** In which three nodes on one machine have made the sandboxes that the task before it took. */
const PAUSE_MS = 500;

/** Assignment with three nodes, then memory over 500 tasks. */
export async function assignmentAndMemory(rounds: number, tasks: number): Promise<Figure[]> {
  const net = await Devnet.start(3);
  try {
    const requester = net.daemons[1] as DaemonProcess;
    const assigned = async (pauseMs: number) => {
      for (let i = 0; i < 5; i++) await runTask(requester);
      const times: number[] = [];
      for (let i = 0; i < rounds; i++) {
        times.push((await runTask(requester)).assignedMs);
        await new Promise(resolve => setTimeout(resolve, pauseMs));
      }
      return times;
    };
    const busy = await assigned(0);
    const calm = await assigned(PAUSE_MS);
    await many(net, Math.ceil(tasks / 5));
    const before = await rss(net);
    await many(net, tasks);
    const after = await rss(net);
    console.error(`RSS in MiB before and after ${tasks} tasks: ${before.join(', ')} and ${after.join(', ')}`);
    const growth = Math.max(...after.map((bytes, i) => bytes / (before[i] as number)));
    return [
      figure('assignment, 3 nodes, p50', median(calm), 50, 'ms'),
      figure('assignment, 3 nodes, p99', quantile(calm, 0.99), 250, 'ms'),
      figure('assignment, each task right after another, p50', median(busy), 50, 'ms'),
      figure(`largest growth of a node’s RSS over ${tasks} tasks`, growth, 1.15, 'ratio'),
    ];
  } finally {
    await net.stop();
  }
}

async function rss(net: Devnet): Promise<number[]> {
  return Promise.all(net.daemons.map(async daemon => Math.round((await daemon.rssBytes()) / MIB)));
}

/** `count` tasks over all nodes, some at a time. */
async function many(net: Devnet, count: number): Promise<void> {
  let left = count;
  const worker = async (daemon: DaemonProcess) => {
    while (left-- > 0) await runTask(daemon);
  };
  await Promise.all(net.daemons.flatMap(daemon => [worker(daemon), worker(daemon)]));
}

/** How soon a new daemon listens, and what it holds when idle. */
export async function startUp(rounds: number): Promise<Figure[]> {
  const listening: number[] = [];
  let idle = 0;
  for (let i = 0; i < rounds; i++) {
    const dir = await mkdtemp(join(tmpdir(), 'duxnode-bench-'));
    const daemon = new DaemonProcess(dir, { settings: { 'network.listen': '[/ip4/127.0.0.1/tcp/0]' } });
    const started = Date.now();
    try {
      await daemon.start();
      // written once it listens; looking for it all the time would take a core from the start
      listening.push((await stat(join(dir, 'api.json'))).mtimeMs - started);
      if (i === rounds - 1) idle = await settledRss(daemon);
    } finally {
      await daemon.stop();
      await rm(dir, { recursive: true, force: true });
    }
  }
  return [
    figure('spawn to listening (first start of a network)', median(listening) / 1000, 0.6, 's'),
    figure('daemon idle RSS', idle / MIB, 130, 'MB'),
  ];
}

/** What it holds after ten quiet seconds. */
async function settledRss(daemon: DaemonProcess): Promise<number> {
  await new Promise(resolve => setTimeout(resolve, 10_000));
  return daemon.rssBytes();
}
