import { codeOf, hasCode, messageOf, reasonOf } from '../../util/index.ts';
import type { Refusal, TaskFailure } from '../../wire/index.ts';
import {
  emptyAttempt,
  executions,
  hasFunds,
  isHopeless,
  lastFailure,
  nextAttempt,
  noWorkerFits,
  overdue,
} from './attempts.ts';
import type { AuctionHouse, AuctionResult } from './auction.ts';
import { makeAward, sendAward } from './award.ts';
import { cancelAttempt } from './cancel.ts';
import { mayRetry, takeDelivery } from './deliver.ts';
import { type FollowEnd, Follower } from './follow.ts';
import type { RequesterComponents } from './interface.ts';
import type { Treasurer } from './money.ts';
import type { Settler } from './settler.ts';
import { attemptOf, hasEnded, type LiveTask, moneyMoves, type TaskStore } from './task-store.ts';
import { backoffMs, type WaitingRoom } from './waiting-room.ts';

/** An attempt that a worker has accepted. */
interface Accepted {
  readonly attempt: number;
  readonly follower: Follower;
}

export interface RunnerParts {
  readonly store: TaskStore;
  readonly house: AuctionHouse;
  readonly treasurer: Treasurer;
  readonly settler: Settler;
  readonly room: WaitingRoom;
}

/** Moves one task from where it stands to its end: rounds of auction, award and following, then the money. */
export class TaskRunner {
  readonly #components: RequesterComponents;
  readonly #parts: RunnerParts;

  constructor(components: RequesterComponents, parts: RunnerParts) {
    this.#components = components;
    this.#parts = parts;
  }

  /** Resolves when the task has ended, or the node stops. Never rejects. */
  async run(task: LiveTask): Promise<void> {
    const { logger } = this.#components;
    const { settler, store, room } = this.#parts;
    for (const entry of task.record.attempts)
      if (entry.failure && moneyMoves(entry)) settler.closeLater(task, entry.attempt);
    if (hasEnded(task.record)) return;
    try {
      let accepted = await this.#resume(task);
      let follower = accepted?.follower ?? null;
      for (let round = 0; task.record.state !== 'paying' && !hasEnded(task.record); round++) {
        accepted ??= await this.#round(task, round);
        if (!accepted) continue;
        follower = accepted.follower;
        await this.#follow(task, accepted);
        accepted = undefined;
        room.wakeOne();
      }
      if (task.record.state === 'paying') await settler.finish(task, follower);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'STOPPING' || hasEnded(task.record)) return;
      logger.error({ task: task.record.taskId, code, error: messageOf(error) }, 'a task failed unexpectedly');
      const failure: TaskFailure = { class: 'network', code, message: messageOf(error) };
      await store.update(task, { state: 'failed', phase: 'done', waiting: null, failure });
    }
  }

  /** What an earlier run of this node left under way. */
  async #resume(task: LiveTask): Promise<Accepted | undefined> {
    const { store } = this.#parts;
    const last = task.record.attempts.at(-1);
    if (!last?.award || last.failure || task.record.state === 'paying') return undefined;
    if (last.acceptance)
      return {
        attempt: last.attempt,
        follower: new Follower(this.#components, store, task, last.attempt, null),
      };
    await this.#attemptFailed(task, last.attempt, {
      class: 'network',
      code: 'AWARD_UNANSWERED',
      message: 'the node stopped before the worker had answered the award',
    });
    return undefined;
  }

  /** One auction and its awards; undefined when nobody took the task, after a rest. */
  async #round(task: LiveTask, round: number): Promise<Accepted | undefined> {
    const { store, room, house } = this.#parts;
    const { clock, random } = this.#components;
    const { signal } = task.stop;
    if (signal.aborted) return this.#stopped(task, undefined);
    const { policy } = task.record;
    if (clock.now() >= policy.deadline) return this.#fail(task, overdue(task.record.waiting));
    if (executions(task.record) > policy.retries) return this.#fail(task, lastFailure(task.record));
    const funded = hasFunds(task.record, this.#components.settlement.balance().free);
    try {
      if (funded || !policy.avoidSelf) {
        const spec = await store.spec(task.record.taskId);
        const accepted = await room.enter(policy.priority, signal, async () => {
          await store.update(task, { state: 'scheduled', phase: 'offering', waiting: null });
          const result = await house.run(task, spec, {
            attempt: nextAttempt(task.record),
            selfOnly: !funded,
          });
          return this.#awardOne(task, result);
        });
        if (accepted) return accepted;
      }
      if (isHopeless(task.record, round)) return this.#fail(task, noWorkerFits(task.record));
      await store.update(task, {
        state: 'pending',
        phase: 'queued',
        waiting: funded ? 'no_bids' : 'funds_locked',
      });
      const ms = Math.min(backoffMs(round, random), policy.deadline - clock.now());
      await room.rest(Math.max(0, ms), policy.priority, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      return this.#stopped(task, undefined);
    }
    return undefined;
  }

  /** Awards bid after bid until a worker accepts. */
  async #awardOne(task: LiveTask, result: AuctionResult): Promise<Accepted | undefined> {
    const { store } = this.#parts;
    const { offer } = result;
    const { attempt } = offer.body;
    await store.update(task, record => ({
      phase: 'awarding',
      attempts: [...record.attempts.filter(entry => entry.attempt !== attempt), emptyAttempt(result)],
    }));
    const order = await store.order(task.record.taskId);
    for (const choice of result.bids) {
      const award = makeAward(this.#components, result, choice, order);
      const { worker, price, awardedAt } = award.body;
      await store.updateAttempt(
        task,
        attempt,
        { worker, price, awardedAt, award: award.bytes },
        { sync: true },
      );
      try {
        const answer = await sendAward(this.#components, award, offer.bytes, order, {
          signal: task.stop.signal,
        });
        if (answer.accepted) {
          await store.updateAttempt(task, attempt, { acceptance: answer.acceptance.bytes });
          return { attempt, follower: new Follower(this.#components, store, task, attempt, answer.channel) };
        }
        await this.#refused(task, attempt, worker, answer.refusal);
      } catch (error) {
        if (task.stop.signal.aborted) throw reasonOf(task.stop.signal);
        await this.#attemptFailed(task, attempt, {
          class: 'network',
          code: codeOf(error),
          message: messageOf(error),
        });
        return undefined;
      }
    }
    return undefined;
  }

  /** A refusal leaves the attempt's number free for the next bid. */
  async #refused(task: LiveTask, attempt: number, worker: string, refusal: Refusal): Promise<void> {
    await this.#parts.store.update(task, record => ({
      attempts: record.attempts.map(entry =>
        entry.attempt === attempt
          ? {
              ...entry,
              worker: null,
              price: null,
              awardedAt: null,
              award: null,
              bids: entry.bids.map(bid => (bid.worker === worker ? { ...bid, refusal } : bid)),
            }
          : entry,
      ),
    }));
  }

  async #follow(task: LiveTask, { attempt, follower }: Accepted): Promise<void> {
    const broke = new AbortController();
    const signal = AbortSignal.any([task.stop.signal, broke.signal]);
    const locking = this.#lock(task, attempt, follower, broke);
    try {
      const end = await follower.run({ signal });
      await locking;
      await this.#ended(task, attempt, follower, end);
    } catch (error) {
      if (task.stop.signal.aborted) return void (await this.#stopped(task, { attempt, follower }));
      const funds = hasCode(error, 'FUNDS_INSUFFICIENT');
      if (funds) await follower.cancel('the payer is short of funds');
      follower.abandon(error instanceof Error ? error : new Error(messageOf(error)));
      const errorClass = funds ? 'funds' : hasCode(error, 'WORKER_DEAD', 'LEASE_LOST') ? 'worker' : 'network';
      await this.#attemptFailed(task, attempt, {
        class: errorClass,
        code: codeOf(error),
        message: messageOf(error),
      });
    }
  }

  /** Beside the worker's staging: the lock, and its certificate to the worker. Failure ends the attempt. */
  async #lock(task: LiveTask, attempt: number, follower: Follower, broke: AbortController): Promise<void> {
    const { treasurer } = this.#parts;
    if (follower.award.price === 0n) return;
    const signal = AbortSignal.any([task.stop.signal, broke.signal]);
    try {
      await follower.sendLock(await treasurer.lock(task, attempt, { signal }));
    } catch (error) {
      broke.abort(error);
    }
  }

  async #ended(task: LiveTask, attempt: number, follower: Follower, end: FollowEnd): Promise<void> {
    const { store, treasurer } = this.#parts;
    if (end.kind === 'delivered') {
      const verdict = await takeDelivery(this.#components, store, treasurer, task, attempt, end.delivery);
      if (verdict.good) return;
      await follower.finish({
        type: 'rejected',
        code: verdict.failure.code,
        reason: verdict.failure.message.slice(0, 300),
      });
      return this.#attemptFailed(task, attempt, verdict.failure);
    }
    const { class: errorClass, code, message, evidence } = end.message;
    if (evidence) await treasurer.keep(task, attempt, evidence);
    await follower.finish({ type: 'heartbeat' });
    return this.#attemptFailed(task, attempt, { class: errorClass, code, message });
  }

  /** Writes an attempt off; its worker is not asked again. A user's mistake ends the task. */
  async #attemptFailed(task: LiveTask, attempt: number, failure: TaskFailure): Promise<void> {
    const { store, settler } = this.#parts;
    const { clock, logger } = this.#components;
    const entry = attemptOf(task.record, attempt);
    logger.info({ task: task.record.taskId, attempt, worker: entry.worker, ...failure }, 'attempt failed');
    const ended = { ...entry, failure, endedAt: clock.now() };
    const retry = mayRetry(failure) || failure.class === 'funds';
    const blame = failure.class === 'worker' || failure.class === 'network';
    await store.update(
      task,
      record => ({
        ...(retry ? { state: 'pending', phase: 'queued' } : { state: 'failed', phase: 'done', failure }),
        waiting: null,
        attempts: record.attempts.map(other => (other.attempt === attempt ? ended : other)),
        failedWorkers:
          blame && entry.worker && !record.failedWorkers.includes(entry.worker)
            ? [...record.failedWorkers, entry.worker]
            : record.failedWorkers,
      }),
      failure.class === 'worker' ? settler.rating(ended, false) : [],
    );
    settler.closeLater(task, attempt);
  }

  async #fail(task: LiveTask, failure: TaskFailure): Promise<undefined> {
    await this.#parts.store.update(task, { state: 'failed', phase: 'done', waiting: null, failure });
    return undefined;
  }

  /** The task's own signal: cancelled by its owner, or the node stops and leaves everything as it is. */
  async #stopped(task: LiveTask, accepted: Accepted | undefined): Promise<undefined> {
    const reason = reasonOf(task.stop.signal);
    if (!hasCode(reason, 'CANCELLED')) {
      accepted?.follower.abandon(reason);
      throw reason;
    }
    const { store, treasurer, settler, room } = this.#parts;
    if (accepted) await cancelAttempt(this.#components, treasurer, task, accepted);
    const failure: TaskFailure = { class: 'user', code: 'CANCELLED', message: reason.message };
    await store.update(task, record => ({
      state: 'cancelled',
      phase: 'done',
      waiting: null,
      failure,
      attempts: record.attempts.map(entry =>
        entry.attempt === accepted?.attempt ? { ...entry, failure } : entry,
      ),
    }));
    if (accepted) settler.closeLater(task, accepted.attempt);
    room.wakeOne();
    return undefined;
  }
}
