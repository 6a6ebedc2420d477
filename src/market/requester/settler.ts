import { setMaxListeners } from 'node:events';
import { codeOf, messageOf } from '../../util/index.ts';
import { buildReceipt } from '../../verification/index.ts';
import {
  type AttemptRecord,
  attestationKind,
  open,
  type TaskFailure,
  type TaskRecord,
} from '../../wire/index.ts';
import type { Follower } from './follow.ts';
import type { RequesterComponents } from './interface.ts';
import { watchingLedger } from './ledger-watch.ts';
import { LONGEST_WAIT_MS, type Treasurer, UNANSWERED } from './money.ts';
import { attemptOf, type LiveTask, moneyMoves, type TaskStore } from './task-store.ts';

const WRONG: TaskFailure = {
  class: 'worker',
  code: 'RESULT_WRONG',
  message: 'arbiters ran the task again and found another result: its worker was not paid',
};

/** From a checked result to the end: the money, the receipt, the rating, in one batch; and money that outlives its task. */
export class Settler {
  readonly #components: RequesterComponents;
  readonly #store: TaskStore;
  readonly #treasurer: Treasurer;
  readonly #background = new Map<string, Promise<void>>();
  /** Stops what waits for notaries and for time. */
  readonly stop = new AbortController();

  constructor(components: RequesterComponents, store: TaskStore, treasurer: Treasurer) {
    this.#components = components;
    this.#store = store;
    this.#treasurer = treasurer;
    // every task that is being paid listens: as many as may live
    setMaxListeners(0, this.stop.signal);
  }

  /** Ends a task in *paying*. Rejects with the stop signal's reason alone. */
  async finish(task: LiveTask, follower: Follower | null): Promise<void> {
    const { signal } = this.stop;
    await this.#answered(task);
    const { attempt } = task.record.result as NonNullable<TaskRecord['result']>;
    const entry = attemptOf(task.record, attempt);
    if (moneyMoves(entry) && (entry.evidence || task.record.waiting === UNANSWERED))
      await watchingLedger(this.#components, this.#store, task, () =>
        this.#treasurer.close(task, attempt, { signal }),
      );
    const closed = attemptOf(task.record, attempt);
    const { accept, waiting } = task.record;
    const isWrong = closed.escrow?.closedBy === 'verdict' && closed.pay === 0n;
    const failure = isWrong ? WRONG : task.record.failure;
    const receipt = await this.#receipt(task, closed);
    const { receipts } = this.#components;
    await this.#store.update(
      task,
      {
        state: failure ? 'failed' : 'completed',
        phase: 'done',
        waiting: null,
        failure,
        hasReceipt: receipt !== null,
      },
      [
        ...(receipt ? [receipts.putOp(task.record.taskId, receipt)] : []),
        ...(receipt ? this.#shareOps(task.record, closed) : []),
        // who was disputed and got all has been found right
        ...this.rating(closed, waiting !== 'disputed' || closed.pay === closed.price),
      ],
    );
    if (moneyMoves(closed)) this.closeLater(task, attempt);
    await follower?.finish({ type: 'settled', accept, close: closed.close });
  }

  /** Until the user has answered. Silence is an answer at its end: then what is signed, or time alone, closes the escrow. */
  async #answered(task: LiveTask): Promise<void> {
    const { clock } = this.#components;
    const { signal } = this.stop;
    const { attempt } = task.record.result as NonNullable<TaskRecord['result']>;
    while (task.record.waiting === 'awaiting_accept') {
      const at = this.#treasurer.silenceEnds(task, attempt);
      // nobody has accepted: the acceptance that was ready is not shown to anyone
      if (clock.now() >= at) await this.#store.update(task, { waiting: UNANSWERED, accept: null });
      else {
        await this.#treasurer.showClaim(task, attempt, { signal });
        const lookAt = Math.min(at, clock.now() + LONGEST_WAIT_MS);
        await this.#treasurer.waits.until(lookAt, { signal, change: task.changed.promise });
      }
    }
  }

  #shareOps({ result }: TaskRecord, { worker, pay }: AttemptRecord) {
    if (!result || !worker) return [];
    const { cpuMs, wallMs } = open(attestationKind, result.attestation).body.usage;
    return this.#components.shares.record({ peer: worker, role: 'used', cpuMs, wallMs, amount: pay });
  }

  /** What this execution teaches about its worker; nothing about ourselves. */
  rating(entry: AttemptRecord, success: boolean) {
    const { experience, signer } = this.#components;
    if (!entry.worker || entry.worker === signer.peer) return [];
    const claimedMs = entry.bids.find(bid => bid.worker === entry.worker)?.etaMs;
    const { awardedAt, endedAt } = entry;
    const known = success && claimedMs && awardedAt !== null && endedAt !== null;
    const time = known ? { claimedMs, actualMs: endedAt - awardedAt } : null;
    return experience.record(entry.worker, { success, time });
  }

  /** Closes what an attempt has locked, while the task goes on or is over. */
  closeLater(task: LiveTask, attempt: number): void {
    const key = `${task.record.taskId}/${attempt}`;
    if (this.#background.has(key) || !moneyMoves(attemptOf(task.record, attempt))) return;
    const closing = this.#treasurer
      .close(task, attempt, { signal: this.stop.signal })
      .then(
        () => undefined,
        error =>
          this.#components.logger.debug(
            { key, code: codeOf(error), error: messageOf(error) },
            'closing stopped',
          ),
      )
      .finally(() => this.#background.delete(key));
    this.#background.set(key, closing);
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#background.values());
  }

  /** The bundle that proves the deal; null while its escrow is open, where its lock came back, and where none was ever closed by us. */
  async #receipt(task: LiveTask, entry: AttemptRecord): Promise<Uint8Array | null> {
    const { genesis, settlement, logger } = this.#components;
    const { result, accept, taskId } = task.record;
    if (!result || !entry.acceptance || moneyMoves(entry) || (!accept && !entry.close)) return null;
    if (entry.money === 'refunded') return null;
    const { order } = await this.#store.order(taskId);
    const committees = entry.lock ? settlement.committees() : [];
    try {
      return buildReceipt({
        genesis: genesis.bytes,
        ...(committees.length > 0 ? { committees: [...committees] } : {}),
        order,
        acceptance: entry.acceptance,
        attestation: result.attestation,
        accept,
        lock: entry.lock,
        close: entry.close,
      });
    } catch (error) {
      logger.error(
        { task: taskId, code: codeOf(error), error: messageOf(error) },
        'no receipt could be made',
      );
      return null;
    }
  }
}
