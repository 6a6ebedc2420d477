import { readLock } from '../../ledger/index.ts';
import type { SandboxResult } from '../../sandbox/index.ts';
import {
  CodedError,
  codeOf,
  type Deferred,
  deferred,
  hasCode,
  messageOf,
  withDeadline,
} from '../../util/index.ts';
import { failureShare } from '../../verification/index.ts';
import {
  type Award,
  attestationKind,
  awardKind,
  CHUNK_BYTES,
  cancelKind,
  type Decided,
  type ErrorClass,
  type LeaseRecord,
  mutualKind,
  type Offer,
  offerKind,
  open,
  refKey,
  seal,
  type TaskSpec,
  type WorkerMessage,
  type WorkerPhase,
} from '../../wire/index.ts';
import type { WorkerChannel } from '../channel.ts';
import { LOCK_WAIT_MS } from '../options.ts';
import { TaskLog } from '../task-log.ts';
import { lockFits } from '../terms.ts';
import type { WorkerComponents } from './interface.ts';

/** What is said of a lease whose run ended with an earlier run of this node. */
const lostLease: LeaseFailure = {
  class: 'worker',
  code: 'LEASE_LOST',
  message: 'the worker restarted and lost the running task',
};

/** Why a lease ended without a result. */
export interface LeaseFailure {
  readonly class: ErrorClass;
  readonly code: string;
  readonly message: string;
}

/** One accepted award while it lives here: its record, its requester's stream if there is one, its certified lock. */
export class Lease {
  readonly key: string;
  readonly award: Award;
  readonly offer: Offer;
  /** Null after a restart: what is not executed here any more needs no spec. */
  readonly spec: TaskSpec | null;
  readonly log = new TaskLog();
  readonly stop = new AbortController();
  record: LeaseRecord;
  failure: LeaseFailure | null = null;
  phase: WorkerPhase = 'queued';
  /** When the task itself started, monotonic. */
  executingSince: number | null = null;
  /** When its requester was last asked, and how long to wait before it is asked again. */
  redialAt = 0;
  redialMs = 0;
  #channel: WorkerChannel | null = null;
  readonly #locked: Deferred<void> = deferred();
  readonly #components: WorkerComponents;

  constructor(components: WorkerComponents, record: LeaseRecord, spec: TaskSpec | null) {
    this.#components = components;
    this.record = record;
    this.spec = spec;
    this.key = refKey(record);
    this.award = open(awardKind, record.award).body;
    this.offer = open(offerKind, record.offer).body;
    if (record.lock) this.#locked.resolve();
  }

  get attached(): boolean {
    return this.#channel !== null;
  }

  /** Puts a change on disk, then in force. */
  async save(change: Partial<LeaseRecord>, { sync = false } = {}): Promise<void> {
    const { db, leases, clock } = this.#components;
    this.record = { ...this.record, ...change, updatedAt: clock.now() };
    await db.write([leases.putOp(this.key, this.record)], { sync });
  }

  /** Tells the requester, if it listens; a broken stream detaches, and it will attach again. */
  async say(message: WorkerMessage): Promise<void> {
    const channel = this.#channel;
    if (!channel) return;
    try {
      await channel.send(message);
    } catch (error) {
      this.#components.logger.debug({ task: this.key, error: messageOf(error) }, 'requester’s stream broke');
      this.detach(channel);
    }
  }

  async enter(phase: WorkerPhase, progress: number | null = null): Promise<void> {
    this.phase = phase;
    await this.say({ type: 'phase', phase, progress });
  }

  /** A (new) stream of the requester: brings it up to date, with logs from what it has. */
  async attach(channel: WorkerChannel, from: { stdoutFrom: number; stderrFrom: number }): Promise<void> {
    this.#channel?.abort(new CodedError({ code: 'SUPERSEDED' }, 'the requester has opened a newer stream'));
    this.#channel = channel;
    await this.say({ type: 'phase', phase: this.phase, progress: null });
    for (const { stream, offset, bytes } of this.log.read(from.stdoutFrom, from.stderrFrom))
      await this.#sayLog(stream, offset, bytes);
    await this.deliver();
  }

  detach(channel: WorkerChannel): void {
    if (this.#channel === channel) this.#channel = null;
  }

  closeChannel(): void {
    const channel = this.#channel;
    this.#channel = null;
    channel
      ?.close()
      .catch(error => this.#components.logger.debug({ error: messageOf(error) }, 'close failed'));
  }

  /** Live output: kept for whoever attaches later, and sent on; waiting here holds the task's pipe back. */
  async output(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> {
    const offset = this.log.size(stream);
    this.log.append(stream, offset, bytes);
    const kept = this.log.size(stream) - offset;
    await this.#sayLog(stream, offset, bytes.subarray(0, kept));
  }

  async #sayLog(stream: 'stdout' | 'stderr', offset: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && this.#channel; at += CHUNK_BYTES)
      await this.say({
        type: 'log',
        stream,
        offset: offset + at,
        bytes: bytes.subarray(at, at + CHUNK_BYTES),
      });
  }

  /** The certified lock came: it must be the one that the award calls for. */
  async lockArrived(decided: Decided): Promise<void> {
    const { committee, settlement } = this.#components;
    if (this.record.lock) return;
    const escrow = readLock(decided, this.award, committee);
    if (escrow.requester !== this.award.requester || !lockFits(escrow.lock, this.award, this.offer.terms))
      throw new CodedError({ code: 'LOCK_DIFFERS' }, 'the lock is not the one that was agreed');
    await this.save({ lock: decided, escrowId: escrow.escrowId });
    this.#locked.resolve();
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

  /** The price of a failed run: a share by the time used, never more than the lock. */
  shareOf(wallMs: number): bigint {
    const { limits, failureFloorPermille } = this.offer.terms;
    return failureShare({
      ask: this.record.price,
      wallMs,
      timeoutMs: limits.runMs,
      floorPermille: failureFloorPermille,
    });
  }

  /** Ends without a result. The lock goes back, or is split for the time used where its requester cancelled a running task. */
  async giveUp(failure: LeaseFailure): Promise<void> {
    if (this.record.state !== 'accepted') return;
    this.failure = failure;
    this.log.end();
    await this.save({ state: 'given_up' });
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

  /** The result as an attested record; `keep` has stored its bytes. */
  async attested(change: Partial<LeaseRecord>, result: SandboxResult): Promise<void> {
    const { signer, genesis } = this.#components;
    const { escrowId } = this.record;
    const failed = result.outcome !== 'exited' || result.exitCode !== 0;
    const pay = failed ? this.shareOf(result.usage.wallMs) : this.record.price;
    const split = failed && escrowId ? seal(mutualKind, { net: genesis.net, escrowId, pay }, signer) : null;
    this.log.end();
    await this.save({ ...change, state: 'attested', evidence: split?.bytes ?? null, pay });
  }

  /** Sends what there is to send in this state: the files and the result, or why there is none. */
  async deliver(): Promise<void> {
    const { record, failure } = this;
    if (record.state === 'attested') return this.#sendResult();
    if (record.state !== 'given_up' && !failure) return;
    const { class: errorClass, code, message } = failure ?? lostLease;
    await this.say({
      type: 'failed',
      class: errorClass,
      code,
      message: message.slice(0, 500),
      evidence: record.evidence,
    });
  }

  async #sendResult(): Promise<void> {
    const { blobs, logger } = this.#components;
    const { attestation, outputs, truncated, oomKilled, evidence } = this.record;
    if (!attestation || !this.#channel) return;
    try {
      for (const { path, cid } of outputs) await this.#sendFile(path, await mustGet(blobs, cid));
      const { stdoutCid, stderrCid } = open(attestationKind, attestation).body;
      const stdout = await mustGet(blobs, stdoutCid);
      const stderr = await mustGet(blobs, stderrCid);
      await this.say({ type: 'result', attestation, stdout, stderr, truncated, oomKilled, mutual: evidence });
    } catch (error) {
      logger.error(
        { task: this.key, code: codeOf(error), error: messageOf(error) },
        'a kept result cannot be read',
      );
      const message = 'the kept result cannot be read any more';
      await this.say({ type: 'failed', class: 'worker', code: 'RESULT_LOST', message, evidence: null });
    }
  }

  async #sendFile(path: string, bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset === 0 || offset < bytes.length; offset += CHUNK_BYTES)
      await this.say({ type: 'file', path, offset, bytes: bytes.subarray(offset, offset + CHUNK_BYTES) });
  }
}

async function mustGet(blobs: WorkerComponents['blobs'], cid: string): Promise<Uint8Array> {
  const bytes = await blobs.get(cid);
  if (!bytes) throw new CodedError({ code: 'BLOB_MISSING', cid }, `the bytes of ${cid} are gone`);
  return bytes;
}
