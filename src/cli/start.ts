import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config, StartReport } from '../node/index.ts';
import { raceSignal } from '../util/index.ts';
import { EXIT, usage } from './exit.ts';
import type { Io } from './io.ts';
import { type PassphraseOptions, passphraseOf } from './passphrase.ts';
import { facts, json } from './print.ts';
import { dataDirOf, type TargetOptions } from './target.ts';

/** The flags of `duxnode start`. */
export interface StartOptions extends TargetOptions, PassphraseOptions {
  readonly config?: string;
  readonly apiPort?: string;
  readonly p2pPort?: string;
  readonly join?: readonly string[];
  readonly open?: boolean;
  readonly name?: string;
  readonly network?: string;
  readonly currency?: string;
  readonly supply?: string;
  readonly fee?: string;
  readonly notary?: readonly string[];
  readonly detach?: boolean;
  /** Commander's form of --no-worker. */
  readonly worker?: boolean;
  readonly json?: boolean;
}

function portOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw usage(`${flag} must be a port, not ${text}`);
  return Number(text);
}

/** The merged configuration as this command line means it. */
export async function configOf(io: Io, options: StartOptions): Promise<Config> {
  const { loadConfig } = await import('../node/index.ts');
  const usual = join(dataDirOf(io, options), 'config.yaml');
  const p2pPort = portOf('--p2p-port', options.p2pPort);
  return loadConfig({
    file: options.config ?? (existsSync(usual) ? usual : undefined),
    env: io.env,
    flags: {
      'api.port': portOf('--api-port', options.apiPort),
      'network.listen': p2pPort === undefined ? undefined : [`/ip4/0.0.0.0/tcp/${p2pPort}`],
      'network.membership': options.open ? 'open' : undefined,
      'network.name': options.network ?? options.name,
      'network.currency': options.currency,
      'ledger.supply': options.supply,
      'ledger.fee_percent': options.fee === undefined ? undefined : Number(options.fee),
      'ledger.notaries': options.notary,
      'worker.enabled': options.worker === false ? false : undefined,
    },
  });
}

/** An invite is a secret: it is made when it is asked for, and printed nowhere else. */
function nextMachine({ isAdmin, membership, addresses }: StartReport): string {
  if (membership === 'invited')
    return isAdmin ? 'duxnode invite makes the line for it' : 'ask the admin for an invite';
  const joined = addresses.find(address => !address.includes('/127.0.0.1/')) ?? addresses[0];
  return `duxnode start --join ${joined ?? 'ADDRESS'}`;
}

function lines(report: StartReport): string {
  const { sandbox, lends } = report;
  const ready = sandbox.version === null ? (sandbox.reason ?? 'not available') : sandbox.version;
  return facts([
    ['peer', report.peer],
    ['network', `${report.network} (${report.networkId})${report.isAdmin ? ', started here' : ''}`],
    ['addresses', report.addresses.join(' ')],
    ['control', report.apiUrl],
    ['docs', `${report.apiUrl}/docs`],
    ['sandbox', `${sandbox.runtime}: ${ready}`],
    ['lends', lends === null ? 'nothing' : `${lends.cpus} cores, ${lends.memoryMb} MB, ${lends.slots} slots`],
    ['next machine', nextMachine(report)],
  ]);
}

/** The data directory's own list of members, or the one that ships with the package. */
function bootstrapFile(dataDir: string): string | undefined {
  const shipped = fileURLToPath(new URL('../../bootstrap-peers.json', import.meta.url));
  return [join(dataDir, 'bootstrap-peers.json'), shipped].find(existsSync);
}

/** Runs the daemon in this process until a signal, or until somebody asks it to stop. */
export async function runDaemon(io: Io, options: StartOptions): Promise<number> {
  const config = await configOf(io, options);
  const dataDir = dataDirOf(io, options);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const { createDaemon } = await import('../node/index.ts');
  const daemon = createDaemon({
    config,
    dataDir,
    passphrase: await passphraseOf(io, options),
    join: options.join ?? [],
    bootstrapFile: bootstrapFile(dataDir),
  });
  try {
    const report = await daemon.start({ signal: io.signal });
    await io.out(options.json ? json(report) : lines(report));
    await untilStopped(daemon.stopRequested, io.signal);
  } finally {
    await daemon.stop();
  }
  return EXIT.done;
}

async function untilStopped(asked: Promise<void>, signal: AbortSignal): Promise<void> {
  // A pending promise keeps no process alive; a daemon's sockets do, and this timer until they are all open.
  const alive = setInterval(() => {}, 2 ** 30);
  try {
    await raceSignal(asked, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearInterval(alive);
  }
}
