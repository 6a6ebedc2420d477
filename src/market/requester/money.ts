import { type Closing, type Escrow, readLock } from '../../ledger/index.ts';
import { codeOf, hasCode, messageOf, reasonOf, sleep } from '../../util/index.ts';
import {
  type AttemptRecord,
  addSignature,
  awardKind,
  type Decided,
  disputeKind,
  mutualKind,
  offerKind,
  open,
  sameBytes,
  seal,
  timeoutKind,
} from '../../wire/index.ts';
import { NOTARY_GRACE_MS } from '../options.ts';
import { lockFor } from '../terms.ts';
import type { RequesterComponents } from './interface.ts';
import { attemptOf, type LiveTask, type TaskStore } from './task-store.ts';

/** Between tries while no notary answers, or while an escrow waits for time alone. */
const RETRY_MS = 5_000;
/** A wait for a deadline is cut into these, so that a step of the clock is noticed. */
const LONGEST_WAIT_MS = 60_000;

/** The requester's side of escrows: locks, and whatever closes them, until each is closed. */
export class Treasurer {
  readonly #components: RequesterComponents;
  readonly #store: TaskStore;

  constructor(components: RequesterComponents, store: TaskStore) {
    this.#components = components;
    this.#store = store;
  }

  /** Locks the award's price: once, whatever is repeated. @throws CodedError `FUNDS_INSUFFICIENT`, or the signal's reason. */
  async lock(task: LiveTask, attempt: number, { signal }: { signal: AbortSignal }): Promise<Decided> {
    const { settlement } = this.#components;
    const entry = attemptOf(task.record, attempt);
    if (entry.lock) return entry.lock;
    const award = open(awardKind, entry.award as Uint8Array).body;
    const { terms } = open(offerKind, entry.offer).body;
    await this.#store.updateAttempt(task, attempt, { money: 'locking' });
    const escrow = await settlement.lock(award, lockFor(award, terms), { signal });
    await this.#locked(task, attempt, escrow);
    return escrow.decided;
  }

  #locked(task: LiveTask, attempt: number, { escrowId, decided }: Escrow): Promise<void> {
    return this.#store.updateAttempt(task, attempt, { money: 'locked', escrowId, lock: decided });
  }

  /** The evidence that closes this attempt's escrow, once somebody has signed it. */
  async keep(task: LiveTask, attempt: number, evidence: Uint8Array): Promise<void> {
    await this.#store.updateAttempt(task, attempt, { evidence });
  }

  /** Agrees to a worker's split if it asks for no more than `most`; undefined when it is not what it should be. */
  agree(bytes: Uint8Array, escrowId: string, worker: string, most: bigint): Uint8Array | undefined {
    const { genesis, signer, logger } = this.#components;
    try {
      const mutual = open(mutualKind, bytes);
      const { body } = mutual;
      const fits =
        mutual.signers.includes(worker) && body.escrowId === escrowId && sameBytes(body.net, genesis.net);
      return fits && body.pay <= most ? addSignature(mutualKind, mutual, signer).bytes : undefined;
    } catch (error) {
      logger.debug({ worker, code: codeOf(error) }, 'a split was not what it claims to be');
      return undefined;
    }
  }

  /**
   * Closes the attempt's escrow, however long it takes: by the evidence that is kept, by time where there is none, by a dispute
   * where the worker claims what was not delivered. Resolves when it is closed and written down.
   */
  async close(
    task: LiveTask,
    attempt: number,
    { signal }: { signal: AbortSignal },
  ): Promise<Closing | undefined> {
    const { logger, clock } = this.#components;
    for (;;) {
      try {
        const escrow = await this.#escrowOf(task, attempt, signal);
        if (!escrow) {
          await this.#store.updateAttempt(task, attempt, { money: 'none' });
          return undefined;
        }
        const closing = await this.#tryClose(attemptOf(task.record, attempt), escrow, signal);
        if (closing) {
          await this.#closed(task, attempt, closing);
          return closing;
        }
        await sleep(this.#untilNext(escrow), { signal, clock });
      } catch (error) {
        if (signal.aborted) throw reasonOf(signal);
        logger.info(
          { task: task.record.taskId, code: codeOf(error), error: messageOf(error) },
          'escrow is still open',
        );
        await sleep(RETRY_MS, { signal, clock });
      }
    }
  }

  async #escrowOf(task: LiveTask, attempt: number, signal: AbortSignal): Promise<Escrow | undefined> {
    const { settlement, committee } = this.#components;
    const entry = attemptOf(task.record, attempt);
    const ref = { taskId: task.record.taskId, replica: 0, attempt };
    if (entry.lock) return readLock(entry.lock, ref, committee);
    const found = await settlement.findLock(ref, { signal });
    if (found) await this.#locked(task, attempt, found);
    return found;
  }

  async #tryClose(entry: AttemptRecord, escrow: Escrow, signal: AbortSignal): Promise<Closing | undefined> {
    const { settlement, genesis, clock } = this.#components;
    const { escrowId, lock } = escrow;
    const now = clock.now();
    if (entry.evidence) {
      const closing = await this.#settle(escrow, entry.evidence, signal);
      if (closing !== 'refused') return closing === 'pending' ? undefined : closing;
    }
    const seen = await settlement.inspect(escrow, { signal });
    if (seen !== 'open') return seen;
    const steps = [
      // nothing attested in time: it all comes back
      () =>
        now > lock.claimBy + NOTARY_GRACE_MS &&
        seal(timeoutKind, { net: genesis.net, escrowId, step: 'refund' }).bytes,
      // claimed, and nothing that passed its checks was delivered
      () =>
        now <= lock.disputeBy &&
        seal(
          disputeKind,
          { net: genesis.net, escrowId, reason: entry.failure?.code ?? 'NOT_DELIVERED' },
          this.#components.signer,
        ).bytes,
      () =>
        now > lock.verdictBy + NOTARY_GRACE_MS &&
        seal(timeoutKind, { net: genesis.net, escrowId, step: 'arbitration' }).bytes,
    ];
    for (const step of steps) {
      const evidence = step();
      const closing = evidence ? await this.#settle(escrow, evidence, signal) : 'refused';
      if (closing !== 'refused' && closing !== 'pending') return closing;
    }
    return undefined;
  }

  /** `refused`: this evidence has no place in the escrow's state. */
  async #settle(
    escrow: Escrow,
    evidence: Uint8Array,
    signal: AbortSignal,
  ): Promise<Closing | 'pending' | 'refused'> {
    try {
      return await this.#components.settlement.settle(escrow, evidence, { signal });
    } catch (error) {
      if (hasCode(error, 'LEDGER_REFUSED')) return 'refused';
      throw error;
    }
  }

  async #closed(task: LiveTask, attempt: number, closing: Closing): Promise<void> {
    const money = closing.outcome === 'paid' ? 'released' : closing.outcome;
    const { pay, fee, decided } = closing;
    await this.#store.updateAttempt(task, attempt, { money, pay, fee, close: decided });
  }

  #untilNext({ lock }: Escrow): number {
    const now = this.#components.clock.now();
    const next = [lock.claimBy, lock.verdictBy].map(at => at + NOTARY_GRACE_MS + 1 - now).find(ms => ms > 0);
    return Math.min(LONGEST_WAIT_MS, Math.max(RETRY_MS, next ?? RETRY_MS));
  }
}
