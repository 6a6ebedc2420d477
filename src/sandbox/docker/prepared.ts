import type { Clock, Metrics } from '../../util/index.ts';
import { failed } from '../errors.ts';
import type { PreparedSandbox, SandboxResult } from '../interface.ts';
import type { DockerOptions } from '../options.ts';
import type { CheckedTask } from '../task.ts';
import { asSandboxError } from './engine.ts';
import type { Opened } from './opener.ts';
import { runTask } from './run.ts';

export interface PreparedComponents {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly options: DockerOptions;
  /** Aborts when the executor stops. */
  readonly halt: AbortSignal;
}

/** An opened container as the port's PreparedSandbox: usable once, its container removed in any case. */
export function preparedSandbox(
  { clock, metrics, options, halt }: PreparedComponents,
  task: CheckedTask,
  { box, staged, release }: Opened,
): PreparedSandbox {
  let used = false;
  return {
    id: box.id,
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
