import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import {
  type Clock,
  CodedError,
  type Logger,
  type Metrics,
  messageOf,
  noMetrics,
  withDeadline,
} from '../../util/index.ts';
import { createInputBinder } from '../bound-inputs.ts';
import { BadProgram } from '../box.ts';
import type { Disks } from '../disks.ts';
import type { Egress } from '../egress/egress.ts';
import { asSandboxError, endsWithProcess, unavailable } from '../errors.ts';
import { createExtras } from '../extras.ts';
import type { Executor, ExecutorLimits, ExecutorStatus } from '../interface.ts';
import type { BoxLimits } from '../opener.ts';
import { type NativeOptions, nativeDefaults } from '../options.ts';
import { Preparer } from '../preparer.ts';
import { checkTask, largestDisk } from '../task.ts';
import { createUids } from '../uids.ts';
import { type BoxComponents, createNativeBox } from './box.ts';
import { createNativeBoxes } from './boxes.ts';
import { openCgroups } from './cgroups.ts';
import type { NativeWeakening } from './command.ts';
import { type Host, readHost } from './host.ts';
import { createNativeImages } from './images.ts';
import { createNativeLeftovers } from './leftovers.ts';
import { createPipes } from './pipes.ts';

export interface NativeExecutorComponents {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics?: Metrics;
  /**
   * For proofs alone: takes one protection out of each sandbox, to see that the attack which it stops then succeeds. No
   * option, file, variable or request leads here.
   */
  readonly weaken?: NativeWeakening;
  /** Both started and stopped with the executor. */
  readonly egress?: Egress | undefined;
  readonly disks?: Disks | undefined;
}

export interface NativeExecutorInit extends Partial<NativeOptions> {
  /** Names this daemon on its machine (its peer id): only sandboxes of this owner are ever touched. */
  readonly owner: string;
  readonly stateDir: string;
  readonly imagesDir: string;
  /** What most tasks will ask for: sandboxes are kept ready for it as soon as the image is unpacked. */
  readonly expected?: { readonly image: string; readonly limits: BoxLimits } | undefined;
}

/**
 * The executor without an engine: each task in a bubblewrap of its own, on images that are here as files. What the launcher
 * does, and what an image without Python can do, is as in the Docker executor. stdout and stderr are each in order, not with
 * each other.
 */
export function createNativeExecutor(
  { logger, clock, metrics = noMetrics, egress, disks, weaken }: NativeExecutorComponents,
  { owner, expected, ...given }: NativeExecutorInit,
): Executor {
  // all are copied: it mounts no file of the host
  const copied = { copiedInputBytes: Number.POSITIVE_INFINITY };
  const options: NativeOptions = { ...nativeDefaults, ...copied, ...given };
  const ownerName = owner.replace(/[^\w-]/g, '_');
  const boot = randomUUID();
  const pipes = createPipes({ folder: join(options.stateDir, 'pipes') });
  const images = createNativeImages({ logger, clock }, options);
  const leftovers = createNativeLeftovers({ logger }, options);
  const takeExtras = createExtras({ egress, disks });
  const make = createNativeBoxes({ images, leftovers, parts, takeExtras }, { ...options, boot });
  const facts = { milliCpus: availableParallelism() * 1000, memoryBytes: totalmem() };
  const machineMilliCpus = () => facts.milliCpus;
  const binder = createInputBinder({ logger }, undefined);
  const preparer = new Preparer({ clock, logger, metrics, make, images, binder, machineMilliCpus }, options);
  const noDisks = () => (disks ? disks.reason : 'the node makes none');
  const limits = (): ExecutorLimits => ({
    maxDiskBytes: largestDisk({ ...options, noDisks: noDisks() }),
    minMemoryBytes: options.minMemoryBytes,
    runtimes: ['native'],
    gpus: null,
    allowedHosts: egress?.allowedHosts ?? [],
    pullsImages: false,
  });
  let status: ExecutorStatus = { available: false, version: null, reason: 'it was not started yet' };
  let found: BoxComponents | undefined;
  let cancelProbe = () => {};
  let stopped = true;

  function parts(): BoxComponents {
    if (!found || !status.available) throw unavailable(status.reason ?? 'it was stopped');
    return found;
  }

  async function probe(): Promise<ExecutorStatus> {
    if (stopped) return status;
    cancelProbe();
    try {
      const host = await readHost(options);
      found ??= await open(host);
      await withDeadline(options.trialMs, 'a trial sandbox', () => trial(found as BoxComponents), { clock });
      status = { available: true, version: host.version, reason: null };
    } catch (error) {
      const reason = reasonOf(error);
      if (status.reason !== reason) logger.warn({ reason }, 'no native sandbox can be made');
      status = { available: false, version: null, reason };
      cancelProbe = clock.after(options.probeDownMs, () => void probe());
    }
    return status;
  }

  async function expectTasks(): Promise<void> {
    if (!expected || !status.available || !images.has(expected.image)) return;
    try {
      preparer.expect(await images.ensure(expected.image, {}), 'native', expected.limits);
    } catch (error) {
      logger.debug({ reason: messageOf(error) }, 'no sandbox can be kept ready');
    }
  }

  async function open(host: Host): Promise<BoxComponents> {
    await pipes.start();
    return { host, pipes, options, weaken, cgroups: await openCgroups({ clock }, ownerName) };
  }

  /** Makes a sandbox of nothing: all the machine must allow is done but the last step. */
  async function trial(components: BoxComponents): Promise<void> {
    const root = join(options.stateDir, 'trial');
    for (const name of ['dev', 'proc', 'sys', 'task', 'tmp'])
      await mkdir(join(root, name), { recursive: true, mode: 0o755 });
    const uids = createUids(options);
    const plan = {
      name: `${boot.slice(0, 8)}-trial-${randomUUID().slice(0, 8)}`,
      image: { root, env: [], volumes: [], sizeBytes: 0 },
      limits: { diskBytes: options.tmpBytes, memoryBytes: options.minMemoryBytes, milliCpus: 1000 },
      uid: uids.take(),
    };
    leftovers.hold(plan.name);
    const box = await createNativeBox(components, plan, 'launcher');
    try {
      await box.start();
      while (!(await box.next()).done);
      await box.ended();
    } catch (error) {
      // It came as far as to look for the program, which is not there.
      if (!(error instanceof BadProgram)) throw error;
    } finally {
      await leftovers.release(plan.name, box);
    }
  }

  return {
    runtime: 'native',
    async start() {
      if (!stopped) return;
      stopped = false;
      preparer.start();
      await mkdir(options.stateDir, { recursive: true, mode: 0o700 });
      await egress?.start();
      await disks?.start();
      await images.start();
      await probe();
      void expectTasks();
    },
    async stop() {
      stopped = true;
      cancelProbe();
      await Promise.all([images.stop(), preparer.stop()]);
      if (found) {
        await leftovers.removeAll(found.cgroups);
        await found.cgroups.leave();
      }
      await pipes.stop();
      await egress?.stop();
      await disks?.stop();
      await rm(join(options.stateDir, 'boxes'), { recursive: true, force: true });
      found = undefined;
      status = { available: false, version: null, reason: 'it was stopped' };
    },
    status: () => status,
    limits,
    probe,
    hasImage: images.has,
    async ensureImage(ref, { signal }) {
      signal?.throwIfAborted();
      parts();
      try {
        return await images.ensure(ref, { signal });
      } catch (error) {
        signal?.throwIfAborted();
        throw asSandboxError(error, `the image ${ref} could not be unpacked`);
      }
    },
    keepReady: on => preparer.keep(on),
    async prepare(task, image, { signal }) {
      signal?.throwIfAborted();
      parts();
      const { runtimes, gpus, allowedHosts } = limits();
      const bounds = { ...options, ...facts, runtimes, gpus, allowedHosts, noDisks: noDisks() };
      const checked = checkTask(task, bounds);
      return preparer.prepare(checked, image, 'native', { signal });
    },
    async resume() {
      throw endsWithProcess();
    },
    /** It pulls none. */
    prune: async () => [],
    async recover() {
      return leftovers.sweep(parts().cgroups);
    },
  };
}

function reasonOf(error: unknown): string {
  return error instanceof CodedError && typeof error.type.reason === 'string'
    ? error.type.reason
    : messageOf(error);
}
