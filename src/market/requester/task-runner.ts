import { CodedError, codeOf, hasCode, messageOf, reasonOf } from '../../util/index.ts';
import type { TaskFailure } from '../../wire/index.ts';
import { BACKOFF_MAX_MS, HOPELESS_ROUNDS } from '../options.ts';
import type { AuctionLimit } from './aimd.ts';
import {
  allRefuseForGood,
  executions,
  hasFunds,
  inWordsOf,
  lastFailure,
  locksMissed,
  nextAttempt,
  noWorkerFits,
  overdue,
} from './attempts.ts';
import type { AuctionHouse } from './auction.ts';
import { type Accepted, Awarding, type Unanswered } from './awarding.ts';
import { cancelAttempt } from './cancel.ts';
import type { Claims } from './claims.ts';
import { takeDelivery } from './deliver.ts';
import { Follower } from './follow.ts';
import { type FollowEnd, OWN_FAULTS } from './follow-end.ts';
import type { RequesterComponents } from './interface.ts';
import { watchingLedger } from './ledger-watch.ts';
import type { Treasurer } from './money.ts';
import type { Settler } from './settler.ts';
import { changeAttempt, hasEnded, type LiveTask, moneyMoves, type TaskStore } from './task-store.ts';
import { backoffMs, type Place, type WaitingRoom } from './waiting-room.ts';
import { writeCrash, writeOff } from './write-off.ts';

/** Rounds of one task that led to no award; `hopeless` of them in a row were refused by all, and for good. */
interface Rounds {
  count: number;
  hopeless: number;
  /** Whom the last one asked. */
  asked: readonly string[];
  /** Who refused for good in any of them. */
  readonly refused: Set<string>;
}

export interface RunnerParts {
  readonly store: TaskStore;
  readonly house: AuctionHouse;
  readonly claims: Claims;
  readonly treasurer: Treasurer;
  readonly settler: Settler;
  readonly room: WaitingRoom;
  readonly limit: AuctionLimit;
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
    const { settler } = this.#parts;
    // the money of a result that is being paid is for `finish` to move, and where the user decides, for the user
    const paying = task.record.state === 'paying' ? task.record.result?.attempt : undefined;
    for (const entry of task.record.attempts)
      if (entry.attempt !== paying && moneyMoves(entry) && (entry.failure || hasEnded(task.record)))
        settler.closeLater(task, entry.attempt);
    if (hasEnded(task.record)) return;
    try {
      await this.#toTheEnd(task);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'STOPPING' || hasEnded(task.record)) return;
      logger.error({ task: task.record.taskId, code, error: messageOf(error) }, 'a task failed unexpectedly');
      await writeCrash(this.#components, this.#parts, task, {
        class: 'network',
        code,
        message: messageOf(error),
      });
    }
  }

  async #toTheEnd(task: LiveTask): Promise<void> {
    const { settler, room } = this.#parts;
    const rounds: Rounds = { count: 0, hopeless: 0, asked: [], refused: new Set() };
    let accepted = await this.#resume(task);
    let follower = accepted?.follower ?? null;
    while (task.record.state !== 'paying' && !hasEnded(task.record)) {
      accepted ??= await this.#round(task, rounds);
      if (!accepted) continue;
      follower = accepted.follower;
      await this.#follow(task, accepted);
      accepted = undefined;
      room.wakeOne();
    }
    if (task.record.state === 'paying') await settler.finish(task, follower);
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
    await writeOff(this.#components, this.#parts, task, last.attempt, {
      class: 'network',
      code: 'AWARD_UNANSWERED',
      message: 'the node stopped before the worker had answered the award',
    });
    return undefined;
  }

  /** One auction and its awards; undefined when nobody took the task, after a rest. */
  async #round(task: LiveTask, rounds: Rounds): Promise<Accepted | undefined> {
    const { policy } = task.record;
    const { signal } = task.stop;
    if (signal.aborted) return this.#stopped(task);
    if (this.#components.clock.now() >= policy.deadline)
      return this.#fail(task, overdue(task.record.waiting));
    if (executions(task.record) > policy.retries || locksMissed(task.record))
      return this.#fail(task, lastFailure(task.record));
    const { settlement, options } = this.#components;
    const funded = hasFunds(task.record, settlement.spending().spendable, options.maxPerTask);
    try {
      // behind many that nobody has room for, its turn comes before its first question is worth asking
      if (funded && rounds.count === 0 && this.#parts.room.crowd > 1)
        return void (await this.#rest(task, rounds.count++, funded));
      const answer = funded || !policy.avoidSelf ? await this.#auction(task, rounds, !funded) : undefined;
      if (answer === 'late') return undefined;
      if (answer && 'follower' in answer) return answer;
      if (answer)
        return void (await writeOff(this.#components, this.#parts, task, answer.attempt, answer.failure));
      rounds.hopeless = funded && allRefuseForGood(task.record, rounds) ? rounds.hopeless + 1 : 0;
      if (rounds.hopeless >= HOPELESS_ROUNDS)
        return this.#fail(
          task,
          executions(task.record) > 0 ? lastFailure(task.record) : noWorkerFits(task.record),
        );
      await this.#rest(task, rounds.count++, funded);
    } catch (error) {
      if (!signal.aborted) throw error;
      return this.#stopped(task);
    }
    return undefined;
  }

  /** `late`: it waited its time at busy workers, and nobody is known to be free now. */
  async #auction(
    task: LiveTask,
    rounds: Rounds,
    selfOnly: boolean,
  ): Promise<Accepted | Unanswered | 'late' | undefined> {
    const { store, room, house, limit, claims } = this.#parts;
    const { awarding, outcome } = await room.enter(placeOf(task), task.stop.signal, async () => {
      const { taskId } = task.record;
      const spec = await store.spec(taskId);
      await store.update(task, { state: 'scheduled', phase: 'offering', waiting: null });
      const init = { attempt: nextAttempt(task.record), selfOnly, round: rounds.count };
      const result = await house.run(task, spec, init);
      limit.note(result.crowded);
      rounds.asked = result.asked;
      for (const peer of result.refused) rounds.refused.add(peer);
      const awarding = new Awarding(this.#components, store, task, result, await store.order(taskId));
      return { awarding, outcome: await awarding.now() };
    });
    return outcome && 'waitFor' in outcome ? awarding.late(claims, outcome) : outcome;
  }

  /** Until it is worth another try: a moment that grows, or an event that may help. */
  async #rest(task: LiveTask, round: number, funded: boolean): Promise<void> {
    const { store, room } = this.#parts;
    const { clock, random } = this.#components;
    const { policy } = task.record;
    await store.update(task, {
      state: 'pending',
      phase: 'queued',
      waiting: funded ? 'no_bids' : 'funds_locked',
    });
    // for want of money time alone changes nothing: its event will come, and the longest pause is for one that was missed
    const pause = funded ? backoffMs(round, random) * room.crowd : BACKOFF_MAX_MS;
    const ms = Math.max(0, Math.min(pause, policy.deadline - clock.now()));
    const needs = funded ? null : policy.payment;
    await room.rest(ms, { ...placeOf(task), needs }, task.stop.signal);
  }

  async #follow(task: LiveTask, { attempt, follower, kept }: Accepted): Promise<void> {
    const broke = new AbortController();
    kept?.catch(error => broke.abort(error));
    const signal = AbortSignal.any([task.stop.signal, broke.signal]);
    const locking = this.#lock(task, attempt, follower, broke);
    try {
      const end = await follower.run({ signal });
      // a lock that is under way is closed when it is there; only while no notary answers, another try would meet the same
      if (end.kind === 'failed' && end.message.code !== 'LOCK_MISSING') broke.abort(over);
      await locking;
      await this.#ended(task, attempt, follower, end);
    } catch (error) {
      if (task.stop.signal.aborted) return void (await this.#stopped(task, { attempt, follower }));
      const funds = hasCode(error, 'FUNDS_INSUFFICIENT', 'DAY_LIMIT');
      const lost = hasCode(error, 'WORKER_DEAD', 'LEASE_LOST', 'RESULT_UNREADABLE');
      const overdue = hasCode(error, 'LEASE_OVERDUE');
      const ours = hasCode(error, ...OWN_FAULTS);
      const reason = overdue
        ? 'the task took longer than agreed'
        : ours
          ? 'the requester could not go on'
          : 'the payment could not be locked';
      if (lost) follower.abandon(error);
      else await follower.finish({ type: 'cancel', reason });
      await writeOff(this.#components, this.#parts, task, attempt, {
        class: funds ? 'funds' : lost || overdue ? 'worker' : ours ? 'user' : 'network',
        code: codeOf(error),
        message: messageOf(error),
      });
    } finally {
      await follower.release();
    }
  }

  /** Beside the worker's staging: the lock, and its certificate to the worker. Failure ends the attempt. */
  async #lock(task: LiveTask, attempt: number, follower: Follower, broke: AbortController): Promise<void> {
    const { treasurer, store } = this.#parts;
    if (follower.award.price === 0n) return;
    const signal = AbortSignal.any([task.stop.signal, broke.signal]);
    try {
      await watchingLedger(this.#components, store, task, () =>
        treasurer.lock(task, attempt, lock => follower.sendLock(lock), { signal }),
      );
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
      return writeOff(this.#components, this.#parts, task, attempt, verdict.failure);
    }
    const { evidence } = end.message;
    if (evidence) await treasurer.keep(task, attempt, evidence);
    await follower.finish({ type: 'heartbeat' });
    return writeOff(this.#components, this.#parts, task, attempt, inWordsOf(end.message));
  }

  async #fail(task: LiveTask, failure: TaskFailure): Promise<undefined> {
    await this.#parts.store.update(task, { state: 'failed', phase: 'done', waiting: null, failure });
    return undefined;
  }

  /** The task's own signal: cancelled by its owner, or the node stops and leaves everything as it is. */
  async #stopped(task: LiveTask, accepted?: Accepted): Promise<undefined> {
    const reason = reasonOf(task.stop.signal);
    if (!hasCode(reason, 'CANCELLED')) {
      accepted?.follower.abandon(reason);
      throw reason;
    }
    const { store, treasurer, settler, room } = this.#parts;
    const end = accepted && (await cancelAttempt(this.#components, task, accepted.follower));
    if (end?.kind === 'delivered') {
      // it was done before it could be stopped: that is what the user gets, and pays
      await this.#ended(task, accepted!.attempt, accepted!.follower, end);
      return undefined;
    }
    const evidence = end?.message.evidence;
    if (accepted && evidence) await treasurer.keep(task, accepted.attempt, evidence);
    await accepted?.follower.finish({ type: 'heartbeat' });
    const failure: TaskFailure = { class: 'user', code: 'CANCELLED', message: reason.message };
    const endedAt = this.#components.clock.now();
    await store.update(task, record => ({
      state: 'cancelled',
      phase: 'done',
      waiting: null,
      failure,
      attempts: accepted ? changeAttempt(record, accepted.attempt, { failure, endedAt }) : record.attempts,
    }));
    if (accepted) settler.closeLater(task, accepted.attempt);
    room.wakeOne();
    return undefined;
  }
}

function placeOf({ record }: LiveTask): Place {
  return { priority: record.policy.priority, submittedAt: record.submittedAt };
}

const over = new CodedError({ code: 'ATTEMPT_OVER' }, 'the worker has given up');
