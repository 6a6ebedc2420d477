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
import { asSandboxError, unavailable } from './errors.ts';
import type { PreparedSandbox } from './interface.ts';
import type { BoxOptions } from './options.ts';
import { type Opened, preparedSandbox } from './prepared.ts';
import type { CheckedTask } from './task.ts';

export interface Preparing {
  start(): void;
  /** Ends what runs as unavailable, and waits for what is being made right now. */
  stop(): Promise<void>;
  /** One sandbox, of those that `maxCreations` lets be made at once. Rejects with the signal's reason, leaving nothing. */
  prepare(
    task: CheckedTask,
    runtime: Runtime,
    open: () => Promise<Opened>,
    options: Abortable,
  ): Promise<PreparedSandbox>;
}

/** How an executor comes from opened boxes to prepared sandboxes, whatever its boxes are. */
export function createPreparing(
  { clock, logger, metrics }: { readonly clock: Clock; readonly logger: Logger; readonly metrics: Metrics },
  options: BoxOptions,
): Preparing {
  const creations = new Semaphore(options.maxCreations);
  const openings = new Set<Promise<unknown>>();
  let halting = createHalt();

  return {
    start() {
      halting = createHalt();
    },
    async stop() {
      halting.abort(unavailable('the node is stopping'));
      await Promise.allSettled(openings);
    },
    async prepare(task, runtime, open, { signal }) {
      const halt = halting.signal;
      const began = clock.monotonic();
      const opening = creations.run(async () => {
        signal?.throwIfAborted();
        halt.throwIfAborted();
        return open();
      });
      openings.add(opening);
      const settled = () => openings.delete(opening);
      opening.then(settled, settled);
      try {
        const opened = await raceSignal(raceSignal(opening, signal), halt);
        metrics.observe('sandbox_prepare_seconds', (clock.monotonic() - began) / 1000);
        return preparedSandbox({ clock, metrics, options, runtime, halt }, task, opened);
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
    },
  };
}

/** Every task of this executor listens to one signal; their number is bounded by what the market lets run. */
function createHalt(): AbortController {
  const halt = new AbortController();
  setMaxListeners(0, halt.signal);
  return halt;
}
