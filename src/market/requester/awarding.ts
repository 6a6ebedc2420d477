import { codeOf, messageOf, reasonOf } from '../../util/index.ts';
import type { Refusal, TaskFailure } from '../../wire/index.ts';
import { emptyAttempt } from './attempts.ts';
import type { AuctionResult } from './auction.ts';
import { makeAward, sendAward } from './award.ts';
import { Follower } from './follow.ts';
import type { RequesterComponents } from './interface.ts';
import { changeAttempt, type LiveTask, type TaskStore } from './task-store.ts';

/** An attempt that a worker has accepted. */
export interface Accepted {
  readonly attempt: number;
  readonly follower: Follower;
}

/** An attempt whose worker gave no answer: it may have accepted, so its number is spent. */
export interface Unanswered {
  readonly attempt: number;
  readonly failure: TaskFailure;
}

/** Awards bid after bid until a worker accepts, or one does not answer; undefined when all have refused. */
export async function awardOne(
  components: RequesterComponents,
  store: TaskStore,
  task: LiveTask,
  result: AuctionResult,
): Promise<Accepted | Unanswered | undefined> {
  const { signal } = task.stop;
  const { offer } = result;
  const { attempt } = offer.body;
  const order = await store.order(task.record.taskId);
  // awards are written behind it: whoever waits for one has waited for this
  const begun = store.update(task, record => ({
    phase: 'awarding',
    attempts: [...record.attempts.filter(entry => entry.attempt !== attempt), emptyAttempt(result)],
  }));
  if (result.bids.length === 0) await begun;
  for (const choice of result.bids) {
    const award = makeAward(components, result, choice, order);
    const { worker, price, awardedAt } = award.body;
    const change = { worker, price, awardedAt, award: award.bytes };
    const written = Promise.all([begun, store.updateAttempt(task, attempt, change, { sync: true })]).then(
      () => undefined,
    );
    try {
      const answer = await sendAward(components, award, offer.bytes, order, { signal, written });
      if (answer.accepted) {
        task.log.restart();
        await store.updateAttempt(task, attempt, { acceptance: answer.acceptance.bytes });
        return { attempt, follower: new Follower(components, store, task, attempt, answer.channel) };
      }
      await refused(store, task, attempt, worker, answer.refusal);
    } catch (error) {
      if (signal.aborted) throw reasonOf(signal);
      return { attempt, failure: { class: 'network', code: codeOf(error), message: messageOf(error) } };
    }
  }
  return undefined;
}

/** A refusal leaves the attempt's number free for the next bid. */
function refused(
  store: TaskStore,
  task: LiveTask,
  attempt: number,
  worker: string,
  refusal: Refusal,
): Promise<void> {
  return store.update(task, record => {
    const bids = record.attempts.find(entry => entry.attempt === attempt)?.bids ?? [];
    return {
      attempts: changeAttempt(record, attempt, {
        worker: null,
        price: null,
        awardedAt: null,
        award: null,
        bids: bids.map(bid => (bid.worker === worker ? { ...bid, refusal } : bid)),
      }),
    };
  });
}
