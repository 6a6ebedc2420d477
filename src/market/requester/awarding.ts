import { codeOf, messageOf, reasonOf } from '../../util/index.ts';
import type { Refusal, TaskFailure, TaskOrder } from '../../wire/index.ts';
import { nextStep } from '../binding.ts';
import { PLACE_MS, SILENT_MS } from '../options.ts';
import { emptyAttempt } from './attempts.ts';
import type { AuctionResult, ScoredBid } from './auction.ts';
import { makeAward, sendAward } from './award.ts';
import type { Claims } from './claims.ts';
import { Follower } from './follow.ts';
import type { RequesterComponents } from './interface.ts';
import { changeAttempt, type LiveTask, type TaskStore } from './task-store.ts';

/** An attempt that a worker has accepted. */
export interface Accepted {
  readonly attempt: number;
  readonly follower: Follower;
  /** The worker's word is on disk, and nothing waits for that: whatever follows on it is written behind it. */
  readonly kept?: Promise<void>;
}

/** An attempt whose worker gave no answer: it may have accepted, so its number is spent. */
export interface Unanswered {
  readonly attempt: number;
  readonly failure: TaskFailure;
}

/** An attempt that has only busy bidders left. */
export interface Busy {
  readonly waitFor: readonly ScoredBid[];
}

/** What one award came to; `refused` leaves its attempt's number free for the next. */
type Outcome = Accepted | Unanswered | { readonly refused: Refusal };

/** The awards of one auction. */
export class Awarding {
  readonly #components: RequesterComponents;
  readonly #store: TaskStore;
  readonly #task: LiveTask;
  readonly #result: AuctionResult;
  readonly #order: TaskOrder;
  /** Awards are written behind it: whoever waits for one has waited for this. */
  readonly #begun: Promise<void>;

  constructor(
    components: RequesterComponents,
    store: TaskStore,
    task: LiveTask,
    result: AuctionResult,
    order: TaskOrder,
    { isHedge = false } = {},
  ) {
    this.#components = components;
    this.#store = store;
    this.#task = task;
    this.#result = result;
    this.#order = order;
    this.#begun = store.update(task, record => ({
      // a hedge leaves the task in the phase of the attempt that it runs beside
      ...(isHedge ? {} : { phase: 'awarding' }),
      attempts: [...record.attempts.filter(entry => entry.attempt !== this.#attempt), emptyAttempt(result)],
    }));
  }

  /** Awards bid after bid until a worker accepts, or one does not answer; undefined when all have refused. */
  async now(): Promise<Accepted | Unanswered | Busy | undefined> {
    const { bids, asked, refused } = this.#result;
    if (bids.length === 0) await this.#begun;
    const isOnly = (peer: string) => asked.every(other => other === peer || refused.includes(other));
    let left = bids.map(choice => ({
      choice,
      score: choice.score,
      isDoubtful: choice.isDoubtful,
      isFree: choice.bid.body.queuePosition === 0,
    }));
    for (;;) {
      const [first] = left;
      const step = nextStep(left, {
        secondValue: this.#components.options.secondValue,
        isOnly: first !== undefined && isOnly(first.choice.bid.body.worker),
      });
      if (!step) return undefined;
      if ('waitFor' in step) return { waitFor: step.waitFor.map(({ choice }) => choice) };
      const { award } = step;
      const outcome = await this.#award(award.choice, step.atOnce);
      if (!('refused' in outcome)) return outcome;
      const isBusy = outcome.refused.code === 'SLOT_TAKEN';
      left = left.flatMap(bid => (bid !== award ? [bid] : isBusy ? [{ ...bid, isFree: false }] : []));
    }
  }

  /**
   * Waits at busy bidders, for as long as they keep places; undefined when none of them will take it. Where some did not answer in time, one of
   * them may have a slot free: they are asked again soon, each time `before` less soon.
   */
  async late(
    claims: Claims,
    { waitFor }: Busy,
    before: number,
  ): Promise<Accepted | Unanswered | 'late' | undefined> {
    const { signal } = this.#task.stop;
    await this.#store.update(this.#task, { phase: 'queued', waiting: 'worker_busy' });
    const { offer, silent } = this.#result;
    const ms = silent.length > 0 ? Math.min(PLACE_MS, SILENT_MS * 2 ** before) : PLACE_MS;
    const wait = claims.open(offer, waitFor, ms);
    try {
      for (let choice = await wait.next(signal); choice; choice = await wait.next(signal)) {
        const outcome = await this.#award(choice, true);
        if (!('refused' in outcome)) return outcome;
        wait.refused(choice.bid.body.worker);
      }
      return wait.isLate ? 'late' : undefined;
    } finally {
      wait.close();
    }
  }

  get #attempt(): number {
    return this.#result.offer.body.attempt;
  }

  async #award(choice: ScoredBid, atOnce: boolean): Promise<Outcome> {
    const [components, store, task, attempt] = [this.#components, this.#store, this.#task, this.#attempt];
    const { signal } = task.stop;
    const { offer } = this.#result;
    const award = makeAward(components, this.#result, choice, this.#order);
    const { worker, price, awardedAt } = award.body;
    const change = { worker, price, awardedAt, award: award.bytes };
    const written = Promise.all([
      this.#begun,
      store.updateAttempt(task, attempt, change, { sync: true }),
    ]).then(() => undefined);
    try {
      const { bound } = task.record;
      const given = bound.length > 0 ? { bound } : {};
      const message = { offer: offer.bytes, ...this.#order, atOnce, ...given };
      const answer = await sendAward(components, award, message, { signal, written });
      if (answer.accepted) {
        task.log.restart();
        const kept = store.updateAttempt(task, attempt, { acceptance: answer.acceptance.bytes });
        return { attempt, follower: new Follower(components, store, task, attempt, answer.channel), kept };
      }
      components.experience.refused(worker);
      await this.#refused(worker, answer.refusal);
      return { refused: answer.refusal };
    } catch (error) {
      if (signal.aborted) throw reasonOf(signal);
      components.experience.refused(worker);
      return { attempt, failure: { class: 'network', code: codeOf(error), message: messageOf(error) } };
    }
  }

  #refused(worker: string, refusal: Refusal): Promise<void> {
    return this.#store.update(this.#task, record => {
      const bids = record.attempts.find(entry => entry.attempt === this.#attempt)?.bids ?? [];
      return {
        attempts: changeAttempt(record, this.#attempt, {
          worker: null,
          price: null,
          awardedAt: null,
          award: null,
          bids: bids.map(bid => (bid.worker === worker ? { ...bid, refusal } : bid)),
        }),
      };
    });
  }
}
