import type { Clock, Metrics } from '../util/index.ts';
import type { Runtime } from '../wire/index.ts';
import type { Box } from './box.ts';
import { asSandboxError, failed } from './errors.ts';
import type { PreparedSandbox, SandboxResult } from './interface.ts';
import type { Staged } from './launcher/staging.ts';
import { type RunOptions, runTask } from './run.ts';
import type { CheckedTask } from './task.ts';

/** A box that waits for its task's start. */
export interface Opened {
  readonly box: Box;
  /** Undefined where the task is started directly, without the launcher. */
  readonly staged: Staged | undefined;
  /** Removes the box; never rejects. */
  readonly release: () => Promise<void>;
}

export interface PreparedComponents {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly options: RunOptions;
  readonly runtime: Runtime;
  /** Aborts when the executor stops. */
  readonly halt: AbortSignal;
}

/** An opened box as the port's PreparedSandbox: usable once, the box removed in any case. */
export function preparedSandbox(
  { clock, metrics, options, runtime, halt }: PreparedComponents,
  task: CheckedTask,
  { box, staged, release }: Opened,
): PreparedSandbox {
  let used = false;
  return {
    id: box.id,
    runtime,
    async run(sink, { signal, onStarted }) {
      if (used) throw failed(`the sandbox of ${task.key} was used already`);
      used = true;
      let result: SandboxResult;
      try {
        signal?.throwIfAborted();
        const input = { box, task, staged };
        result = await runTask({ clock }, options, input, sink, { signal, onStarted, halt });
      } catch (error) {
        metrics.count('sandbox_runs_total', { outcome: 'error' });
        await release();
        signal?.throwIfAborted();
        throw asSandboxError(error, 'the task could not be run');
      }
      // The result is in hand: removal, about 50 ms, goes on behind the caller's back.
      void release();
      metrics.count('sandbox_runs_total', { outcome: result.outcome });
      metrics.observe('sandbox_run_seconds', result.usage.wallMs / 1000);
      return result;
    },
    async discard() {
      if (used) return;
      used = true;
      await release();
    },
  };
}
