import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import {
  type Clock,
  type Logger,
  type Metrics,
  messageOf,
  noMetrics,
  raceSignal,
  Semaphore,
} from '../../util/index.ts';
import type { Runtime } from '../../wire/index.ts';
import { asSandboxError, unavailable } from '../errors.ts';
import type { Executor } from '../interface.ts';
import { type DockerOptions, dockerDefaults } from '../options.ts';
import { preparedSandbox } from '../prepared.ts';
import { checkTask } from '../task.ts';
import { createEngine } from './engine.ts';
import { createImages } from './images.ts';
import { createLeftovers } from './leftovers.ts';
import { createOpener } from './opener.ts';

export interface DockerExecutorComponents {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics?: Metrics;
}

export interface DockerExecutorInit extends Partial<DockerOptions> {
  /** Names this daemon on its engine (its peer id): only containers of this owner are ever touched. */
  readonly owner: string;
}

/**
 * The executor on a Docker engine: one hardened container for each task, never used again. Where the image has Python 3,
 * PID 1 is our launcher (inputs, outputs, source, usage); else only a command line without inputs can run, and its outputs
 * and CPU time are not collected. stdout and stderr are each in order, not with each other.
 */
export function createDockerExecutor(
  { logger, clock, metrics = noMetrics }: DockerExecutorComponents,
  { owner, ...given }: DockerExecutorInit,
): Executor {
  const options: DockerOptions = { ...dockerDefaults, ...given };
  const boot = randomUUID();
  const creations = new Semaphore(options.maxCreations);
  const openings = new Set<Promise<unknown>>();
  let halting = createHalt();
  let started = false;

  const engine = createEngine({ logger, clock, onUp }, options);
  const images = createImages({ engine, clock, logger }, options);
  const leftovers = createLeftovers({ engine, logger }, { owner, boot });
  const open = createOpener({ engine, images, leftovers, clock }, { owner, boot, options });

  function onUp(wasDown: boolean): void {
    void images.refresh();
    // The first time is recover()'s, which tells the market what it removed.
    if (wasDown && started) leftovers.sweepLater();
  }

  const own: Runtime = options.runtime === 'runsc' ? 'runsc' : 'docker';
  /** gVisor is there for whoever asks, where the engine has it; nobody gets less than what the operator set. */
  const runtimes = (): Runtime[] =>
    own === 'docker' && engine.facts().runtimes.includes('runsc') ? ['docker', 'runsc'] : [own];

  return {
    runtime: own,
    async start() {
      halting = createHalt();
      await engine.start();
      started = true;
    },
    async stop() {
      started = false;
      halting.abort(unavailable('the node is stopping'));
      // What the engine is making right now comes after any listing: wait for it, then remove.
      await Promise.allSettled(openings);
      await leftovers.removeAll();
      engine.stop();
    },
    status: engine.status,
    limits: () => ({
      maxDiskBytes: options.maxDiskBytes,
      minMemoryBytes: options.minMemoryBytes,
      runtimes: runtimes(),
      gpus: null,
      allowedHosts: [],
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
    async prepare(task, image, { signal }) {
      signal?.throwIfAborted();
      const { available, reason } = engine.status();
      if (!available) throw unavailable(reason ?? 'the engine is away');
      const checked = checkTask(task, { ...options, ...engine.facts(), runtimes: runtimes() });
      const halt = halting.signal;
      const began = clock.monotonic();
      const opening = creations.run(async () => {
        signal?.throwIfAborted();
        halt.throwIfAborted();
        return open(checked, image);
      });
      openings.add(opening);
      const settled = () => openings.delete(opening);
      opening.then(settled, settled);
      try {
        const opened = await raceSignal(raceSignal(opening, signal), halt);
        metrics.observe('sandbox_prepare_seconds', (clock.monotonic() - began) / 1000);
        const runtime = checked.runtime ?? own;
        return preparedSandbox({ clock, metrics, options, runtime, halt }, checked, opened);
      } catch (error) {
        // A container that comes after all is not for this task any more.
        opening.then(
          late => late.release(),
          cause => logger.debug({ reason: messageOf(cause) }, 'a sandbox was not prepared'),
        );
        metrics.count('sandbox_prepare_failures_total');
        signal?.throwIfAborted();
        throw asSandboxError(error, 'the sandbox could not be prepared');
      }
    },
    recover: leftovers.sweep,
  };
}

/** Every task of this executor listens to one signal; their number is bounded by what the market lets run. */
function createHalt(): AbortController {
  const halt = new AbortController();
  setMaxListeners(0, halt.signal);
  return halt;
}
