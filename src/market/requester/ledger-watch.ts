import { codeOf, every } from '../../util/index.ts';
import type { RequesterComponents } from './interface.ts';
import type { LiveTask, TaskStore } from './task-store.ts';

/** How soon a user sees that the notaries are away. */
const LOOK_MS = 500;
const AWAY = 'ledger_unreachable';

/** Runs `work`, which needs the notaries; while none of them answers, the task says that it waits for them. */
export async function watchingLedger<T>(
  { settlement, clock, logger }: Pick<RequesterComponents, 'settlement' | 'clock' | 'logger'>,
  store: TaskStore,
  task: LiveTask,
  work: () => Promise<T>,
): Promise<T> {
  const show = async (away: boolean) => {
    const { waiting } = task.record;
    if (away ? waiting !== null : waiting !== AWAY) return;
    try {
      await store.update(task, { waiting: away ? AWAY : null });
    } catch (error) {
      logger.warn({ task: task.record.taskId, code: codeOf(error) }, 'a task’s state was not written');
    }
  };
  const stop = every(clock, LOOK_MS, () => show(!settlement.status().reachable));
  try {
    return await work();
  } finally {
    stop();
    await show(false);
  }
}
