import { randomUUID } from 'node:crypto';
import { type Clock, type Logger, type Metrics, messageOf, noMetrics } from '../../util/index.ts';
import type { Runtime } from '../../wire/index.ts';
import { createInputBinder } from '../bound-inputs.ts';
import type { Disks } from '../disks.ts';
import type { Egress } from '../egress/egress.ts';
import { asSandboxError, unavailable } from '../errors.ts';
import { decodeHandle } from '../handle.ts';
import type { Executor, ImageJournal } from '../interface.ts';
import { LauncherReader } from '../launcher/protocol.ts';
import type { BoxLimits } from '../opener.ts';
import { type DockerOptions, dockerDefaults } from '../options.ts';
import { Preparer } from '../preparer.ts';
import { checkTask, largestDisk } from '../task.ts';
import { createBoxes, type Weakening } from './boxes.ts';
import { createEngine } from './engine.ts';
import { createDockerExtras } from './extras.ts';
import { gpusUnusable } from './gpus.ts';
import { createImages } from './images.ts';
import { createLeftovers } from './leftovers.ts';

export interface DockerExecutorComponents {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics?: Metrics;
  /**
   * For proofs alone: takes one protection out of each container's configuration, to see that the attack which it stops
   * then succeeds. No option, file, variable or request leads here.
   */
  readonly weaken?: Weakening;
  /** Started and stopped with the executor. Undefined: no task has a network. */
  readonly egress?: Egress | undefined;
  /** The same. Undefined: the disk of a task is never more than its memory should hold. */
  readonly disks?: Disks | undefined;
  /** Without it, what was pulled is known until the process ends. */
  readonly journal?: ImageJournal;
}

const noJournal: ImageJournal = { load: async () => [], save: async () => {}, remove: async () => {} };

export interface DockerExecutorInit extends Partial<DockerOptions> {
  /** Names this daemon on its engine (its peer id): only containers of this owner are ever touched. */
  readonly owner: string;
  /** A folder of this daemon's own, on the disk of its blobs, for inputs that are mounted. Without one, all are copied. */
  readonly inputsDir?: string | undefined;
  /** What most tasks will ask for: sandboxes are kept ready for it as soon as the image is there. */
  readonly expected?: { readonly image: string; readonly limits: BoxLimits } | undefined;
}

/** What gVisor itself takes of a sandbox's memory. */
const GVISOR_BYTES = 16 * 1024 * 1024;

/**
 * The executor on a Docker engine: one hardened container for each task, never used again unless the task allows it for its
 * owner's next ones. Where the image has Python 3, PID 1 is our launcher (inputs, outputs, source, usage), and some containers
 * wait for tasks; else only a command line without inputs can run, and its outputs and CPU time are not collected. stdout and
 * stderr are each in order, not with each other.
 */
export function createDockerExecutor(
  {
    logger,
    clock,
    metrics = noMetrics,
    journal = noJournal,
    egress,
    disks,
    weaken,
  }: DockerExecutorComponents,
  { owner, expected, inputsDir, ...given }: DockerExecutorInit,
): Executor {
  const options: DockerOptions = {
    ...dockerDefaults,
    ...(inputsDir === undefined ? { copiedInputBytes: Number.POSITIVE_INFINITY } : {}),
    ...given,
  };
  const boot = randomUUID();
  const engine = createEngine({ logger, clock, onUp }, options);
  const images = createImages({ engine, clock, logger, journal }, options);
  const leftovers = createLeftovers({ engine, logger, clock }, { owner, boot });
  const takeExtras = createDockerExtras({ egress, disks }, options);
  const { make, takeUp } = createBoxes(
    { engine, images, leftovers, clock, takeExtras, weaken },
    { owner, boot, options },
  );
  const machineMilliCpus = () => engine.facts().milliCpus;
  const binder = createInputBinder({ logger }, inputsDir);
  const parts = { clock, logger, metrics, make, images, binder, machineMilliCpus };
  const preparer = new Preparer(parts, options);
  let started = false;
  const own: Runtime = options.runtime === 'runsc' ? 'runsc' : 'docker';

  function onUp(wasDown: boolean): void {
    void images.refresh().then(expectTasks);
    const reason = wasDown && options.gpus && gpusUnusable(options.gpus, engine.facts().runtimes);
    if (reason) logger.warn({ reason }, 'the GPUs cannot be lent');
    // The first time is recover()'s, which tells the market what it removed.
    if (wasDown && started) leftovers.sweepLater();
  }

  async function expectTasks(): Promise<void> {
    if (!expected || !images.has(expected.image)) return;
    try {
      preparer.expect(await images.ensure(expected.image, {}), own, expected.limits);
    } catch (error) {
      logger.debug({ reason: messageOf(error) }, 'no sandbox can be kept ready');
    }
  }

  /** gVisor is there for whoever asks, where the engine has it; nobody gets less than what the operator set. */
  const runtimes = (): Runtime[] =>
    own === 'docker' && engine.facts().runtimes.includes('runsc') ? ['docker', 'runsc'] : [own];

  const minMemoryOf = (runtime: Runtime) => options.minMemoryBytes + (runtime === 'runsc' ? GVISOR_BYTES : 0);
  /** gVisor mounts no socket of the host, so that no proxy could be reached from inside. */
  const allowedHosts = () => (own === 'docker' ? (egress?.allowedHosts ?? []) : []);

  const noDisks = () => (disks ? disks.reason : 'the node makes none');

  /** What the operator lends, where the engine can hand it over. */
  const gpus = () =>
    own === 'docker' && options.gpus && !gpusUnusable(options.gpus, engine.facts().runtimes)
      ? options.gpus
      : null;

  return {
    runtime: own,
    async start() {
      if (started) return;
      preparer.start();
      await egress?.start();
      await disks?.start();
      await engine.start();
      await images.start();
      started = true;
    },
    async stop() {
      started = false;
      // What the engine is making right now comes after any listing: wait for it, then remove.
      await preparer.stop();
      await images.stop();
      await leftovers.removeAll();
      await egress?.stop();
      await disks?.stop();
      await binder.removeAll();
      engine.stop();
    },
    status: engine.status,
    limits: () => ({
      maxDiskBytes: largestDisk({ ...options, noDisks: noDisks() }),
      minMemoryBytes: minMemoryOf(own),
      runtimes: runtimes(),
      gpus: gpus(),
      allowedHosts: allowedHosts(),
      pullsImages: true,
    }),
    probe: engine.probe,
    hasImage: images.has,
    async ensureImage(ref, { signal, ...rest }) {
      try {
        return await images.ensure(ref, { signal, ...rest });
      } catch (error) {
        signal?.throwIfAborted();
        throw asSandboxError(error, `the image ${ref} could not be looked up`);
      }
    },
    keepReady: on => preparer.keep(on),
    async prune(what) {
      try {
        return await images.prune(what);
      } catch (error) {
        what.signal?.throwIfAborted();
        throw asSandboxError(error, 'images could not be looked through');
      }
    },
    async prepare(task, image, { signal }) {
      signal?.throwIfAborted();
      const { available, reason } = engine.status();
      if (!available) throw unavailable(reason ?? 'the engine is away');
      const checked = checkTask(task, {
        ...options,
        ...engine.facts(),
        minMemoryBytes: minMemoryOf(task.runtime ?? own),
        runtimes: runtimes(),
        allowedHosts: allowedHosts(),
        gpus: gpus(),
        noDisks: noDisks(),
      });
      return preparer.prepare(checked, image, checked.runtime ?? own, { signal });
    },
    async resume(text, since) {
      const handle = decodeHandle(text);
      const { runtime, nonce, limits } = handle;
      try {
        const { box, release } = await takeUp(handle);
        const forget = handle.inputs === null ? undefined : binder.takeUp(handle.inputs);
        const mark = Buffer.from(nonce, 'hex');
        const reader = new LauncherReader(mark, limits, { hex: true, fromStart: true });
        return preparer.prepared(handle, runtime, {
          box,
          staged: { reader, go() {} },
          async release() {
            await release();
            await forget?.();
          },
          recycle: undefined,
          handle: text,
          since,
        });
      } catch (error) {
        throw asSandboxError(error, 'the running task could not be taken up again');
      }
    },
    async recover() {
      await binder.sweep();
      return leftovers.sweep();
    },
  };
}
