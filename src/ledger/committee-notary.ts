import { LRUCache } from 'lru-cache';
import type { Repository } from '../db/index.ts';
import { type Clock, CodedError, codeOf, hasCode, type Logger } from '../util/index.ts';
import {
  type Checkpoint,
  type Decided,
  type GenesisInfo,
  type LedgerAnswer,
  type ShownLock,
  type Signer,
  sameBytes,
} from '../wire/index.ts';
import type { AccountRates } from './account-rates.ts';
import { BallotDraft } from './ballot-draft.ts';
import { openBallotStore } from './ballot-store.ts';
import type { BallotContext, BallotErrorType, Intent } from './ballots.ts';
import { Checkpoints, checkpointOf } from './checkpoints.ts';
import { type Committee, committeeAt } from './committee.ts';
import { answerRound } from './committee-desk.ts';
import type { Committees } from './committees.ts';
import type { Witness } from './interface.ts';
import {
  certifyAlone,
  type Notary,
  type NotaryComponents,
  type NotaryErrorType,
  type ProposalOutcome,
  type RoundRequest,
} from './notary.ts';
import { ledgerLost, loadNotary } from './notary-state.ts';
import { type NotaryStore, openNotaryStore } from './notary-store.ts';
import { ParkedDecisions, parkedFull } from './parked.ts';
import type { NotaryMeta, StoredSlot } from './records.ts';
import type { Job, JobResult, RoundNotary } from './round-job.ts';
import type { SlotState } from './slot.ts';
import { slotOf } from './statement.ts';
import { stopped, WorkQueue } from './work-queue.ts';

/** Slots whose last activity is remembered; of one that fell out a recovery waits once more. */
const MAX_QUIET = 10_000;

/** What the rules make of a job. */
type Ruled = Intent | { readonly error: CodedError };
type Answer = JobResult | { readonly error: CodedError };

/**
 * One notary of several. Every request is a job on one slot: the pure rules run over a batch of them, what they change is synced in
 * one write, and only then is anything signed.
 */
export class CommitteeNotary implements Notary, RoundNotary {
  readonly committees: Committees;
  readonly signer: Signer;
  readonly store: NotaryStore;
  readonly checkpoints: Checkpoints;
  readonly witness: Witness | undefined;
  readonly #ballots: Repository<SlotState>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #info: GenesisInfo;
  readonly #rates: AccountRates | undefined;
  readonly #parked = new ParkedDecisions();
  readonly #active = new LRUCache<string, number>({ max: MAX_QUIET });
  readonly #queue: WorkQueue<Job, Answer>;
  #meta: NotaryMeta | undefined;

  constructor({ db, clock, logger, signer, committees, witness, rates }: NotaryComponents) {
    this.committees = committees;
    this.signer = signer;
    this.witness = witness;
    this.store = openNotaryStore(db);
    this.checkpoints = new Checkpoints(this);
    this.#ballots = openBallotStore(db);
    this.#clock = clock;
    this.#logger = logger;
    this.#info = committees.current.info;
    this.#rates = rates;
    this.#queue = new WorkQueue(logger, batch => this.#runBatch(batch));
  }

  get committee(): Committee {
    return this.committees.current;
  }

  async start(): Promise<void> {
    this.#meta = await loadNotary(this.store, this.#info, this.signer.peer);
    await this.checkpoints.start(this.now());
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  get failure(): unknown {
    return this.#queue.failure;
  }

  now(): number {
    return Math.max(this.#clock.now(), this.#meta?.lastMs ?? 0);
  }

  /** It is a notary of the last epoch, and has not taken over yet. */
  get isWaiting(): boolean {
    const { epoch, keys } = this.committee;
    return this.#meta?.epoch !== epoch && keys.includes(this.signer.peer);
  }

  requireReady(): void {
    const { epoch = 0, frozen = true } = this.#meta ?? {};
    const isOneOf = committeeAt(epoch, this.committee)?.keys.includes(this.signer.peer);
    if (frozen && (!isOneOf || epoch < this.committee.epoch - 1))
      throw new CodedError<BallotErrorType>(
        { code: 'WRONG_EPOCH', epoch: this.committee.epoch },
        'this notary is new, and does not know yet what was decided before it came: ask another',
      );
  }

  certify(slot: string, stored: StoredSlot): Decided {
    const { value, certificate } = stored;
    if (certificate) return { certificate, value };
    const { notaries } = this.#info.genesis;
    if (notaries.length === 1 && notaries[0] === this.signer.peer)
      return certifyAlone(slot, stored, this.#info, this.signer);
    throw new CodedError<NotaryErrorType>(
      { code: 'LEDGER_COMMITTEE', notaries: this.committee.keys.length },
      `${slot} has no certificate of several notaries`,
    );
  }

  /** Alone it decides nothing: who asks it to may not know yet that the founder's first epoch is over. */
  async submit(values: readonly Uint8Array[]): Promise<ProposalOutcome[]> {
    const { epoch, keys } = this.committee;
    const error = new CodedError<BallotErrorType | NotaryErrorType>(
      epoch > 0 ? { code: 'WRONG_EPOCH', epoch } : { code: 'LEDGER_COMMITTEE', notaries: keys.length },
      `the network has ${keys.length} notaries: propose to each of them`,
    );
    return values.map(() => ({ ok: false, error, decided: null }));
  }

  readonly round = (request: RoundRequest, from: string): Promise<LedgerAnswer> =>
    answerRound(this, request, from);

  async *locks(after: string | null): AsyncGenerator<ShownLock> {
    const range = { limit: Number.MAX_SAFE_INTEGER, ...(after === null ? {} : { gt: after }) };
    for await (const [, { lock, known }] of this.#ballots.iterate(range)) {
      const value = known.find(({ digest }) => digest === lock?.digest)?.value;
      if (lock && value) yield { qc: lock.qc, value };
    }
  }

  isParked(slot: string): boolean {
    return this.#parked.has(slot);
  }

  /** Entries in the log, and decisions that wait for others. */
  get counts(): { log: number; parked: number } {
    return { log: this.#meta?.log ?? 0, parked: this.#parked.size };
  }

  standing(at: number): Checkpoint {
    if (!this.#meta) throw stopped();
    return checkpointOf(this.committee, this.#meta, at);
  }

  /** @throws CodedError `QUEUE_FULL`, `LEDGER_STOPPED`, and what the job's rule throws. */
  async do(job: Job): Promise<JobResult> {
    const bytes = job.values.reduce((sum, { value }) => sum + value.length, 0);
    const answer = await this.#queue.add(job, bytes);
    if ('error' in answer) throw answer.error;
    return answer;
  }

  async #runBatch(batch: readonly Job[]): Promise<Answer[]> {
    const nowMs = this.now();
    await this.checkpoints.compact(this.committee, nowMs);
    const stores = { store: this.store, ballots: this.#ballots };
    const draft = new BallotDraft(stores, this.#info, this.#meta!, nowMs);
    await draft.read({
      values: batch.flatMap(job => job.values),
      slots: batch.flatMap(job => job.slots),
      reported: batch.flatMap(job => job.reported),
      isWhole: batch.some(job => job.isWhole === true),
    });
    const { committee } = this;
    const context = { self: this.signer.peer, nowMs, committee, book: draft, rates: this.#rates };
    const intents = batch.map(job => this.#runOne(job, context));
    if (intents.some(intent => 'error' in intent && intent.error.code === 'LEDGER_LOST'))
      draft.meta = { ...draft.meta, lost: true };
    const operations = draft.operations();
    const sync = draft.meta.lost === true || intents.some(isBinding);
    if (operations.length > 0) await this.store.db.write(operations, { sync });
    this.#meta = draft.meta;
    if (draft.meta.lost) throw ledgerLost();
    const answers = batch.map((job, i) => this.#keepWaiting(job, intents[i]!));
    this.#takeParked(draft.changed());
    await this.committees.take(draft.changes.map(slot => this.certify(slot, draft.slot(slot)!)));
    return answers.map(intent =>
      'error' in intent ? intent : { intent, stored: this.#storedOf(intent, draft) },
    );
  }

  #runOne(job: Job, context: BallotContext): Ruled {
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

  /** What cannot be taken in yet waits, where there is room. */
  #keepWaiting(job: Job, intent: Ruled): Ruled {
    if ('error' in intent || intent.type !== 'taken' || intent.waitsFor === null) return intent;
    return this.#parked.add(intent.waitsFor, job) ? intent : { error: parkedFull(intent.waitsFor) };
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

/**
 * False for what others have decided: where a power cut takes it back, they tell it again, and what is signed later is synced behind it.
 * What was refused may have been remembered.
 */
function isBinding(intent: Ruled): boolean {
  return 'error' in intent || (intent.type !== 'taken' && intent.type !== 'decided');
}
