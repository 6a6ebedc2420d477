import { access, constants, mkdir, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createClient } from '../../api/client.ts';
import { messageOf } from '../../util/index.ts';
import { EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { colour, json, plainLine } from '../print.ts';
import { configOf, type StartOptions } from '../start.ts';
import { dataDirOf, readEndpoint, targetOf } from '../target.ts';
import { checkSandbox, chosenExecutor, type Finding, finding } from './doctor-sandbox.ts';

/** Results, images and the database need room. */
const MIN_FREE_BYTES = 2 ** 30;

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return finding(
    'node',
    ok,
    ok ? process.version : `${process.version} is too old: install Node 20.19 or later`,
  );
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
export async function doctor(
  io: Io,
  _: readonly string[],
  options: StartOptions,
  createExecutor = chosenExecutor,
): Promise<number> {
  const config = await configOf(io, options);
  const findings = [
    checkNode(),
    checkClock(),
    ...(await checkData(dataDirOf(io, options))),
    ...(config.worker.enabled ? await checkSandbox(io, config, createExecutor) : []),
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
