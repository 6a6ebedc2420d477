import { resolve } from 'node:path';
import { createClient } from '../../api/client.ts';
import { hasCode } from '../../util/index.ts';
import { EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { facts, json } from '../print.ts';
import { isAlive, spawnDaemon, untilGone, untilReady } from '../processes.ts';
import { configOf, runDaemon, type StartOptions } from '../start.ts';
import { dataDirOf, type Target, type TargetOptions, targetOf } from '../target.ts';

/** The flags as the spawned daemon gets them. */
function argsOf(options: StartOptions): string[] {
  const { config, apiPort, p2pPort, join = [], open, name, worker, passphraseFile } = options;
  return [
    ...(config === undefined ? [] : ['--config', config]),
    ...(apiPort === undefined ? [] : ['--api-port', apiPort]),
    ...(p2pPort === undefined ? [] : ['--p2p-port', p2pPort]),
    ...join.flatMap(address => ['--join', address]),
    ...(open ? ['--open'] : []),
    ...(name === undefined ? [] : ['--name', name]),
    ...(worker === false ? ['--no-worker'] : []),
    ...(passphraseFile === undefined ? [] : ['--passphrase-file', resolve(passphraseFile)]),
  ];
}

export async function start(io: Io, _: readonly string[], options: StartOptions): Promise<number> {
  if (!options.detach) return runDaemon(io, options);
  // A wrong configuration is said here and now, not in a log.
  await configOf(io, options);
  const dataDir = dataDirOf(io, options);
  const child = await spawnDaemon(dataDir, argsOf(options), { ...io.env }, { detached: true });
  const started = await untilReady(child, dataDir, io);
  child.unref();
  const { pid, url, logFile } = started;
  await io.out(
    options.json
      ? json(started)
      : facts([
          ['control', url],
          ['pid', pid],
          ['data', dataDir],
          ['log', logFile],
        ]),
  );
  return EXIT.done;
}

async function answers({ url, token }: Target): Promise<boolean> {
  try {
    await createClient({ url, token }).getLive();
    return true;
  } catch (error) {
    if (hasCode(error, 'DAEMON_UNREACHABLE')) return false;
    throw error;
  }
}

/** Asks a daemon to end, and waits until it has. */
export async function stopTarget(io: Io, target: Target): Promise<boolean> {
  await createClient(target).stopNode({}, { signal: io.signal });
  const { pid } = target;
  return untilGone(async () => (pid === undefined ? !(await answers(target)) : !isAlive(pid)), io.signal);
}

export async function stop(io: Io, _: readonly string[], options: TargetOptions): Promise<number> {
  const gone = await stopTarget(io, await targetOf(io, options));
  await io.err(gone ? 'stopped\n' : 'the daemon was asked to stop, but still runs\n');
  return gone ? EXIT.done : EXIT.failed;
}
