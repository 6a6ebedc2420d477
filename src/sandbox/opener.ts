import { basename } from 'node:path';
import type { Abortable, Clock, Logger, Metrics, Semaphore } from '../util/index.ts';
import type { Runtime } from '../wire/index.ts';
import type { BoundInputs, InputBinder } from './bound-inputs.ts';
import type { Awake } from './box.ts';
import { refused } from './errors.ts';
import { encodeHandle } from './handle.ts';
import type { SandboxImage, SandboxLimits } from './interface.ts';
import { NoLauncher, renew, type Staged, stage, wake } from './launcher/staging.ts';
import { Leases } from './leases.ts';
import { type BoxClass, Pool, type PoolOptions } from './pool.ts';
import type { Opened } from './prepared.ts';
import { type CheckedTask, type ExtraNeeds, extrasOf, hasNetwork } from './task.ts';
import { inputBytesOf } from './usage.ts';

/** What of a task's limits is a property of its box. */
export type BoxLimits = Pick<SandboxLimits, 'milliCpus' | 'memoryBytes' | 'diskBytes'>;

/** A box to be made. */
export interface BoxPlan {
  readonly image: SandboxImage;
  readonly runtime: Runtime;
  readonly limits: BoxLimits;
  /** What it has beside the usual, for one task alone. */
  readonly extras?: ExtraNeeds | undefined;
  /** Of this machine, to be mounted read-only at INPUTS_DIR. */
  readonly inputsDir?: string | undefined;
  /** Goes on when this process ends, where its runtime can. */
  readonly lasting?: boolean | undefined;
  /** Undefined: it starts with the launcher. Else the task is its first program. */
  readonly direct?: CheckedTask | undefined;
}

/** Makes a box: not started yet, its streams attached. */
export type BoxMaker = (plan: BoxPlan) => Promise<Awake>;

/** What is known of images that have no Python 3 that runs the launcher. */
export interface LauncherFacts {
  /** Why it cannot; undefined as long as it was not seen to fail. */
  noLauncher(image: SandboxImage): Promise<string | undefined>;
  withoutLauncher(digest: string, reason: string): void;
}

export interface OpenerComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly make: BoxMaker;
  readonly images: LauncherFacts;
  readonly isBusy: () => boolean;
  /** How many boxes are made at once. */
  readonly creations: Semaphore;
  readonly binder: InputBinder;
}

/** Finds each task a box that waits for its start: one that was kept for its owner, one of the pool, or a new one. */
export class Opener {
  readonly #components: OpenerComponents;
  readonly #pool: Pool;
  readonly #leases: Leases;

  constructor(components: OpenerComponents, options: PoolOptions) {
    this.#components = components;
    this.#pool = new Pool(components, options);
    this.#leases = new Leases(components);
  }

  /** @throws CodedError as `Executor.prepare`; the signal's reason. */
  async open(
    task: CheckedTask,
    image: SandboxImage,
    runtime: Runtime,
    { signal }: Abortable,
  ): Promise<Opened> {
    const { images } = this.#components;
    let reason = await images.noLauncher(image);
    if (reason === undefined) {
      try {
        return await this.#launched(task, image, runtime, { signal });
      } catch (error) {
        if (!(error instanceof NoLauncher)) throw error;
        reason = error.type.reason;
        images.withoutLauncher(image.digest, reason);
      }
    }
    if (task.argv.length === 0) throw refused(`Python source needs Python 3 in the image: ${reason}`);
    if (hasNetwork(task)) throw refused(`allowed hosts need Python 3 in the image: ${reason}`);
    if (task.inputs.length + task.bound.length > 0)
      throw refused(`input files need Python 3 in the image: ${reason}`);
    const { limits } = task;
    const { creations, make } = this.#components;
    const plan = { image, runtime, limits, direct: task, extras: extrasOf(task) };
    return {
      ...(await creations.run(() => make(plan))),
      staged: undefined,
      recycle: undefined,
    };
  }

  /** Tasks like this are likely: some boxes are kept ready for them. */
  expect(image: SandboxImage, runtime: Runtime, limits: BoxLimits): void {
    this.#pool.expect(this.#classOf(image, runtime, limits));
  }

  /** Whether boxes are kept ready; off: those that wait are removed. */
  async keep(on: boolean): Promise<void> {
    await Promise.all([this.#pool.keep(on), ...(on ? [] : [this.#leases.drain()])]);
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool.close(), this.#leases.close()]);
  }

  async #launched(
    task: CheckedTask,
    image: SandboxImage,
    runtime: Runtime,
    { signal }: Abortable,
  ): Promise<Opened> {
    if (task.bound.length > 0 || task.resumable) return this.#alone(task, image, runtime);
    const { clock } = this.#components;
    const extras = extrasOf(task);
    const cls = this.#classOf(image, runtime, task.limits, extras);
    const key = task.reuseBy === undefined ? undefined : `${task.reuseBy} ${cls.key}`;
    const kept = key === undefined ? undefined : await this.#leases.take(key);
    const awake = kept ?? (extras ? await cls.make() : await this.#pool.take(cls, { signal }));
    const { box, release } = awake;
    const recycle =
      key === undefined ? undefined : () => this.#leases.put(key, awake, () => renew(box, { clock }));
    try {
      return { box, staged: await stage(box, task, { clock }), release, recycle };
    } catch (error) {
      void release();
      throw error;
    }
  }

  /** A box of its own, as its inputs are mounted, or its output is kept, from when it is made: never one of the pool, never used again. */
  async #alone(task: CheckedTask, image: SandboxImage, runtime: Runtime): Promise<Opened> {
    const { binder, clock } = this.#components;
    const inputs = await binder.lay(task.bound);
    let awake: Awake | undefined;
    const release = async () => {
      await awake?.release();
      await inputs?.release();
    };
    const extras = extrasOf(task);
    try {
      awake = await this.#wake({
        image,
        runtime,
        limits: task.limits,
        extras,
        inputsDir: inputs?.dir,
        // proxies and disks of their own end with this process
        lasting: task.resumable && !extras,
      });
      const staged = await stage(awake.box, task, { clock });
      const handle = handleOf(task, runtime, awake, staged, inputs);
      return { box: awake.box, staged, release, recycle: undefined, handle };
    } catch (error) {
      void release();
      throw error;
    }
  }

  /** A new box whose launcher waits for a task. */
  #wake(plan: BoxPlan): Promise<Awake> {
    const { clock, creations, make } = this.#components;
    return creations.run(async () => {
      const awake = await make(plan);
      try {
        await wake(awake.box, { clock });
        return awake;
      } catch (error) {
        void awake.release();
        throw error;
      }
    });
  }

  #classOf(image: SandboxImage, runtime: Runtime, given: BoxLimits, extras?: ExtraNeeds): BoxClass {
    const { milliCpus, memoryBytes, diskBytes } = given;
    const limits = { milliCpus, memoryBytes, diskBytes };
    return {
      key: [image.digest, runtime, milliCpus, memoryBytes, diskBytes].join(' '),
      make: () => this.#wake({ image, runtime, limits, extras }),
    };
  }
}

/** Null where the box ends with this process. */
function handleOf(
  task: CheckedTask,
  runtime: Runtime,
  { box, lasting }: Awake,
  { nonce }: Staged,
  inputs: BoundInputs | undefined,
): string | null {
  if (!lasting) return null;
  return encodeHandle({
    id: box.id,
    ...lasting,
    runtime,
    nonce: nonce.toString('hex'),
    key: task.key,
    inputs: inputs ? basename(inputs.dir) : null,
    inputBytes: inputBytesOf(task),
    limits: task.limits,
  });
}
