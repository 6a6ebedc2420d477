import { codeOf, messageOf, withDeadline } from '../../util/index.ts';
import type { TaskFailure, TaskRecord } from '../../wire/index.ts';
import { CANCEL_WAIT_MS } from '../options.ts';
import type { Follower } from './follow.ts';
import type { FollowEnd } from './follow-end.ts';
import type { RequesterComponents } from './interface.ts';
import type { LiveTask } from './task-store.ts';

/** What a task's record says from then on. */
export function cancelledBy({ message }: Error) {
  const failure: TaskFailure = { class: 'user', code: 'CANCELLED', message };
  return { state: 'cancelled', phase: 'done', waiting: null, failure } satisfies Partial<TaskRecord>;
}

/**
 * Tells the worker to stop, and waits for its word: what it gives up, or the result that it had attested by then. Undefined when it
 * stays silent: it is not waited for, and its lock comes back when nothing was claimed in time.
 */
export async function cancelAttempt(
  { clock, logger }: RequesterComponents,
  task: LiveTask,
  follower: Follower,
): Promise<FollowEnd | undefined> {
  const told = async (signal: AbortSignal) => {
    await follower.cancel('cancelled by its requester');
    return follower.run({ signal });
  };
  try {
    return await withDeadline(CANCEL_WAIT_MS, 'the worker', told, { clock });
  } catch (error) {
    const facts = { task: task.record.taskId, code: codeOf(error), error: messageOf(error) };
    logger.info(facts, 'no word of the cancelled worker');
    return undefined;
  }
}
