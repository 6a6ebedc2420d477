import { CodedError } from '../../util/index.ts';
import { disputeKind, seal } from '../../wire/index.ts';
import type { RequesterComponents } from './interface.ts';
import { attemptOf, changeAttempt, type LiveTask, type TaskStore } from './task-store.ts';

/** What a user may say of a result that waits for it. Of two answers at once only the first finds it waiting. */
export class Answers {
  readonly #components: RequesterComponents;
  readonly #store: TaskStore;

  constructor(components: RequesterComponents, store: TaskStore) {
    this.#components = components;
    this.#store = store;
  }

  /** @throws CodedError `TASK_NOT_FOUND`, `TASK_NOT_WAITING`. */
  async accept(taskId: string): Promise<void> {
    await this.#store.get(taskId);
    const { task, attempt } = this.#waiting(taskId);
    await this.#store.update(task, record => ({
      waiting: null,
      // a failure of the task's own code is closed by the split that both have signed
      attempts: record.accept ? changeAttempt(record, attempt, { evidence: record.accept }) : record.attempts,
    }));
  }

  /** @throws CodedError `TASK_NOT_FOUND`, `TASK_NOT_WAITING`, `DISPUTE_LATE`. */
  async dispute(taskId: string, reason: string): Promise<void> {
    await this.#store.get(taskId);
    const { task, attempt } = this.#waiting(taskId);
    const { genesis, signer, clock } = this.#components;
    const { escrowId, escrow } = attemptOf(task.record, attempt);
    if (!escrowId)
      throw new CodedError({ code: 'TASK_NOT_WAITING', taskId }, 'nothing is locked for this task');
    if (escrow && clock.now() > escrow.disputeBy)
      throw new CodedError(
        { code: 'DISPUTE_LATE', taskId, disputeBy: escrow.disputeBy },
        'the time for a dispute is over: the worker is paid',
      );
    const evidence = seal(disputeKind, { net: genesis.net, escrowId, reason }, signer).bytes;
    await this.#store.update(task, record => ({
      waiting: 'disputed',
      accept: null,
      attempts: changeAttempt(record, attempt, { evidence }),
    }));
  }

  #waiting(taskId: string): { task: LiveTask; attempt: number } {
    const task = this.#store.live.get(taskId);
    if (task?.record.waiting !== 'awaiting_accept' || !task.record.result)
      throw new CodedError(
        { code: 'TASK_NOT_WAITING', taskId },
        'the task does not wait for accept or dispute',
      );
    return { task, attempt: task.record.result.attempt };
  }
}
