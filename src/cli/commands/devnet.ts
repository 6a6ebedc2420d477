import type { ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createClient } from '../../api/client.ts';
import { raceSignal } from '../../util/index.ts';
import { EXIT, usage } from '../exit.ts';
import type { Io } from '../io.ts';
import { json, table } from '../print.ts';
import { isAlive, type Started, spawnDaemon, untilGone, untilReady } from '../processes.ts';
import { dataDirOf, targetOf } from '../target.ts';
import { stopTarget } from './daemon.ts';

export interface DevnetOptions {
  readonly dir?: string;
  readonly detach?: boolean;
  readonly apiPort?: string;
  readonly config?: string;
  readonly json?: boolean;
}

/** Each is a process of 100 MB. */
const MAX_NODES = 32;
const FILE = 'devnet.json';

interface Devnet {
  readonly nodes: readonly Started[];
}

function countOf(text: string | undefined): number {
  const count = Number(text ?? '3');
  if (!Number.isInteger(count) || count < 1 || count > MAX_NODES)
    throw usage(`devnet takes a number of nodes from 1 to ${MAX_NODES}, or stop; not ${text}`);
  return count;
}

/** Where a detached devnet is found again. */
function usualDir(io: Io): string {
  return join(dataDirOf(io), 'devnet');
}

/** Loopback alone, whatever the configuration says. */
function devnetEnv(io: Io): NodeJS.ProcessEnv {
  return { ...io.env, DUXNODE_NETWORK_LISTEN: '["/ip4/127.0.0.1/tcp/0"]' };
}

async function addressOf(io: Io, { dataDir }: Started): Promise<string> {
  const { body } = await createClient(await targetOf(io, { data: dataDir })).getNode(
    {},
    { signal: io.signal },
  );
  const address = body.addresses.find(text => text.startsWith('/ip4/127.0.0.1/')) ?? body.addresses[0] ?? '';
  const full = address.includes('/p2p/') ? address : `${address}/p2p/${body.peer_id}`;
  return `${full}#${body.network_id}`;
}

async function startNode(
  io: Io,
  dir: string,
  index: number,
  { join: address, options }: { join: string | undefined; options: DevnetOptions },
): Promise<{ child: ChildProcess; started: Started }> {
  const dataDir = join(dir, `node-${index + 1}`);
  const port = options.apiPort === undefined ? 0 : Number(options.apiPort) + index;
  const role = address === undefined ? ['--open', '--name', 'devnet'] : ['--join', address];
  const config = options.config === undefined ? [] : ['--config', resolve(options.config)];
  const args = ['--api-port', String(port), ...config, ...role];
  const child = await spawnDaemon(dataDir, args, devnetEnv(io), { detached: true });
  children.add(child);
  const started = await untilReady(child, dataDir, io);
  await io.err(`node ${index + 1} is ready at ${started.url}\n`);
  return { child, started };
}

/** What this command has started and must end, also when a later one fails to start. */
const children = new Set<ChildProcess>();

async function startAll(io: Io, dir: string, count: number, options: DevnetOptions): Promise<Started[]> {
  const first = await startNode(io, dir, 0, { join: undefined, options });
  const address = await addressOf(io, first.started);
  const rest = Array.from({ length: count - 1 }, (_, i) =>
    startNode(io, dir, i + 1, { join: address, options }),
  );
  const others = await Promise.all(rest);
  return [first, ...others].map(({ started }) => started);
}

/** SIGTERM to each child, and until they are gone. */
async function endChildren(): Promise<void> {
  const never = new AbortController().signal;
  for (const child of children) child.kill('SIGTERM');
  for (const child of children)
    await untilGone(() => child.exitCode !== null || child.signalCode !== null, never);
  children.clear();
}

async function report(io: Io, nodes: readonly Started[], options: DevnetOptions): Promise<void> {
  if (options.json) return io.out(json({ nodes }));
  const rows = nodes.map(({ url, dataDir, pid }, i) => [String(i + 1), url, dataDir, String(pid)]);
  return io.out(table(['NODE', 'API', 'DATA', 'PID'], rows));
}

async function detach(io: Io, count: number, options: DevnetOptions): Promise<number> {
  const dir = resolve(options.dir ?? usualDir(io));
  await mkdir(dir, { recursive: true, mode: 0o700 });
  try {
    const nodes = await startAll(io, dir, count, options);
    await writeFile(join(dir, FILE), json({ nodes }), { mode: 0o600 });
    for (const child of children) child.unref();
    children.clear();
    await report(io, nodes, options);
    return EXIT.done;
  } finally {
    await endChildren();
  }
}

async function stay(io: Io, count: number, options: DevnetOptions): Promise<number> {
  const dir =
    options.dir === undefined ? await mkdtemp(join(tmpdir(), 'duxnode-devnet-')) : resolve(options.dir);
  try {
    await report(io, await startAll(io, dir, count, options), options);
    await io.err('Ctrl-C stops them all\n');
    const ended = [...children].map(child => new Promise<void>(done => child.once('exit', () => done())));
    await raceSignal(Promise.race(ended), io.signal);
    await io.err('a node has ended by itself: stopping the others\n');
    return EXIT.failed;
  } catch (error) {
    if (!io.signal.aborted) throw error;
    return EXIT.done;
  } finally {
    await endChildren();
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  }
}

async function stopDetached(io: Io, options: DevnetOptions): Promise<number> {
  const dir = resolve(options.dir ?? usualDir(io));
  let devnet: Devnet;
  try {
    devnet = JSON.parse(await readFile(join(dir, FILE), 'utf8')) as Devnet;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    await io.err(`no devnet was left running in ${dir}\n`);
    return EXIT.noDaemon;
  }
  const running = devnet.nodes.filter(({ pid }) => isAlive(pid));
  const ended = await Promise.all(
    running.map(async ({ dataDir }) => stopTarget(io, await targetOf(io, { data: dataDir }))),
  );
  if (ended.includes(false)) return EXIT.failed;
  await rm(join(dir, FILE), { force: true });
  if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  await io.err(`stopped ${running.length} nodes\n`);
  return EXIT.done;
}

/** `devnet 3`: real nodes on this machine, until Ctrl-C or (with --detach) `devnet stop`. */
export async function devnet(io: Io, [what]: readonly string[], options: DevnetOptions): Promise<number> {
  if (what === 'stop') return stopDetached(io, options);
  const count = countOf(what);
  return options.detach ? detach(io, count, options) : stay(io, count, options);
}
