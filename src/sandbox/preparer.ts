import { setMaxListeners } from 'node:events';
import {
  type Abortable,
  type Clock,
  type Logger,
  type Metrics,
  messageOf,
  raceSignal,
  Semaphore,
} from '../util/index.ts';
import type { Runtime } from '../wire/index.ts';
import type { InputBinder } from './bound-inputs.ts';
import { asSandboxError, unavailable } from './errors.ts';
import type { PreparedSandbox, SandboxImage } from './interface.ts';
import { type BoxLimits, type BoxMaker, type LauncherFacts, Opener } from './opener.ts';
import type { PoolOptions } from './pool.ts';
import { type Opened, preparedSandbox } from './prepared.ts';
import type { RanTask, RunOptions } from './run.ts';
import type { CheckedTask } from './task.ts';
import { inputBytesOf } from './usage.ts';

export interface PreparerComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly make: BoxMaker;
  readonly images: LauncherFacts;
  readonly binder: InputBinder;
  /** Of the machine; 0 while that is not known. */
  readonly machineMilliCpus: () => number;
}

export interface PreparerOptions extends PoolOptions, RunOptions {
  /** Boxes being made at once. */
  readonly maxCreations: number;
}

/** One core: what making a box takes while it is made. */
const ONE_CORE = 1000;

/** From a checked task to its prepared sandbox, for every runtime: keeps count of what is under way and ends it at a stop. */
export class Preparer {
  readonly #components: PreparerComponents;
  readonly #options: PreparerOptions;
  readonly #creations: Semaphore;
  readonly #openings = new Set<Promise<unknown>>();
  #halting = createHalt();
  #opener: Opener;
  #runningMilliCpus = 0;

  constructor(components: PreparerComponents, options: PreparerOptions) {
    this.#components = components;
    this.#options = options;
    this.#creations = new Semaphore(options.maxCreations);
    this.#opener = this.#createOpener();
  }

  start(): void {
    this.#halting = createHalt();
    this.#opener = this.#createOpener();
  }

  /** Ends what runs as unavailable; resolves when nothing is being made any more. */
  async stop(): Promise<void> {
    this.#halting.abort(unavailable('the node is stopping'));
    await Promise.allSettled([this.#opener.close(), ...this.#openings]);
  }

  expect(image: SandboxImage, runtime: Runtime, limits: BoxLimits): void {
    this.#opener.expect(image, runtime, limits);
  }

  keep(on: boolean): Promise<void> {
    return this.#opener.keep(on);
  }

  async prepare(
    task: CheckedTask,
    image: SandboxImage,
    runtime: Runtime,
    { signal }: Abortable,
  ): Promise<PreparedSandbox> {
    const { clock, metrics, logger } = this.#components;
    const halt = this.#halting.signal;
    const began = clock.monotonic();
    const opening = this.#opener.open(task, image, runtime, { signal });
    this.#openings.add(opening);
    const settled = () => this.#openings.delete(opening);
    opening.then(settled, settled);
    try {
      const opened = await raceSignal(raceSignal(opening, signal), halt);
      metrics.observe('sandbox_prepare_seconds', (clock.monotonic() - began) / 1000);
      return this.prepared({ ...task, inputBytes: inputBytesOf(task) }, runtime, opened);
    } catch (error) {
      // A box that comes after all is not for this task any more.
      opening.then(
        late => late.release(),
        cause => logger.debug({ reason: messageOf(cause) }, 'a sandbox was not prepared'),
      );
      metrics.count('sandbox_prepare_failures_total');
      signal?.throwIfAborted();
      throw asSandboxError(error, 'the sandbox could not be prepared');
    }
  }

  /** A box of whatever origin, as the port's own. */
  prepared(task: RanTask, runtime: Runtime, opened: Opened): PreparedSandbox {
    const { clock, metrics } = this.#components;
    const halt = this.#halting.signal;
    const holdCpus = () => this.#holdCpus(task.limits.milliCpus);
    const parts = { clock, metrics, options: this.#options, runtime, halt, holdCpus };
    return preparedSandbox(parts, task, opened);
  }

  #createOpener(): Opener {
    const isBusy = () => this.#runningMilliCpus + ONE_CORE > this.#components.machineMilliCpus();
    return new Opener({ ...this.#components, creations: this.#creations, isBusy }, this.#options);
  }

  /** Counts a task's cores as used until what it returns is called. */
  #holdCpus(milliCpus: number): () => void {
    this.#runningMilliCpus += milliCpus;
    return () => {
      this.#runningMilliCpus -= milliCpus;
    };
  }
}

/** Every task of an executor listens to one signal; their number is bounded by what the market lets run. */
function createHalt(): AbortController {
  const halt = new AbortController();
  setMaxListeners(0, halt.signal);
  return halt;
}
