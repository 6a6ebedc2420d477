import { codeOf, hasCode, messageOf, reasonOf } from '../../util/index.ts';
import type { TaskFailure } from '../../wire/index.ts';
import { BACKOFF_MAX_MS, HOPELESS_ROUNDS } from '../options.ts';
import type { AuctionLimit } from './aimd.ts';
import { AttemptRunner } from './attempt-runner.ts';
import {
  allRefuseForGood,
  executions,
  hasFunds,
  lastFailure,
  locksMissed,
  nextAttempt,
  noWorkerFits,
  overdue,
} from './attempts.ts';
import type { AuctionHouse } from './auction.ts';
import { type Accepted, Awarding, type Unanswered } from './awarding.ts';
import { cancelledBy } from './cancel.ts';
import type { Claims } from './claims.ts';
import { Follower } from './follow.ts';
import type { RequesterComponents } from './interface.ts';
import type { Treasurer } from './money.ts';
import { failureBefore } from './predecessors.ts';
import { type RaceEnd, runRace } from './race.ts';
import type { Settler } from './settler.ts';
import { hasEnded, isLive, isTaken, type LiveTask, moneyMoves, type TaskStore } from './task-store.ts';
import { backoffMs, type Place, type WaitingRoom } from './waiting-room.ts';
import { writeCrash, writeOff } from './write-off.ts';

/** Rounds of one task that led to no award; `hopeless` of them in a row were refused by all, and for good. */
interface Rounds {
  count: number;
  hopeless: number;
  /** Waits at busy workers that came to nothing. */
  late: number;
  /** Whom the last one asked. */
  asked: readonly string[];
  /** Whom any of them did. */
  readonly met: Set<string>;
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
  readonly #attempts: AttemptRunner;

  constructor(components: RequesterComponents, parts: RunnerParts) {
    this.#components = components;
    this.#parts = parts;
    this.#attempts = new AttemptRunner(components, parts);
  }

  /** Resolves when the task has ended, or the node stops. Never rejects. */
  async run(task: LiveTask): Promise<void> {
    const { logger } = this.#components;
    const { settler } = this.#parts;
    // the money of a result that is being paid is for `finish` to move, and where the user decides, for the user
    const paying = task.record.state === 'paying' ? task.record.result?.attempt : undefined;
    for (const entry of task.record.attempts)
      if (entry.attempt !== paying && moneyMoves(entry) && (entry.failure || isTaken(task.record)))
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
    const failure = await failureBefore(this.#components, this.#parts.store, task);
    if (failure) return void (await this.#fail(task, failure));
    const rounds: Rounds = { count: 0, hopeless: 0, late: 0, asked: [], met: new Set(), refused: new Set() };
    let accepted = await this.#resume(task);
    let race: RaceEnd = { winner: null, rest: Promise.resolve() };
    while (!isTaken(task.record)) {
      if (accepted.length === 0) accepted = await this.#round(task, rounds);
      if (accepted.length === 0) continue;
      race = await runRace(task, accepted, {
        run: (one, by) => this.#attempts.run(task, one, by),
        hedge: () => this.#hedge(task),
      });
      accepted = [];
      rounds.count = 0;
      room.wakeOne();
    }
    if (task.record.state === 'paying') await settler.finish(task, race.winner);
    await race.rest;
  }

  /** What an earlier run of this node left under way. */
  async #resume(task: LiveTask): Promise<Accepted[]> {
    const { store } = this.#parts;
    if (task.record.state === 'paying') return [];
    const last = task.record.attempts.at(-1);
    if (last?.award && !last.acceptance && !last.failure)
      await writeOff(this.#components, this.#parts, task, last.attempt, {
        class: 'network',
        code: 'AWARD_UNANSWERED',
        message: 'the node stopped before the worker had answered the award',
      });
    return task.record.attempts.filter(isLive).map(({ attempt }) => ({
      attempt,
      follower: new Follower(this.#components, store, task, attempt, null),
    }));
  }

  /** One auction and its awards; nothing when nobody took the task, after a rest. */
  async #round(task: LiveTask, rounds: Rounds): Promise<Accepted[]> {
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
        return await this.#rest(task, rounds.count++, funded);
      const answer = funded || !policy.avoidSelf ? await this.#auction(task, rounds, !funded) : undefined;
      if (answer === 'late') return [];
      if (answer) return await this.#answered(task, answer);
      rounds.hopeless = funded && allRefuseForGood(task.record, rounds) ? rounds.hopeless + 1 : 0;
      if (rounds.hopeless >= HOPELESS_ROUNDS)
        return this.#fail(
          task,
          executions(task.record) > 0 ? lastFailure(task.record) : noWorkerFits(task.record),
        );
      return await this.#rest(task, rounds.count++, funded);
    } catch (error) {
      if (!signal.aborted) throw error;
      return this.#stopped(task);
    }
  }

  async #answered(task: LiveTask, answer: Accepted | Unanswered): Promise<Accepted[]> {
    if ('follower' in answer) return [answer];
    await writeOff(this.#components, this.#parts, task, answer.attempt, answer.failure);
    return [];
  }

  /** Another attempt beside one that is silent, where the task may run twice and there is money for it; nothing when nobody takes it. */
  async #hedge(task: LiveTask): Promise<Accepted[]> {
    const { settlement, options, logger } = this.#components;
    const { store, room, house } = this.#parts;
    const { record } = task;
    if (!record.policy.idempotent || isTaken(record)) return [];
    if (!hasFunds(record, settlement.spending().spendable, options.maxPerTask)) return [];
    const attempt = nextAttempt(record);
    logger.info({ task: record.taskId, attempt }, 'a second worker is asked, the first is silent');
    const answer = await room.enter(placeOf(task), task.stop.signal, async () => {
      const { taskId } = record;
      const result = await house.run(task, await store.spec(taskId), { attempt, selfOnly: false, round: 0 });
      const order = await store.order(taskId);
      return new Awarding(this.#components, store, task, result, order, { isHedge: true }).now();
    });
    if (answer && !('waitFor' in answer)) return this.#answered(task, answer);
    // nobody takes it at once, so it was no attempt: the one that is under way stays the last
    await store.update(task, current => ({
      attempts: current.attempts.filter(entry => entry.attempt !== attempt),
    }));
    return [];
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
      // after a start, peers come one after another: those that are to come may take it
      if (result.asked.some(peer => !rounds.met.has(peer))) rounds.hopeless = 0;
      rounds.asked = result.asked;
      for (const peer of result.asked) rounds.met.add(peer);
      for (const peer of result.refused) rounds.refused.add(peer);
      const awarding = new Awarding(this.#components, store, task, result, await store.order(taskId));
      return { awarding, outcome: await awarding.now() };
    });
    return outcome && 'waitFor' in outcome ? awarding.late(claims, outcome, rounds.late++) : outcome;
  }

  /** Until it is worth another try: a moment that grows, or an event that may help. */
  async #rest(task: LiveTask, round: number, funded: boolean): Promise<never[]> {
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
    // where the task's own locks are too much for its bound, one that comes back is a change of its record
    const until = funded ? {} : { needs: policy.payment, change: task.changed.promise };
    await room.rest(ms, { ...placeOf(task), ...until }, task.stop.signal);
    return [];
  }

  async #fail(task: LiveTask, failure: TaskFailure): Promise<never[]> {
    await this.#parts.store.update(task, { state: 'failed', phase: 'done', waiting: null, failure });
    return [];
  }

  /** The task's own signal, while no attempt is under way: cancelled by its owner, or the node stops and leaves everything as it is. */
  async #stopped(task: LiveTask): Promise<never[]> {
    const { store, room } = this.#parts;
    const reason = reasonOf(task.stop.signal);
    if (!hasCode(reason, 'CANCELLED')) throw reason;
    await store.update(task, cancelledBy(reason));
    room.wakeOne();
    return [];
  }
}

function placeOf({ record }: LiveTask): Place {
  return { priority: record.policy.priority, submittedAt: record.submittedAt };
}
