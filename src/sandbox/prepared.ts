import type { Clock, Metrics } from '../util/index.ts';
import type { Runtime } from '../wire/index.ts';
import type { Box } from './box.ts';
import { asSandboxError, failed } from './errors.ts';
import type { PreparedSandbox, SandboxResult } from './interface.ts';
import { type RanTask, type RunInput, type RunOptions, runTask } from './run.ts';

/** A box that waits for its task's start. */
export interface Opened {
  readonly box: Box;
  /** Undefined where the task is started directly, without the launcher. */
  readonly staged: RunInput['staged'];
  /** Removes the box; never rejects. */
  readonly release: () => Promise<void>;
  /** Keeps the box for the next task of the same owner; undefined where it serves this one alone. */
  readonly recycle: (() => void) | undefined;
  /** As `PreparedSandbox.handle`. */
  readonly handle?: string | null;
  readonly since?: number | undefined;
}

export interface PreparedComponents {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly options: RunOptions;
  readonly runtime: Runtime;
  /** Called when the task starts; what it returns, when it has ended. */
  readonly holdCpus: () => () => void;
  /** Aborts when the executor stops. */
  readonly halt: AbortSignal;
}

/** An opened box as the port's PreparedSandbox: usable once, the box removed in any case. */
export function preparedSandbox(
  { clock, metrics, options, runtime, halt, holdCpus }: PreparedComponents,
  task: RanTask,
  { box, staged, release, recycle, handle = null, since }: Opened,
): PreparedSandbox {
  let used = false;
  return {
    id: box.id,
    runtime,
    handle,
    async run(sink, { signal, onStarted }) {
      if (used) throw failed(`the sandbox of ${task.key} was used already`);
      used = true;
      const giveBackCpus = holdCpus();
      let result: SandboxResult;
      try {
        signal?.throwIfAborted();
        const input = { box, task, staged, since };
        result = await runTask({ clock }, options, input, sink, { signal, onStarted, halt });
      } catch (error) {
        metrics.count('sandbox_runs_total', { outcome: 'error' });
        await release();
        signal?.throwIfAborted();
        throw asSandboxError(error, 'the task could not be run');
      } finally {
        giveBackCpus();
      }
      // The result is in hand: removal, about 50 ms, goes on behind the caller's back.
      if (recycle && survived(result)) recycle();
      else void release();
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

/** A task that was stopped from outside takes its box along. */
function survived({ outcome }: SandboxResult): boolean {
  return outcome !== 'timeout' && outcome !== 'output_limit';
}
