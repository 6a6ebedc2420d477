import { codeOf } from '../../util/index.ts';
import type { TaskFailure } from '../../wire/index.ts';
import { blames, isSaidOfTask, isSaidTwice } from './attempts.ts';
import { mayRetry } from './deliver.ts';
import type { RequesterComponents } from './interface.ts';
import type { Settler } from './settler.ts';
import { attemptOf, changeAttempt, isLive, type LiveTask, moneyMoves, type TaskStore } from './task-store.ts';

/** As much as a record holds. */
const MAX_MESSAGE = 2_000;

type Parts = { readonly store: TaskStore; readonly settler: Settler };
type Components = Pick<RequesterComponents, 'clock' | 'logger'>;

/** Writes an attempt off; its worker is not asked again where it is to blame. A user's mistake, said by two workers, ends the task. */
export async function writeOff(
  { clock, logger }: Components,
  { store, settler }: Parts,
  task: LiveTask,
  attempt: number,
  { message, ...rest }: TaskFailure,
): Promise<void> {
  const entry = attemptOf(task.record, attempt);
  const failure = { ...rest, message: message.slice(0, MAX_MESSAGE) };
  logger.info({ task: task.record.taskId, attempt, worker: entry.worker, ...failure }, 'attempt failed');
  const ended = { ...entry, failure, endedAt: clock.now() };
  const isUsers = isSaidTwice(task.record, entry.worker, failure);
  const end = isUsers ? ({ ...failure, class: 'user' } as const) : failure;
  const retry = mayRetry(end) || end.class === 'funds';
  const goesOn = retry && task.record.attempts.some(other => other.attempt !== attempt && isLive(other));
  await store.update(
    task,
    record => ({
      ...(goesOn
        ? { state: 'running', phase: 'executing' }
        : retry
          ? { state: 'pending', phase: 'queued' }
          : { state: 'failed', phase: 'done', failure: end }),
      waiting: null,
      attempts: changeAttempt(record, attempt, ended),
      failedWorkers:
        blames(failure) && entry.worker && !record.failedWorkers.includes(entry.worker)
          ? [...record.failedWorkers, entry.worker]
          : record.failedWorkers,
    }),
    failure.class === 'worker' && !isSaidOfTask(failure) ? settler.rating(ended, false) : [],
  );
  settler.closeLater(task, attempt);
}

/** Something here broke (a full disk): the task ends, and what is locked for it comes back. Never rejects. */
export async function writeCrash(
  { logger }: Components,
  { store, settler }: Parts,
  task: LiveTask,
  { message, ...rest }: TaskFailure,
): Promise<void> {
  const failure = { ...rest, message: message.slice(0, MAX_MESSAGE) };
  const last = task.record.attempts.at(-1);
  try {
    await store.update(task, record => ({
      state: 'failed',
      phase: 'done',
      waiting: null,
      failure,
      attempts: last ? changeAttempt(record, last.attempt, { failure }) : record.attempts,
    }));
  } catch (error) {
    logger.error({ task: task.record.taskId, code: codeOf(error) }, 'the end of a task was not written');
  }
  if (last && moneyMoves(last)) settler.closeLater(task, last.attempt);
}
