import { LRUCache } from 'lru-cache';
import type { Repository } from '../db/index.ts';
import {
  type Clock,
  CodedError,
  codeOf,
  type Deferred,
  deferred,
  hasCode,
  type Logger,
  messageOf,
} from '../util/index.ts';
import {
  type Decided,
  type GenesisInfo,
  type LedgerAnswer,
  MAX_SUBMIT,
  type Signer,
  sameBytes,
} from '../wire/index.ts';
import { BallotDraft } from './ballot-draft.ts';
import { openBallotStore } from './ballot-store.ts';
import type { BallotContext, Intent } from './ballots.ts';
import { type Committee, committeeOf } from './certificates.ts';
import { answerRound } from './committee-desk.ts';
import type { Witness } from './interface.ts';
import {
  type Notary,
  type NotaryComponents,
  type NotaryErrorType,
  type NotaryInit,
  type ProposalOutcome,
  type RoundRequest,
  requireNotary,
  stopped,
} from './notary.ts';
import { ledgerLost, loadNotary } from './notary-state.ts';
import { type NotaryStore, openNotaryStore } from './notary-store.ts';
import { ParkedDecisions } from './parked.ts';
import type { NotaryMeta, StoredSlot } from './records.ts';
import type { Job, JobResult, RoundNotary } from './round-job.ts';
import type { SlotState } from './slot.ts';
import { slotOf } from './statement.ts';

/** Jobs that wait: some seconds of full load. */
const MAX_QUEUE = 4096;
/** The same in bytes. */
const MAX_QUEUE_BYTES = 32 * 1024 * 1024;
/** Slots whose last activity is remembered; of one that fell out a recovery waits once more. */
const MAX_QUIET = 10_000;

interface Waiting {
  readonly job: Job;
  readonly bytes: number;
  readonly done: Deferred<JobResult>;
}

/**
 * One notary of several. Every request is a job on one slot: the pure rules run over a batch of them, what they change is synced in
 * one write, and only then is anything signed.
 */
export class CommitteeNotary implements Notary, RoundNotary {
  readonly committee: Committee;
  readonly signer: Signer;
  readonly store: NotaryStore;
  readonly witness: Witness | undefined;
  readonly #ballots: Repository<SlotState>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #info: GenesisInfo;
  readonly #parked = new ParkedDecisions();
  readonly #active = new LRUCache<string, number>({ max: MAX_QUIET });
  #meta: NotaryMeta | undefined;
  #queue: Waiting[] = [];
  #queueBytes = 0;
  #running: Promise<void> | undefined;
  #failure: unknown;

  constructor({ db, clock, logger, signer, witness }: NotaryComponents, { genesis }: NotaryInit) {
    this.committee = committeeOf(genesis);
    this.signer = signer;
    this.witness = witness;
    this.store = openNotaryStore(db);
    this.#ballots = openBallotStore(db);
    this.#clock = clock;
    this.#logger = logger;
    this.#info = genesis;
  }

  async start(): Promise<void> {
    requireNotary(this.signer.peer, this.committee);
    this.#meta = await loadNotary(this.store, this.#info);
    this.#failure = undefined;
  }

  async stop(): Promise<void> {
    this.#failure ??= stopped();
    this.#rejectAll(this.#queue.splice(0), this.#failure);
    this.#queueBytes = 0;
    await this.#running;
  }

  now(): number {
    return Math.max(this.#clock.now(), this.#meta?.lastMs ?? 0);
  }

  certify(slot: string, { value, certificate }: StoredSlot): Decided {
    if (certificate) return { certificate, value };
    throw new CodedError<NotaryErrorType>(
      { code: 'LEDGER_COMMITTEE', notaries: this.committee.keys.length },
      `${slot} has no certificate of several notaries`,
    );
  }

  /** Alone it decides nothing. */
  async submit(values: readonly Uint8Array[]): Promise<ProposalOutcome[]> {
    const notaries = this.committee.keys.length;
    const error = new CodedError<NotaryErrorType>(
      { code: 'LEDGER_COMMITTEE', notaries },
      `the network has ${notaries} notaries: propose to each of them`,
    );
    return values.map(() => ({ ok: false, error, decided: null }));
  }

  readonly round = (request: RoundRequest): Promise<LedgerAnswer> => answerRound(this, request);

  /** Entries in the log, and decisions that wait for others. */
  get counts(): { log: number; parked: number } {
    return { log: this.#meta?.log ?? 0, parked: this.#parked.size };
  }

  /** @throws CodedError `QUEUE_FULL`, `LEDGER_STOPPED`, and what the job's rule throws. */
  async do(job: Job): Promise<JobResult> {
    if (this.#failure || !this.#meta) throw this.#failure ?? stopped();
    const bytes = job.values.reduce((sum, { value }) => sum + value.length, 0);
    if (this.#queue.length >= MAX_QUEUE || this.#queueBytes + bytes > MAX_QUEUE_BYTES)
      throw new CodedError<NotaryErrorType>(
        { code: 'QUEUE_FULL', limit: MAX_QUEUE },
        'the notary has too much to decide: try again in a moment',
      );
    const waiting = { job, bytes, done: deferred<JobResult>() };
    this.#queue.push(waiting);
    this.#queueBytes += bytes;
    this.#running ??= this.#run();
    return waiting.done.promise;
  }

  async #run(): Promise<void> {
    // Lets the jobs of one request share a batch.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, MAX_SUBMIT);
      for (const { bytes } of batch) this.#queueBytes -= bytes;
      try {
        await this.#runBatch(batch);
      } catch (error) {
        if (hasCode(error, 'DB_BUSY')) this.#rejectAll(batch, error);
        else this.#fail(error, batch);
      }
    }
    this.#running = undefined;
  }

  /** A batch that could not be written, or must not be: nothing more is signed until a restart. */
  #fail(error: unknown, batch: readonly Waiting[]): void {
    this.#failure ??= error;
    this.#logger.error({ code: codeOf(error), reason: messageOf(error) }, 'the notary stopped');
    this.#rejectAll([...batch, ...this.#queue.splice(0)], error);
    this.#queueBytes = 0;
  }

  #rejectAll(waiting: readonly Waiting[], error: unknown): void {
    for (const { done } of waiting) done.reject(error);
  }

  async #runBatch(batch: readonly Waiting[]): Promise<void> {
    const nowMs = this.now();
    const stores = { store: this.store, ballots: this.#ballots };
    const draft = new BallotDraft(stores, this.#info, this.#meta!, nowMs);
    await draft.read({
      values: batch.flatMap(({ job }) => job.values),
      slots: batch.flatMap(({ job }) => job.slots),
      reported: batch.flatMap(({ job }) => job.reported),
    });
    const context = { self: this.signer.peer, nowMs, committee: this.committee, book: draft };
    const answers = batch.map(({ job }) => this.#runOne(job, context));
    if (answers.some(answer => 'error' in answer && answer.error.code === 'LEDGER_LOST'))
      draft.meta = { ...draft.meta, lost: true };
    const operations = draft.operations();
    if (operations.length > 0) await this.store.db.write(operations, { sync: true });
    this.#meta = draft.meta;
    if (draft.meta.lost) throw ledgerLost();
    for (const [i, { done, job }] of batch.entries()) {
      const answer = answers[i]!;
      if ('error' in answer) done.reject(answer.error);
      else done.resolve({ intent: answer, stored: this.#storedOf(answer, draft) });
      if (!('error' in answer)) this.#keepWaiting(job, answer);
    }
    this.#takeParked(draft.changed());
  }

  #runOne(job: Job, context: BallotContext): Intent | { readonly error: CodedError } {
    this.#witnessOrders(job, context);
    try {
      const intent = job.run(context, slot => this.#quietMs(slot));
      if ('body' in intent && intent.type !== 'proposal')
        this.#active.set(intent.body.slot, this.#clock.monotonic());
      return intent;
    } catch (error) {
      if (hasCode(error, 'LEDGER_FORKED')) this.#logger.error({ ...error.type }, error.message);
      // What is no refusal by the rules is a fault of this notary, and ends it.
      if (!(error instanceof CodedError) || error.code === 'LEDGER_AUDIT_FAILED') throw error;
      return { error };
    }
  }

  /** An account that orders two things with one number shows both of them to some notary sooner or later. */
  #witnessOrders({ values }: Job, { book }: BallotContext): void {
    for (const { statement, value, digest } of values) {
      if (statement.type !== 'order') continue;
      const slot = slotOf(statement);
      const decided = book.slot(slot);
      const other = decided
        ? decided.value
        : book.ballot(slot).known.find(known => known.kind === 'order' && known.digest !== digest)?.value;
      if (other && !sameBytes(other, value)) this.witness?.sawOrders(slot, other, value);
    }
  }

  /** Since a slot's last vote, commit or promise here; 0 for one that is seen for the first time. */
  #quietMs(slot: string): number {
    const now = this.#clock.monotonic();
    const since = this.#active.get(slot);
    if (since === undefined) this.#active.set(slot, now);
    return now - (since ?? now);
  }

  #storedOf(intent: Intent, draft: BallotDraft): StoredSlot | undefined {
    return intent.type === 'decided' ? draft.slot(intent.slot) : undefined;
  }

  #keepWaiting(job: Job, intent: Intent): void {
    if (intent.type !== 'taken' || intent.waitsFor === null) return;
    if (!this.#parked.add(intent.waitsFor, job))
      this.#logger.warn(
        { slot: job.slots[0], limit: 'parked' },
        'a decision could not be kept: others have it',
      );
  }

  /** Tries again what waited for one of the records that changed. */
  #takeParked(changed: readonly string[]): void {
    for (const job of this.#parked.take(changed))
      this.do(job).catch(error => {
        this.#logger.warn(
          { code: codeOf(error), slot: job.slots[0] },
          'a decision that waited was not taken in',
        );
      });
  }
}
