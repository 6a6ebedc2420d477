import type { Database } from '../db/index.ts';
import { type Clock, CodedError, type Logger } from '../util/index.ts';
import {
  certificateKind,
  type Decided,
  type GenesisInfo,
  type LedgerAnswer,
  type LedgerRequest,
  type Signer,
  seal,
} from '../wire/index.ts';
import type { AccountRates } from './account-rates.ts';
import type { BallotErrorType } from './ballots.ts';
import { Checkpoints } from './checkpoints.ts';
import type { Committee } from './committee.ts';
import type { Committees } from './committees.ts';
import { decide, type Known } from './decide.ts';
import type { Witness } from './interface.ts';
import { NotaryDraft } from './notary-draft.ts';
import { loadNotary } from './notary-state.ts';
import { type NotaryStore, openNotaryStore } from './notary-store.ts';
import type { NotaryMeta, StoredSlot } from './records.ts';
import { digestOf, readStatement, type Statement } from './statement.ts';
import { WorkQueue } from './work-queue.ts';

export interface NotaryComponents {
  /** Absent: an account may have as much decided as it can pay. */
  readonly rates?: AccountRates | undefined;
  readonly db: Pick<Database, 'write' | 'repository'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signer: Signer;
  readonly committees: Committees;
  /** Is shown what others sign. */
  readonly witness?: Witness | undefined;
}

/** What became of a proposal; `decided` beside an error is what shut it out of its slot. */
export type ProposalOutcome =
  | { readonly ok: true; readonly decided: Decided }
  | { readonly ok: false; readonly error: unknown; readonly decided: Decided | null };

export type NotaryErrorType =
  | { code: 'LEDGER_NOT_NOTARY'; peer: string }
  | { code: 'LEDGER_COMMITTEE'; notaries: number }
  | { code: 'SLOT_DECIDED'; slot: string };

interface Proposal {
  readonly statement: Statement;
  readonly value: Uint8Array;
}

type Answer = Known | { readonly error: CodedError };

/**
 * One notary. Each statement is decided by pure rules over the stored ledger, the whole of a batch is synced to disk in one
 * write, and only then is a certificate signed. With one notary its vote is the quorum: vote and commit are one round.
 */
export interface Notary {
  readonly committees: Committees;
  /** The last one that is known. */
  readonly committee: Committee;
  readonly signer: Signer;
  readonly store: NotaryStore;
  readonly checkpoints: Checkpoints;
  /** @throws CodedError `LEDGER_NOT_NOTARY` and those of `loadNotary`. */
  start(): Promise<void>;
  /** Waits for the batch under way. */
  stop(): Promise<void>;
  /** Has each of `values` decided; outcomes in their order. Never rejects: errors are outcomes. */
  submit(values: readonly Uint8Array[]): Promise<ProposalOutcome[]>;
  readonly witness: Witness | undefined;
  /** Why it stopped by itself, and signs nothing until a restart. */
  readonly failure: unknown;
  /** T: the notary's time, which never steps back. */
  now(): number;
  /** @throws CodedError `WRONG_EPOCH` where it is a newcomer that does not know yet what was decided before it came. */
  requireReady(): void;
  /** The certificate of a decided slot. One alone signs again: Ed25519 gives the same signature each time. */
  certify(slot: string, stored: StoredSlot): Decided;
  /** This notary's part in what several decide; undefined where it decides alone. Errors reach the caller of the request. */
  readonly round?: (request: RoundRequest, from: string) => Promise<LedgerAnswer>;
}

/** What only several notaries are asked. */
export type RoundRequest = Exclude<
  LedgerRequest,
  {
    type:
      | 'committees'
      | 'submit'
      | 'join'
      | 'funds'
      | 'trail'
      | 'standing'
      | 'invite'
      | 'members'
      | 'escrow'
      | 'slot'
      | 'witness';
  }
>;

/** The notary of a network that has never had another. */
export class SingleNotary implements Notary {
  readonly committees: Committees;
  readonly signer: Signer;
  readonly store: NotaryStore;
  readonly checkpoints: Checkpoints;
  readonly witness: Witness | undefined;
  readonly #clock: Clock;
  readonly #info: GenesisInfo;
  readonly #rates: AccountRates | undefined;
  readonly #queue: WorkQueue<Proposal, ProposalOutcome>;
  #meta: NotaryMeta | undefined;

  constructor({ db, clock, logger, signer, committees, witness, rates }: NotaryComponents) {
    this.committees = committees;
    this.signer = signer;
    this.witness = witness;
    this.store = openNotaryStore(db);
    this.checkpoints = new Checkpoints(this);
    this.#clock = clock;
    this.#info = committees.current.info;
    this.#rates = rates;
    this.#queue = new WorkQueue(logger, batch => this.#decideBatch(batch));
  }

  get committee(): Committee {
    return this.committees.current;
  }

  async start(): Promise<void> {
    const { peer } = this.signer;
    if (!this.#info.genesis.notaries.includes(peer)) throw notNotary(peer);
    this.#meta = await loadNotary(this.store, this.#info, peer);
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

  requireReady(): void {}

  certify(slot: string, stored: StoredSlot): Decided {
    return certifyAlone(slot, stored, this.#info, this.signer);
  }

  submit(values: readonly Uint8Array[]): Promise<ProposalOutcome[]> {
    return Promise.all(values.map(value => this.#propose(value)));
  }

  async #propose(value: Uint8Array): Promise<ProposalOutcome> {
    try {
      return await this.#queue.add({ statement: readStatement(value), value }, value.length);
    } catch (error) {
      return { ok: false, error, decided: null };
    }
  }

  async #decideBatch(batch: readonly Proposal[]): Promise<ProposalOutcome[]> {
    const nowMs = this.now();
    if (!this.#meta!.frozen) await this.checkpoints.makeAlone(this.committee, this.#meta!, nowMs);
    await this.checkpoints.compact(this.committee, nowMs);
    const draft = new NotaryDraft(this.store, this.#info, this.#meta!);
    await draft.load(batch.map(({ statement }) => statement));
    const answers = batch.map(proposal => this.#decideOne(proposal, draft, nowMs));
    const operations = draft.operations();
    if (operations.length > 0) await this.store.db.write(operations, { sync: true });
    this.#meta = draft.meta;
    const slots = await this.#slotsOf(answers, draft);
    await this.committees.take(draft.changes.map(slot => this.certify(slot, slots.get(slot)!)));
    return batch.map((proposal, i) => this.#outcomeOf(proposal, answers[i]!, slots));
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
      if (draft.isFrozen) throw epochOver(draft.epoch);
      this.#rates?.require(statement);
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

export function notNotary(peer: string): CodedError<NotaryErrorType> {
  return new CodedError<NotaryErrorType>(
    { code: 'LEDGER_NOT_NOTARY', peer },
    'this node is no notary of its network',
  );
}

/** The certificate of the founder, for what it decided alone. */
export function certifyAlone(
  slot: string,
  { digest, value }: StoredSlot,
  { net }: GenesisInfo,
  founder: Signer,
): Decided {
  const body = { net, epoch: 0, slot, ballot: 0, value: digest };
  return { certificate: seal(certificateKind, body, founder).bytes, value };
}

function epochOver(epoch: number): CodedError<BallotErrorType> {
  return new CodedError<BallotErrorType>(
    { code: 'WRONG_EPOCH', epoch },
    'the committee has changed: ask the new notaries',
  );
}

function shutOut(slot: string): CodedError<NotaryErrorType> {
  return new CodedError<NotaryErrorType>(
    { code: 'SLOT_DECIDED', slot },
    `${slot} was decided for another statement`,
  );
}
