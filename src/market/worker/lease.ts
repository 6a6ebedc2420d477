import type { BatchOp } from '../../db/index.ts';
import { type Closing, readLock } from '../../ledger/index.ts';
import {
  CodedError,
  codeOf,
  type Deferred,
  deferred,
  hasCode,
  messageOf,
  withDeadline,
} from '../../util/index.ts';
import { earned, failureShare, type KeptResult } from '../../verification/index.ts';
import {
  type Award,
  attestationKind,
  awardKind,
  type BoundSpec,
  cancelKind,
  type Decided,
  type ErrorClass,
  fetchedInputs,
  type LeaseRecord,
  mutualKind,
  type Offer,
  offerKind,
  open,
  ranWell,
  refKey,
  seal,
  type WorkerPhase,
} from '../../wire/index.ts';
import type { WorkerChannel } from '../channel.ts';
import { LOCK_WAIT_MS } from '../options.ts';
import { lockFits } from '../terms.ts';
import { resultMessages } from './delivery.ts';
import { InputFetcher } from './inputs.ts';
import type { WorkerComponents } from './interface.ts';
import { type From, Outlet } from './outlet.ts';

/** Why a lease ended without a result. */
export interface LeaseFailure {
  readonly class: ErrorClass;
  readonly code: string;
  readonly message: string;
}

/** What is said of a lease whose run ended with an earlier run of this node. */
export const lostLease: LeaseFailure = {
  class: 'worker',
  code: 'LEASE_LOST',
  message: 'the worker restarted and lost the running task',
};

/** One accepted award while it lives here: its record, its requester's stream if there is one, its certified lock. */
export class Lease {
  readonly key: string;
  readonly award: Award;
  readonly offer: Offer;
  /** Null after the execution, and after a restart: it may hold inputs of some MiB. */
  spec: BoundSpec | null;
  readonly outlet: Outlet;
  /** Null where there is nothing to fetch. */
  readonly inputs: InputFetcher | null;
  readonly stop = new AbortController();
  record: LeaseRecord;
  failure: LeaseFailure | null = null;
  phase: WorkerPhase = 'queued';
  /** When the task itself started, monotonic. */
  executingSince: number | null = null;
  /** When the sweep takes its next step with it, monotonic, and how long it waited for this one. */
  stepAt = 0;
  stepMs = 0;
  claiming = false;
  /** Its requester will not pay by itself. */
  contested = false;
  /** The record as it is on disk. */
  #written: LeaseRecord;
  readonly #locked: Deferred<void> = deferred();
  readonly #components: WorkerComponents;

  constructor(components: WorkerComponents, record: LeaseRecord, spec: BoundSpec | null) {
    this.#components = components;
    this.record = record;
    this.#written = record;
    this.spec = spec;
    this.key = refKey(record);
    this.award = open(awardKind, record.award).body;
    this.offer = open(offerKind, record.offer).body;
    this.outlet = new Outlet(components.logger, this.key);
    this.inputs =
      spec && fetchedInputs(spec).length > 0 ? new InputFetcher(components, this.outlet, spec) : null;
    if (record.lock) this.#locked.resolve();
    if (record.state !== 'accepted') this.outlet.log.end();
    if (!record.running) return;
    const { clock } = components;
    this.phase = 'executing';
    this.executingSince = clock.monotonic() - Math.max(0, clock.now() - record.running.startedAt);
  }

  /** Puts a change on disk, then in force. */
  async save(
    change: Partial<LeaseRecord>,
    { sync = false } = {},
    ops: readonly BatchOp[] = [],
  ): Promise<void> {
    const { db, leases, clock } = this.#components;
    const record = { ...this.record, ...change, updatedAt: clock.now() };
    this.record = record;
    if (record.state === 'settled') this.outlet.release();
    await db.write([leases.putOp(this.key, record), ...ops], { sync });
    this.#written = record;
  }

  /** Nothing is left to do or to say, and the disk knows it. */
  get isOver(): boolean {
    return this.record.state === 'settled' && this.#written === this.record && !this.outlet.attached;
  }

  /** The end of it: once, and counted where work was done that its requester accepted or a certificate pays. */
  async settle(change: Partial<LeaseRecord>, closing: Closing | null): Promise<void> {
    const isFirst = this.record.state !== 'settled';
    await this.save({ ...change, state: 'settled' }, {}, isFirst ? this.#shareOps(change, closing) : []);
  }

  #shareOps({ accept }: Partial<LeaseRecord>, closing: Closing | null): BatchOp[] {
    const { attestation, requester } = this.record;
    if (!attestation || closing?.outcome === 'refunded' || (!closing && !accept)) return [];
    const { cpuMs, wallMs } = open(attestationKind, attestation).body.usage;
    const amount = closing ? closing.pay - closing.fee : 0n;
    return this.#components.shares.record({ peer: requester, role: 'lent', cpuMs, wallMs, amount });
  }

  /** The task runs: what can be taken up again is noted. Never rejects: what was not noted is lost with this process. */
  async started(handle: string | null, imageDigest: string): Promise<void> {
    const { clock, logger } = this.#components;
    if (handle === null || this.record.running) return;
    try {
      await this.save({ running: { handle, imageDigest, startedAt: clock.now() } });
    } catch (error) {
      logger.warn({ task: this.key, code: codeOf(error), error: messageOf(error) }, 'a run is not noted');
    }
  }

  async enter(phase: WorkerPhase, progress: number | null = null): Promise<void> {
    this.phase = phase;
    await this.outlet.say({ type: 'phase', phase, progress });
  }

  /** A (new) stream of the requester: brings it up to date, with logs from what it has. Sending does not hold up the reader. */
  attach(channel: WorkerChannel, from: From): void {
    this.outlet.attach(channel, from);
    this.inputs?.attached();
    if (this.record.state === 'accepted')
      void this.outlet.say({ type: 'phase', phase: this.phase, progress: null });
    void this.deliver();
  }

  /** Live output: kept for whoever attaches later, and sent on. */
  async output(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> {
    const { log } = this.outlet;
    log.append(stream, log.size(stream), bytes);
  }

  /** The certified lock came: it must be the one that the award calls for. */
  async lockArrived(decided: Decided): Promise<void> {
    const { settlement } = this.#components;
    if (this.record.lock) return;
    await settlement.follow([decided], this.award.requester);
    const escrow = readLock(decided, this.award, settlement.committee);
    if (escrow.requester !== this.award.requester || !lockFits(escrow.lock, this.award, this.offer.terms))
      throw new CodedError({ code: 'LOCK_DIFFERS' }, 'the lock is not the one that was agreed');
    // in force at once: where it is lost with this process, its requester sends it again
    const saved = this.save({ lock: decided, escrowId: escrow.escrowId });
    this.#locked.resolve();
    await saved;
    await settlement.observe([decided]);
    if (this.record.state === 'given_up') await this.#giveBack();
  }

  /** Waits for the lock, from the moment that all is staged. @throws CodedError `LOCK_MISSING`, `CLAIM_TOO_LATE`. */
  async awaitLock(): Promise<void> {
    const { clock } = this.#components;
    if (this.record.price === 0n) return;
    try {
      await withDeadline(LOCK_WAIT_MS, 'the lock', () => this.#locked.promise, {
        signal: this.stop.signal,
        clock,
      });
    } catch (cause) {
      if (!hasCode(cause, 'TIMEOUT')) throw cause;
      throw new CodedError({ code: 'LOCK_MISSING' }, 'the certified lock did not come in time', { cause });
    }
    const { claimMs, limits } = this.offer.terms;
    if (clock.now() + limits.runMs + limits.collectMs > this.award.awardedAt + claimMs)
      throw new CodedError(
        { code: 'CLAIM_TOO_LATE' },
        'too little time is left to run the task and claim its price',
      );
  }

  /** The price of a cancelled run, of a bundle its first one: a share by the time used. */
  shareOf(wallMs: number): bigint {
    const { terms, needs } = this.offer;
    const { limits, failureFloorPermille } = terms;
    return failureShare({
      ask: this.record.price / BigInt(needs.members ?? 1),
      wallMs,
      timeoutMs: limits.runMs,
      floorPermille: failureFloorPermille,
    });
  }

  /** Ends without a result. The lock goes back, or is split for the time used where its requester cancelled a running task. */
  async giveUp(failure: LeaseFailure): Promise<void> {
    if (this.record.state !== 'accepted') return;
    this.failure = failure;
    this.outlet.log.end();
    await this.save({ state: 'given_up', running: null });
    await this.#giveBack();
  }

  async #giveBack(): Promise<void> {
    const { signer, genesis, clock } = this.#components;
    const { escrowId, price } = this.record;
    if (escrowId && !this.record.evidence) {
      const usedMs = this.executingSince === null ? 0 : clock.monotonic() - this.executingSince;
      const byRequester = this.failure?.code === 'CANCELLED' && usedMs > 0;
      const pay = byRequester ? this.shareOf(usedMs) : 0n;
      const evidence =
        pay > 0n
          ? seal(mutualKind, { net: genesis.net, escrowId, pay }, signer)
          : seal(cancelKind, { net: genesis.net, escrowId }, signer);
      await this.save({ evidence: evidence.bytes, pay });
    } else if (price === 0n) await this.save({ state: 'settled' });
    await this.deliver();
  }

  /**
   * The result as an attested record; its bytes are stored.
   * @throws CodedError `LEASE_OVER` when it was given up meanwhile: what gives the lock back is signed already.
   */
  async attested(change: Partial<LeaseRecord>, result: KeptResult): Promise<void> {
    const { signer, genesis } = this.#components;
    const { escrowId, state } = this.record;
    if (state !== 'accepted')
      throw new CodedError({ code: 'LEASE_OVER' }, 'the lease was given up meanwhile');
    const { limits, failureFloorPermille } = this.offer.terms;
    const facts = { ask: this.record.price, timeoutMs: limits.runMs, floorPermille: failureFloorPermille };
    const pay = earned(this.spec ?? { timeoutMs: limits.runMs }, result, facts);
    const split =
      !ranWell(result) && escrowId ? seal(mutualKind, { net: genesis.net, escrowId, pay }, signer) : null;
    this.outlet.log.end();
    await this.save({ ...change, state: 'attested', running: null, evidence: split?.bytes ?? null, pay });
  }

  /** Tells what there is to tell in this state: the files and the result, or why there is none. Never rejects. */
  async deliver(): Promise<void> {
    const { attestation, state, evidence } = this.record;
    if (state === 'accepted') return;
    if (attestation)
      return this.outlet.tell('result', files => resultMessages(this.#components, this, files));
    const { failure } = this;
    await this.outlet.tell(evidence ? 'failed with evidence' : 'failed', async function* () {
      const { class: errorClass, code, message } = failure ?? lostLease;
      yield { type: 'failed', class: errorClass, code, message: message.slice(0, 500), evidence };
    });
  }
}
