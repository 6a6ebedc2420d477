import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../node/index.ts';
import type { Executor, ProbeFinding } from '../../sandbox/index.ts';
import { messageOf, noMetrics, silentLogger, systemClock } from '../../util/index.ts';
import type { Io } from '../io.ts';
import { checkDisks } from './doctor-disks.ts';
import { checkGpus } from './doctor-gpus.ts';

/** What was found, and how to mend it where it is not well. */
export type Finding = ProbeFinding;

/** How long the engine may take to say who it is. */
const STATUS_MS = 5_000;
/** Some ten small sandboxes: three seconds, on a machine that has time. */
const PROBES_MS = 60_000;

export const finding = (check: string, ok: boolean, detail: string): Finding => ({ check, ok, detail });

/** The executor that a node would choose now, with a state of its own: a running daemon's is not touched. */
export async function chosenExecutor(io: Io, config: Config, stateDir: string): Promise<Executor> {
  const { chooseExecutor, imagesDirFrom, socketPathFrom } = await import('../../sandbox/index.ts');
  const { gpusOf } = await import('../../node/index.ts');
  const parts = { logger: silentLogger, clock: systemClock, metrics: noMetrics };
  return chooseExecutor(parts, {
    wanted: config.sandbox.runtime === 'native' ? 'native' : 'docker',
    owner: `doctor-${process.pid}`,
    docker: { socketPath: socketPathFrom(io.env), maxBoxes: 0, gpus: await gpusOf(config) },
    native: { stateDir, imagesDir: imagesDirFrom(io.env), maxBoxes: 0 },
  });
}

/** Looks whether the sandbox is there, and runs the cheap attacks in it. */
export async function checkSandbox(
  io: Io,
  config: Config,
  createExecutor: typeof chosenExecutor,
): Promise<Finding[]> {
  const stateDir = await mkdtemp(join(tmpdir(), 'duxnode-doctor-'));
  // A process that waits for nothing but the clock ends: its timers do not keep one.
  const alive = setInterval(() => {}, STATUS_MS);
  try {
    const executor = await createExecutor(io, config, stateDir);
    try {
      await executor.start();
      return await lookAt(executor, config, io.signal);
    } finally {
      await executor.stop();
    }
  } finally {
    clearInterval(alive);
    await rm(stateDir, { recursive: true, force: true });
  }
}

async function lookAt(executor: Executor, config: Config, signal: AbortSignal): Promise<Finding[]> {
  const { runtime: wanted, base_image: image } = config.sandbox;
  const { runtime } = executor;
  const { available, version, reason } = await executor.probe({ signal: AbortSignal.timeout(STATUS_MS) });
  if (!available)
    return [finding(runtime, false, reason ?? 'Docker does not answer: run scripts/docker-engine.sh')];
  const instead = runtime === 'native' && wanted !== 'native' ? ', as no Docker engine answers' : '';
  return [
    finding(runtime, true, `${version ?? 'it answers'}${instead}`),
    ...(runtime === 'docker' ? [gvisor(executor)] : []),
    ...(await extras(executor, config)),
    ...(await tryIn(executor, image, AbortSignal.any([signal, AbortSignal.timeout(PROBES_MS)]))),
  ];
}

/** What some tasks ask for beside the usual. */
async function extras(executor: Executor, { worker }: Config): Promise<Finding[]> {
  const { detectGpus } = await import('../../sandbox/index.ts');
  const facts = { configured: worker.gpus, found: await detectGpus() };
  const gpus = checkGpus({ ...facts, usable: executor.limits().gpus });
  const disks = await checkDisks();
  return [finding('gpus', gpus.ok, gpus.detail), finding('disks', disks.ok, disks.detail)];
}

function gvisor(executor: Executor): Finding {
  const here = executor.limits().runtimes.includes('runsc');
  const note = here
    ? 'is there: tasks may ask for it'
    : 'is not there: tasks that ask for it run elsewhere; scripts/runsc.sh installs it';
  return finding('gvisor', true, note);
}

async function tryIn(executor: Executor, image: string, signal: AbortSignal): Promise<Finding[]> {
  if (!executor.hasImage(image)) return missing(executor, image);
  const { probeSandboxes } = await import('../../sandbox/index.ts');
  const here = finding('base image', true, `${image} is here`);
  try {
    const found = await executor.ensureImage(image, { signal });
    return [here, ...(await probeSandboxes(executor, found, { signal }))];
  } catch (error) {
    const seconds = PROBES_MS / 1000;
    return [here, finding('sandbox', false, `not all was tried within ${seconds} s (${messageOf(error)})`)];
  }
}

function missing(executor: Executor, image: string): Finding[] {
  const { pullsImages } = executor.limits();
  const get = pullsImages
    ? `docker pull ${image}, or scripts/images/build-base.sh`
    : 'scripts/images/build-base.sh --file-only';
  const then = pullsImages ? 'is not here yet: the first task pulls it' : 'is not here';
  return [
    finding('base image', pullsImages, `${image} ${then}`),
    finding('sandbox', true, `nothing was tried in a sandbox: get ${image} (${get}) and run this again`),
  ];
}
