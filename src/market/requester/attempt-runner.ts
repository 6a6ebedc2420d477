import { CodedError, codeOf, hasCode, messageOf, reasonOf } from '../../util/index.ts';
import { inWordsOf, OVERTAKEN } from './attempts.ts';
import type { Accepted } from './awarding.ts';
import { cancelAttempt, cancelledBy } from './cancel.ts';
import { takeDelivery } from './deliver.ts';
import type { Follower } from './follow.ts';
import { type FollowEnd, OWN_FAULTS } from './follow-end.ts';
import type { RequesterComponents } from './interface.ts';
import { watchingLedger } from './ledger-watch.ts';
import type { Treasurer } from './money.ts';
import type { Beside } from './race.ts';
import type { Settler } from './settler.ts';
import { attemptOf, changeAttempt, isTaken, type LiveTask, type TaskStore } from './task-store.ts';
import type { WaitingRoom } from './waiting-room.ts';
import { writeOff } from './write-off.ts';

interface Parts {
  readonly store: TaskStore;
  readonly treasurer: Treasurer;
  readonly settler: Settler;
  readonly room: WaitingRoom;
}

/** Takes one accepted attempt to its end: its lock, its result or its failure, and what either means for its task. */
export class AttemptRunner {
  readonly #components: RequesterComponents;
  readonly #parts: Parts;

  constructor(components: RequesterComponents, parts: Parts) {
    this.#components = components;
    this.#parts = parts;
  }

  /** Rejects with the reason of the task's signal alone, when the node stops. */
  async run(task: LiveTask, accepted: Accepted, beside: Beside): Promise<void> {
    const { attempt, follower, kept } = accepted;
    const broke = new AbortController();
    kept?.catch(error => broke.abort(error));
    const signal = AbortSignal.any([task.stop.signal, beside.over, broke.signal]);
    const locking = this.#lock(task, attempt, follower, broke, signal);
    try {
      const end = await follower.run({ signal });
      // a lock that is under way is closed when it is there; only while no notary answers, another try would meet the same
      if (end.kind === 'failed' && end.message.code !== 'LOCK_MISSING') broke.abort(given);
      await locking;
      await beside.turn.run(() =>
        isTaken(task.record) ? this.#overtaken(task, accepted) : this.#ended(task, accepted, end),
      );
    } catch (error) {
      if (task.stop.signal.aborted) await this.#stopped(task, accepted, beside);
      else if (beside.over.aborted) await this.#overtaken(task, accepted);
      else await this.#broke(task, accepted, error);
    } finally {
      await follower.release();
    }
  }

  /** Beside the worker's staging: the lock, and its certificate to the worker. Failure ends the attempt. */
  async #lock(
    task: LiveTask,
    attempt: number,
    follower: Follower,
    broke: AbortController,
    signal: AbortSignal,
  ): Promise<void> {
    const { treasurer, store } = this.#parts;
    if (follower.award.price === 0n) return;
    try {
      await watchingLedger(this.#components, store, task, () =>
        treasurer.lock(task, attempt, lock => follower.sendLock(lock), { signal }),
      );
    } catch (error) {
      broke.abort(error);
    }
  }

  /** What its worker sent last. */
  async #ended(task: LiveTask, { attempt, follower }: Accepted, end: FollowEnd): Promise<void> {
    const { store, treasurer } = this.#parts;
    if (end.kind === 'delivered') {
      const verdict = await takeDelivery(this.#components, store, treasurer, task, attempt, end.delivery);
      if (verdict.good) return;
      const { code, message } = verdict.failure;
      await follower.finish({ type: 'rejected', code, reason: message.slice(0, 300) });
      return writeOff(this.#components, this.#parts, task, attempt, verdict.failure);
    }
    const { evidence } = end.message;
    if (evidence) await treasurer.keep(task, attempt, evidence);
    await follower.finish({ type: 'heartbeat' });
    return writeOff(this.#components, this.#parts, task, attempt, inWordsOf(end.message));
  }

  /** It came to no end of its own. */
  async #broke(task: LiveTask, { attempt, follower }: Accepted, error: unknown): Promise<void> {
    const [code, message] = [codeOf(error), messageOf(error)];
    const funds = hasCode(error, 'FUNDS_INSUFFICIENT', 'DAY_LIMIT');
    const lost = hasCode(error, 'WORKER_DEAD', 'LEASE_LOST', 'RESULT_UNREADABLE');
    const overdue = hasCode(error, 'LEASE_OVERDUE');
    const ours = hasCode(error, ...OWN_FAULTS);
    const reason = ours ? 'the requester could not go on' : 'the payment could not be locked';
    if (lost) follower.abandon(error);
    // who took longer than agreed is not paid for the time it used
    else if (overdue) await follower.finish({ type: 'rejected', code, reason: message.slice(0, 300) });
    else await follower.finish({ type: 'cancel', reason });
    const errorClass = funds ? 'funds' : lost || overdue ? 'worker' : ours ? 'user' : 'network';
    await writeOff(this.#components, this.#parts, task, attempt, { class: errorClass, code, message });
  }

  /** Another attempt's result was taken: its worker stops, and gives its lock back. */
  async #overtaken(task: LiveTask, { attempt, follower }: Accepted): Promise<void> {
    const { store, settler } = this.#parts;
    const { code, message } = OVERTAKEN;
    if (!attemptOf(task.record, attempt).failure)
      await store.updateAttempt(task, attempt, { failure: OVERTAKEN, endedAt: this.#components.clock.now() });
    await follower.finish({ type: 'rejected', code, reason: message });
    settler.closeLater(task, attempt);
  }

  /** The task's own signal: cancelled by its owner, or the node stops and leaves everything as it is. */
  async #stopped(task: LiveTask, accepted: Accepted, { turn }: Beside): Promise<void> {
    const { attempt, follower } = accepted;
    const reason = reasonOf(task.stop.signal);
    if (!hasCode(reason, 'CANCELLED')) {
      follower.abandon(reason);
      throw reason;
    }
    const { store, treasurer, settler, room } = this.#parts;
    const end = await cancelAttempt(this.#components, task, follower);
    await turn.run(async () => {
      // it was done before it could be stopped: that is what the user gets, and pays
      if (end?.kind === 'delivered' && !isTaken(task.record)) return this.#ended(task, accepted, end);
      const evidence = end?.kind === 'failed' ? end.message.evidence : null;
      if (evidence) await treasurer.keep(task, attempt, evidence);
      await follower.finish({ type: 'heartbeat' });
      const cancelled = cancelledBy(reason);
      const endedAt = this.#components.clock.now();
      await store.update(task, record => ({
        ...(isTaken(record) ? {} : cancelled),
        attempts: changeAttempt(record, attempt, { failure: cancelled.failure, endedAt }),
      }));
      settler.closeLater(task, attempt);
      room.wakeOne();
    });
  }
}

const given = new CodedError({ code: 'ATTEMPT_OVER' }, 'the worker has given up');
