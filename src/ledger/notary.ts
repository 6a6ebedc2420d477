import type { Database } from '../db/index.ts';
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
  certificateKind,
  type Decided,
  type GenesisInfo,
  type LedgerAnswer,
  type LedgerRequest,
  MAX_SUBMIT,
  type Signer,
  seal,
} from '../wire/index.ts';
import { type Committee, committeeOf } from './certificates.ts';
import { decide, type Known } from './decide.ts';
import type { Witness } from './interface.ts';
import { NotaryDraft } from './notary-draft.ts';
import { loadNotary } from './notary-state.ts';
import { type NotaryStore, openNotaryStore } from './notary-store.ts';
import type { NotaryMeta, StoredSlot } from './records.ts';
import { digestOf, readStatement, type Statement } from './statement.ts';

/** Statements that wait: some seconds of full load. More means that the disk has stopped. */
const MAX_QUEUE = 4096;
/** The same in bytes: orders of 64 KiB would otherwise fill 256 MiB. */
const MAX_QUEUE_BYTES = 16 * 1024 * 1024;

export interface NotaryComponents {
  readonly db: Pick<Database, 'write' | 'repository'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signer: Signer;
  /** Is shown what others sign. */
  readonly witness?: Witness | undefined;
}

export interface NotaryInit {
  readonly genesis: GenesisInfo;
}

/** What became of a proposal; `decided` beside an error is what shut it out of its slot. */
export type ProposalOutcome =
  | { readonly ok: true; readonly decided: Decided }
  | { readonly ok: false; readonly error: unknown; readonly decided: Decided | null };

export type NotaryErrorType =
  | { code: 'LEDGER_NOT_NOTARY'; peer: string }
  | { code: 'LEDGER_COMMITTEE'; notaries: number }
  | { code: 'LEDGER_STOPPED' }
  | { code: 'QUEUE_FULL'; limit: number }
  | { code: 'SLOT_DECIDED'; slot: string };

interface Proposal {
  readonly statement: Statement;
  readonly value: Uint8Array;
  readonly done: Deferred<ProposalOutcome>;
}

type Answer = Known | { readonly error: CodedError };

/**
 * One notary. Each statement is decided by pure rules over the stored ledger, the whole of a batch is synced to disk in one
 * write, and only then is a certificate signed. With one notary its vote is the quorum: vote and commit are one round.
 */
export interface Notary {
  readonly committee: Committee;
  readonly signer: Signer;
  readonly store: NotaryStore;
  /** @throws CodedError `LEDGER_NOT_NOTARY` and those of `loadNotary`. */
  start(): Promise<void>;
  /** Waits for the batch under way. */
  stop(): Promise<void>;
  /** Has each of `values` decided; outcomes in their order. Never rejects: errors are outcomes. */
  submit(values: readonly Uint8Array[]): Promise<ProposalOutcome[]>;
  readonly witness: Witness | undefined;
  /** T: the notary's time, which never steps back. */
  now(): number;
  /** The certificate of a decided slot. One alone signs again: Ed25519 gives the same signature each time. */
  certify(slot: string, stored: StoredSlot): Decided;
  /** This notary's part in what several decide; undefined where it decides alone. Errors reach the caller of the request. */
  readonly round?: (request: RoundRequest) => Promise<LedgerAnswer>;
}

/** What only several notaries are asked. */
export type RoundRequest = Exclude<
  LedgerRequest,
  { type: 'submit' | 'join' | 'funds' | 'trail' | 'invite' | 'members' | 'escrow' | 'slot' | 'witness' }
>;

/** The notary of a network that has one. */
export class SingleNotary implements Notary {
  readonly committee: Committee;
  readonly signer: Signer;
  readonly store: NotaryStore;
  readonly witness: Witness | undefined;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #info: GenesisInfo;
  #meta: NotaryMeta | undefined;
  #queue: Proposal[] = [];
  #queueBytes = 0;
  #running: Promise<void> | undefined;
  #failure: unknown;

  constructor({ db, clock, logger, signer, witness }: NotaryComponents, { genesis }: NotaryInit) {
    this.committee = committeeOf(genesis);
    this.signer = signer;
    this.witness = witness;
    this.store = openNotaryStore(db);
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
    refuseAll(this.#queue.splice(0), this.#failure);
    this.#queueBytes = 0;
    await this.#running;
  }

  now(): number {
    return Math.max(this.#clock.now(), this.#meta?.lastMs ?? 0);
  }

  certify(slot: string, { digest, value }: StoredSlot): Decided {
    const { net } = this.#info;
    const body = { net, epoch: this.committee.epoch, slot, ballot: 0, value: digest };
    return { certificate: seal(certificateKind, body, this.signer).bytes, value };
  }

  submit(values: readonly Uint8Array[]): Promise<ProposalOutcome[]> {
    const outcomes = values.map(value => this.#propose(value));
    if (this.#queue.length > 0) this.#running ??= this.#run();
    return Promise.all(outcomes);
  }

  async #propose(value: Uint8Array): Promise<ProposalOutcome> {
    try {
      if (this.#failure || !this.#meta) throw this.#failure ?? stopped();
      if (this.#queue.length >= MAX_QUEUE || this.#queueBytes + value.length > MAX_QUEUE_BYTES)
        throw new CodedError<NotaryErrorType>(
          { code: 'QUEUE_FULL', limit: MAX_QUEUE },
          'the notary has too much to decide: try again in a moment',
        );
      const proposal = { statement: readStatement(value), value, done: deferred<ProposalOutcome>() };
      this.#queue.push(proposal);
      this.#queueBytes += value.length;
      return proposal.done.promise;
    } catch (error) {
      return { ok: false, error, decided: null };
    }
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, MAX_SUBMIT);
      for (const { value } of batch) this.#queueBytes -= value.length;
      try {
        await this.#decideBatch(batch);
      } catch (error) {
        // A disk that does not keep up has written nothing: the batch may come again.
        if (hasCode(error, 'DB_BUSY')) refuseAll(batch, error);
        else this.#fail(error, batch);
      }
    }
    this.#running = undefined;
  }

  /** A batch that could not be written, or must not be: whatever is on disk then, nothing more is decided until a restart. */
  #fail(error: unknown, batch: readonly Proposal[]): void {
    this.#failure ??= error;
    this.#logger.error({ code: codeOf(error), reason: messageOf(error) }, 'the notary stopped');
    refuseAll([...batch, ...this.#queue.splice(0)], error);
    this.#queueBytes = 0;
  }

  async #decideBatch(batch: readonly Proposal[]): Promise<void> {
    const draft = new NotaryDraft(this.store, this.#info, this.#meta!);
    await draft.load(batch.map(({ statement }) => statement));
    const nowMs = this.now();
    const answers = batch.map(proposal => this.#decideOne(proposal, draft, nowMs));
    const operations = draft.operations();
    if (operations.length > 0) await this.store.db.write(operations, { sync: true });
    this.#meta = draft.meta;
    const slots = await this.#slotsOf(answers, draft);
    for (const [i, proposal] of batch.entries())
      proposal.done.resolve(this.#outcomeOf(proposal, answers[i]!, slots));
  }

  #outcomeOf(
    { statement, value }: Proposal,
    answer: Answer,
    slots: ReadonlyMap<string, StoredSlot>,
  ): ProposalOutcome {
    if ('error' in answer) return { ok: false, error: answer.error, decided: null };
    const decided = this.certify(answer.slot, slots.get(answer.slot)!);
    if (answer.same) return { ok: true, decided };
    if (statement.type === 'order') this.witness?.sawOrders(answer.slot, decided.value, value);
    return { ok: false, error: shutOut(answer.slot), decided };
  }

  #decideOne({ statement, value }: Proposal, draft: NotaryDraft, nowMs: number): Answer {
    try {
      const result = decide(statement, nowMs, draft, this.#info);
      if ('same' in result) return result;
      draft.apply(result, { digest: digestOf(statement), value }, nowMs);
      return { slot: result.slot, same: true };
    } catch (error) {
      // What is no refusal by the rules is a fault of this notary, and ends it.
      if (!(error instanceof CodedError) || error.code === 'LEDGER_AUDIT_FAILED') throw error;
      return { error };
    }
  }

  /** The decided slots that the answers are about: of this batch, or read from earlier ones. */
  async #slotsOf(answers: readonly Answer[], draft: NotaryDraft): Promise<Map<string, StoredSlot>> {
    const names = [...new Set(answers.flatMap(answer => ('slot' in answer ? [answer.slot] : [])))];
    const missing = names.filter(name => !draft.slot(name));
    const read = await this.store.slots.getMany(missing);
    const stored = new Map(missing.map((name, i) => [name, read[i]]));
    return new Map(names.map(name => [name, (draft.slot(name) ?? stored.get(name))!]));
  }
}

/** @throws CodedError `LEDGER_NOT_NOTARY`. */
export function requireNotary(peer: string, { keys }: Committee): void {
  if (!keys.includes(peer))
    throw new CodedError<NotaryErrorType>(
      { code: 'LEDGER_NOT_NOTARY', peer },
      'this node is no notary of its network',
    );
}

function refuseAll(proposals: readonly Proposal[], error: unknown): void {
  for (const { done } of proposals) done.resolve({ ok: false, error, decided: null });
}

export function stopped(): CodedError<NotaryErrorType> {
  return new CodedError<NotaryErrorType>({ code: 'LEDGER_STOPPED' }, 'the notary is not running');
}

function shutOut(slot: string): CodedError<NotaryErrorType> {
  return new CodedError<NotaryErrorType>(
    { code: 'SLOT_DECIDED', slot },
    `${slot} was decided for another statement`,
  );
}
