import { type Closing, type Escrow, readLock, type Standing } from '../../ledger/index.ts';
import { codeOf, hasCode, messageOf, reasonOf } from '../../util/index.ts';
import { failureShare } from '../../verification/index.ts';
import {
  type AttemptRecord,
  addSignature,
  awardKind,
  cancelKind,
  type Decided,
  mutualKind,
  type Opened,
  offerKind,
  open,
  peekKind,
  sameBytes,
  verdictKind,
} from '../../wire/index.ts';
import { CLAIM_LEAD_MS, NOTARY_GRACE_MS, SPLIT_LEAD_MS } from '../options.ts';
import { lockFor } from '../terms.ts';
import type { Arbitration } from './arbitration.ts';
import { escrowRecord, isDispute, MAX_EVIDENCE_BYTES, ownStep } from './escrow-steps.ts';
import { EscrowWaits } from './escrow-waits.ts';
import { fetchEvidence } from './fetch-evidence.ts';
import { OWN_FAULTS } from './follow-end.ts';
import type { RequesterComponents } from './interface.ts';
import { attemptOf, type LiveTask, type TaskStore } from './task-store.ts';

/** Between tries while no notary answers, or while an escrow waits for time alone. */
const RETRY_MS = 5_000;
/** A wait for a deadline is cut into these: the worker may have moved the escrow meanwhile. */
export const LONGEST_WAIT_MS = 60_000;
/** A worker's signature is asked for at growing intervals, from this one. */
const ASK_FIRST_MS = 500;
/** Why a task waits whose user neither accepted nor disputed in time. */
export const UNANSWERED = 'unanswered';

/** The requester's side of escrows: locks, and whatever closes them, until each is closed. */
export class Treasurer {
  readonly #components: RequesterComponents;
  readonly #store: TaskStore;
  readonly #arbitration: Arbitration;
  /** Escrows that are open, between two looks at them. */
  readonly waits: EscrowWaits;

  constructor(components: RequesterComponents, store: TaskStore, arbitration: Arbitration) {
    this.#components = components;
    this.#store = store;
    this.#arbitration = arbitration;
    this.waits = new EscrowWaits(components.clock);
  }

  /**
   * Locks the award's price, once, whatever is repeated, and passes the certificate on. Our own record of it need not be on disk before: the
   * wallet finds the lock again by its order, which is. @throws CodedError `FUNDS_INSUFFICIENT`, or the signal's reason.
   */
  async lock(
    task: LiveTask,
    attempt: number,
    pass: (lock: Decided) => Promise<void>,
    { signal }: { signal: AbortSignal },
  ): Promise<void> {
    const { settlement } = this.#components;
    const entry = attemptOf(task.record, attempt);
    if (entry.lock) return pass(entry.lock);
    const award = open(awardKind, entry.award as Uint8Array).body;
    const { terms } = open(offerKind, entry.offer).body;
    // writes keep their order: the order is never on disk before this is
    const [escrow] = await Promise.all([
      settlement.lock(award, lockFor(award, terms), { signal }),
      this.#store.updateAttempt(task, attempt, { money: 'locking' }),
    ]);
    await Promise.all([pass(escrow.decided), this.#locked(task, attempt, escrow)]);
  }

  #locked(task: LiveTask, attempt: number, escrow: Escrow): Promise<void> {
    const { escrowId, decided } = escrow;
    const change = { money: 'locked', escrowId, lock: decided } as const;
    return this.#store.updateAttempt(task, attempt, { ...change, escrow: escrowRecord(escrow, 'open') });
  }

  /**
   * Keeps what a worker signed for an attempt that came to nothing, if it is what closes the escrow as agreed: the lock given back,
   * or, of an attempt that this node itself ended, a split by the time used. Anything else is dropped.
   */
  async keep(task: LiveTask, attempt: number, bytes: Uint8Array): Promise<boolean> {
    const entry = attemptOf(task.record, attempt);
    if (!entry.escrowId || !entry.worker) return false;
    const evidence = this.agree(bytes, entry.escrowId, entry.worker, this.#mostFor(task, entry));
    if (evidence) await this.#store.updateAttempt(task, attempt, { evidence });
    return evidence !== undefined;
  }

  /** Counted from the award on, since a task may have started before we heard of it. */
  #mostFor(task: LiveTask, { failure, offer, price, awardedAt, endedAt }: AttemptRecord): bigint {
    const isOurs = failure !== null && ['CANCELLED', ...OWN_FAULTS].includes(failure.code);
    const isCancelled = hasCode(task.stop.signal.reason, 'CANCELLED');
    if ((!isOurs && !isCancelled) || price === null || awardedAt === null) return 0n;
    const { terms, needs } = open(offerKind, offer).body;
    const { limits, failureFloorPermille } = terms;
    const wallMs = (endedAt ?? this.#components.clock.now()) - awardedAt;
    return failureShare({
      ask: price / BigInt(needs.members ?? 1),
      wallMs,
      timeoutMs: limits.runMs,
      floorPermille: failureFloorPermille,
    });
  }

  /** A worker's cancellation as it is, or its split with our signature if it asks for no more than `most`; undefined otherwise. */
  agree(bytes: Uint8Array, escrowId: string, worker: string, most: bigint): Uint8Array | undefined {
    const { genesis, signer, logger } = this.#components;
    const isOurs = ({ body, signers }: Opened<{ net: Uint8Array; escrowId: string }>) =>
      signers.includes(worker) && body.escrowId === escrowId && sameBytes(body.net, genesis.net);
    try {
      if (peekKind(bytes, MAX_EVIDENCE_BYTES) === cancelKind.name)
        return isOurs(open(cancelKind, bytes)) ? bytes : undefined;
      const mutual = open(mutualKind, bytes);
      return isOurs(mutual) && mutual.body.pay <= most
        ? addSignature(mutualKind, mutual, signer).bytes
        : undefined;
    } catch (error) {
      logger.debug({ worker, code: codeOf(error) }, 'a worker’s evidence was not what it should be');
      return undefined;
    }
  }

  /**
   * When the silence of a user who is to accept or dispute ends, wall-clock milliseconds: the claim is paid then; a split that both
   * have signed is filed before, since the claim is of the whole.
   */
  silenceEnds(task: LiveTask, attempt: number): number {
    const { award, offer, evidence } = attemptOf(task.record, attempt);
    const { terms } = open(offerKind, offer).body;
    const { disputeBy } = lockFor(open(awardKind, award as Uint8Array).body, terms);
    return evidence ? disputeBy - SPLIT_LEAD_MS : disputeBy + NOTARY_GRACE_MS;
  }

  /** While a user has the word: shows a claim, which comes near the end of its time. Never rejects but with the signal's reason. */
  async showClaim(task: LiveTask, attempt: number, { signal }: { signal: AbortSignal }): Promise<void> {
    const { escrow: known } = attemptOf(task.record, attempt);
    const mayBeClaimed = known && this.#components.clock.now() > known.claimBy - CLAIM_LEAD_MS;
    if (!mayBeClaimed || known.state !== 'open') return;
    try {
      const escrow = await this.#escrowOf(task, attempt, signal);
      if (escrow) await this.#look(task, attempt, escrow, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#components.logger.debug({ code: codeOf(error) }, 'an escrow could not be looked at');
    }
  }

  /**
   * Closes the attempt's escrow, however long it takes: by the evidence that is kept, by time where there is none, by a dispute
   * where the worker claims what was not delivered, and by what arbiters then say. Resolves when it is closed and written down.
   */
  async close(
    task: LiveTask,
    attempt: number,
    { signal }: { signal: AbortSignal },
  ): Promise<Closing | undefined> {
    const { logger } = this.#components;
    for (let tries = 0; ; tries++) {
      let wait = RETRY_MS;
      try {
        const escrow = await this.#escrowOf(task, attempt, signal);
        if (!escrow) {
          await this.#store.updateAttempt(task, attempt, { money: 'none' });
          return undefined;
        }
        const closing = await this.#tryClose(task, attempt, escrow, signal);
        if (closing === 'pending') tries = 0;
        else if (closing) {
          await this.#closed(task, attempt, escrow, closing);
          return closing;
        }
        wait = Math.min(this.#untilNext(escrow), ASK_FIRST_MS * 2 ** tries);
        if (await this.#askWorker(task, attempt, escrow, signal)) continue;
      } catch (error) {
        if (signal.aborted) throw reasonOf(signal);
        logger.info(
          { task: task.record.taskId, code: codeOf(error), error: messageOf(error) },
          'escrow is still open',
        );
      }
      const { worker } = attemptOf(task.record, attempt);
      const at = this.#components.clock.now() + wait;
      if ((await this.waits.until(at, { worker, signal })) === 'peer') tries = 0;
    }
  }

  /** Tells the worker of an attempt that is over or disputed, while it is there, and asks for its signature; true when it gave one. */
  async #askWorker(
    task: LiveTask,
    attempt: number,
    { decided }: Escrow,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { network } = this.#components;
    const { award, worker, failure, evidence, escrow } = attemptOf(task.record, attempt);
    const isDisputed = evidence !== null && isDispute(evidence) && escrow?.state === 'open';
    const isOver = isDisputed || (failure !== null && evidence === null);
    if (!award || !worker || !isOver || !network.isConnected(worker)) return false;
    const reason = isDisputed ? 'its requester disputes the result' : 'its requester has gone on without it';
    const options = { reason, signal };
    const signed = await fetchEvidence(this.#components, open(awardKind, award).body, decided, options);
    return signed !== undefined && !isDisputed && this.keep(task, attempt, signed);
  }

  async #escrowOf(task: LiveTask, attempt: number, signal: AbortSignal): Promise<Escrow | undefined> {
    const { settlement } = this.#components;
    const entry = attemptOf(task.record, attempt);
    const ref = { taskId: task.record.taskId, replica: 0, attempt };
    if (entry.lock) return readLock(entry.lock, ref, settlement.committee);
    const found = await settlement.findLock(ref, { signal });
    if (found) await this.#locked(task, attempt, found);
    return found;
  }

  /** Takes the next step that there is: the closing, or `pending` after one that leads further. */
  async #tryClose(
    task: LiveTask,
    attempt: number,
    escrow: Escrow,
    signal: AbortSignal,
  ): Promise<Closing | 'pending' | undefined> {
    const { evidence } = attemptOf(task.record, attempt);
    // a dispute has its place on a claim, and waits for one
    if (evidence && !isDispute(evidence)) {
      const closing = await this.#settle(escrow, evidence, signal);
      if (closing !== 'refused' && closing !== 'pending') return closing;
    }
    const standing = await this.#look(task, attempt, escrow, signal);
    if (standing.closing) return standing.closing;
    const next =
      this.#ownStep(task, attempt, escrow, standing) ??
      (await this.#arbitration.verdict(task, attempt, escrow, standing, { signal, waits: this.waits }));
    const closing = next && (await this.#settle(escrow, next, signal));
    return closing === 'refused' ? undefined : closing;
  }

  #ownStep(
    { record }: LiveTask,
    attempt: number,
    escrow: Escrow,
    standing: Standing,
  ): Uint8Array | undefined {
    // what was delivered and has passed its checks is the user's to dispute
    const isTaken = record.waiting === UNANSWERED && record.result?.attempt === attempt;
    return ownStep(this.#components, attemptOf(record, attempt), escrow, standing, isTaken);
  }

  /** How the escrow stands; noted where that is new. */
  async #look(task: LiveTask, attempt: number, escrow: Escrow, signal: AbortSignal): Promise<Standing> {
    const standing = await this.#components.settlement.inspect(escrow, { signal });
    const state = standing.dispute ? 'disputed' : standing.claim ? 'claimed' : 'open';
    const { escrow: known } = attemptOf(task.record, attempt);
    if (!standing.closing && known?.state !== state)
      await this.#store.updateAttempt(task, attempt, { escrow: escrowRecord(escrow, state) });
    return standing;
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

  async #closed(task: LiveTask, attempt: number, escrow: Escrow, closing: Closing): Promise<void> {
    const { outcome, pay, fee, decided } = closing;
    const money = outcome === 'paid' ? ('released' as const) : outcome;
    const closedBy = peekKind(decided.value, MAX_EVIDENCE_BYTES) ?? null;
    const finding = closedBy === verdictKind.name ? attemptOf(task.record, attempt).escrow?.finding : null;
    const closed = escrowRecord(escrow, outcome, { closedBy, finding: finding ?? null });
    // a lock is as large as the order that it came in: that of a failed attempt is of no more use
    const isKept = task.record.result?.attempt === attempt;
    const lock = isKept ? attemptOf(task.record, attempt).lock : null;
    const change = { money, pay, fee, lock, close: decided, escrow: closed };
    await this.#store.updateAttempt(task, attempt, change);
  }

  #untilNext({ lock }: Escrow): number {
    const now = this.#components.clock.now();
    const next = [lock.claimBy, lock.disputeBy, lock.verdictBy]
      .map(at => at + NOTARY_GRACE_MS + 1 - now)
      .find(ms => ms > 0);
    return Math.min(LONGEST_WAIT_MS, Math.max(RETRY_MS, next ?? RETRY_MS));
  }
}
