import { access, constants, mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '../../api/client.ts';
import type { Config } from '../../node/index.ts';
import type { Executor } from '../../sandbox/index.ts';
import { messageOf, noMetrics, silentLogger, systemClock } from '../../util/index.ts';
import { EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { colour, json, plainLine } from '../print.ts';
import { configOf, type StartOptions } from '../start.ts';
import { dataDirOf, readEndpoint, targetOf } from '../target.ts';

type Sandbox = Config['sandbox'];

interface Finding {
  readonly check: string;
  readonly ok: boolean;
  /** What was found, and how to mend it where it is not well. */
  readonly detail: string;
}

/** Results, images and the database need room. */
const MIN_FREE_BYTES = 2 ** 30;
/** How long the engine may take to say who it is. */
const PROBE_MS = 5_000;

const finding = (check: string, ok: boolean, detail: string): Finding => ({ check, ok, detail });

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return finding(
    'node',
    ok,
    ok ? process.version : `${process.version} is too old: install Node 20.19 or later`,
  );
}

/** The sandbox that a node would choose now, and one of nothing made in it. */
async function checkSandbox(io: Io, { runtime, base_image: image }: Sandbox): Promise<Finding[]> {
  const { chooseExecutor, imagesDirFrom, socketPathFrom } = await import('../../sandbox/index.ts');
  const parts = { logger: silentLogger, clock: systemClock, metrics: noMetrics };
  // A state of its own: a running daemon's is not touched.
  const stateDir = await mkdtemp(join(tmpdir(), 'duxnode-doctor-'));
  const executor = await chooseExecutor(parts, {
    wanted: runtime === 'native' ? 'native' : 'docker',
    owner: `doctor-${process.pid}`,
    docker: { socketPath: socketPathFrom(io.env), maxBoxes: 0 },
    native: { stateDir, imagesDir: imagesDirFrom(io.env), maxBoxes: 0 },
  });
  try {
    await executor.start();
    return await probeSandbox(executor, runtime, image);
  } finally {
    await executor.stop();
    await rm(stateDir, { recursive: true, force: true });
  }
}

async function probeSandbox(
  executor: Executor,
  wanted: Sandbox['runtime'],
  image: string,
): Promise<Finding[]> {
  const status = await executor.probe({ signal: AbortSignal.timeout(PROBE_MS) });
  if (!status.available)
    return [
      finding(
        executor.runtime,
        false,
        status.reason ?? 'Docker does not answer: run scripts/docker-engine.sh',
      ),
    ];
  const here = executor.hasImage(image);
  const { pullsImages } = executor.limits();
  const missing = pullsImages
    ? 'is not here yet: the first task pulls it'
    : 'is not here: run scripts/images/build-base.sh --file-only';
  const instead = executor.runtime === 'native' && wanted !== 'native' ? ', as no Docker engine answers' : '';
  return [
    finding(executor.runtime, true, `${status.version ?? 'it answers'}${instead}`),
    finding('base image', here || pullsImages, `${image} ${here ? 'is here' : missing}`),
  ];
}

async function checkData(dataDir: string): Promise<Finding[]> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await access(dataDir, constants.R_OK | constants.W_OK);
  } catch (error) {
    return [
      finding(
        'data',
        false,
        `${dataDir} cannot be written (${messageOf(error)}): choose another with --data`,
      ),
    ];
  }
  const { bavail, bsize } = await statfs(dataDir);
  const free = bavail * bsize;
  const gib = `${(free / 2 ** 30).toFixed(1)} GiB free`;
  const ok = free >= MIN_FREE_BYTES;
  return [
    finding('data', true, dataDir),
    finding('disk', ok, ok ? gib : `${gib}: a node wants 1 GiB; make room or move --data`),
  ];
}

function canListen(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port }, () => server.close(() => resolve(true)));
  });
}

async function checkDaemon(
  io: Io,
  options: StartOptions,
  api: { host: string; port: number },
): Promise<Finding[]> {
  const endpoint = await readEndpoint(dataDirOf(io, options));
  if (endpoint === undefined) {
    const free = await canListen(api.host, api.port);
    const detail = free ? `${api.port} is free` : `${api.port} is taken: choose another with --api-port`;
    return [
      finding('port', free, detail),
      finding('daemon', true, 'does not run: start it with duxnode start'),
    ];
  }
  try {
    const { body } = await createClient(await targetOf(io, options)).getHealth({}, { signal: io.signal });
    const { p2p, ledger } = body;
    return [
      finding('daemon', body.status !== 'down', `${body.status} at ${endpoint.url}`),
      finding('peers', p2p.status === 'ok', p2p.detail ?? ''),
      finding('ledger', ledger.status === 'ok', ledger.detail ?? 'a notary answers'),
    ];
  } catch (error) {
    const detail = `pid ${endpoint.pid} does not answer at ${endpoint.url} (${messageOf(error)}): start it again`;
    return [finding('daemon', false, detail)];
  }
}

/** A clock before this file was written is not set. */
const EARLIEST = Date.UTC(2026, 0, 1);

function checkClock(): Finding {
  const ok = Date.now() > EARLIEST;
  const now = new Date().toISOString();
  return finding('clock', ok, ok ? now : `${now} cannot be: set it, escrow deadlines depend on it`);
}

/** Looks at all that a node needs, and says how to mend what is missing. */
export async function doctor(io: Io, _: readonly string[], options: StartOptions): Promise<number> {
  const config = await configOf(io, options);
  const findings = [
    checkNode(),
    checkClock(),
    ...(await checkData(dataDirOf(io, options))),
    ...(config.worker.enabled ? await checkSandbox(io, config.sandbox) : []),
    ...(await checkDaemon(io, options, config.api)),
  ];
  const ok = findings.every(found => found.ok);
  if (options.json) await io.out(json({ ok, findings }));
  else
    for (const found of findings) {
      const mark = found.ok ? colour(io, 'green', 'ok  ') : colour(io, 'red', 'FAIL');
      await io.out(`${mark}  ${found.check.padEnd(10)}  ${plainLine(found.detail)}\n`);
    }
  return ok ? EXIT.done : EXIT.failed;
}
