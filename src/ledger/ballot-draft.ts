import type { BatchOp, Repository } from '../db/index.ts';
import type { GenesisInfo } from '../wire/index.ts';
import type { BallotBook } from './ballots.ts';
import type { Decision } from './decide.ts';
import { slotFor } from './judge.ts';
import { NotaryDraft } from './notary-draft.ts';
import { META_KEY, type NotaryStore } from './notary-store.ts';
import type { NotaryMeta, StoredSlot } from './records.ts';
import { NEW_SLOT, type SlotState } from './slot.ts';
import { escrowSlots, type Stated, stated } from './statement.ts';

/** What a batch of requests is about, before anything is read. */
export interface BatchNeeds {
  readonly values: readonly Stated[];
  /** Slots that requests name. */
  readonly slots: readonly string[];
  /** Those of them that are to be reported on. */
  readonly reported: readonly string[];
  /** Every slot that something is kept of is read, too: an epoch begins. */
  readonly isWhole: boolean;
}

/** A slot may have moved on within the batch: all steps of its escrow are read. */
function namesOf(slot: string): string[] {
  const [type, name = ''] = slot.split('/');
  return type === 'E' ? escrowSlots(name) : [slot];
}

/** One batch over the stored ledger and its undecided slots; nothing is on disk until its operations are written. */
export class BallotDraft extends NotaryDraft implements BallotBook {
  readonly #notaryStore: NotaryStore;
  readonly #ballotStore: Repository<SlotState>;
  readonly #ballots = new Map<string, SlotState>();
  readonly #changed = new Set<string>();
  readonly #nowMs: number;
  #hasBegun = false;

  constructor(
    { store, ballots }: { store: NotaryStore; ballots: Repository<SlotState> },
    info: GenesisInfo,
    meta: NotaryMeta,
    nowMs: number,
  ) {
    super(store, info, meta);
    this.#notaryStore = store;
    this.#ballotStore = ballots;
    this.#nowMs = nowMs;
  }

  async read({ values, slots, reported, isWhole }: BatchNeeds): Promise<void> {
    if (isWhole) {
      const all = { limit: Number.MAX_SAFE_INTEGER };
      for await (const [name, state] of this.#ballotStore.iterate(all)) this.#ballots.set(name, state);
    }
    const proposed = values.map(({ statement }) => slotFor(statement, this));
    const names = [...new Set([...slots, ...proposed].flatMap(namesOf))];
    const found = await this.#ballotStore.getMany(names);
    for (const [i, name] of names.entries()) this.#ballots.set(name, found[i] ?? NEW_SLOT);
    // A report says what can be paid now: what is known of its slot counts as asked about.
    const known = reported.flatMap(slot =>
      this.ballot(slot).known.map(({ value }) => stated(value).statement),
    );
    const escrows = names.flatMap(name => (name.startsWith('E/') ? [name.split('/')[1]!] : []));
    const statements = [...values.map(({ statement }) => statement), ...known];
    await this.load(statements, { slots: names, escrows });
  }

  ballot(slot: string): SlotState {
    const state = this.#ballots.get(slot);
    // One that was not read would look new, and could be voted on twice.
    if (!state) throw new Error(`the ballot of ${slot} was not read`);
    return state;
  }

  undecided(): string[] {
    return [...this.#ballots].flatMap(([slot, state]) => (state === NEW_SLOT ? [] : [slot]));
  }

  begin(epoch: number, since: number): void {
    this.meta = { ...this.meta, epoch, since, frozen: false };
    this.#hasBegun = true;
  }

  setBallot(slot: string, state: SlotState): void {
    this.#ballots.set(slot, state);
    this.#changed.add(slot);
  }

  override apply(decision: Decision, slot: StoredSlot, nowMs: number): void {
    super.apply(decision, slot, nowMs);
    if (this.ballot(decision.slot) !== NEW_SLOT) this.setBallot(decision.slot, NEW_SLOT);
  }

  override operations(): BatchOp[] {
    const decided = super.operations();
    if (decided.length === 0 && this.#changed.size === 0 && !this.#hasBegun && !this.meta.lost) return [];
    this.meta = { ...this.meta, lastMs: this.#nowMs };
    return [
      ...decided,
      ...[...this.#changed].map(slot => this.#ballotOp(slot)),
      this.#notaryStore.meta.putOp(META_KEY, this.meta),
    ];
  }

  #ballotOp(slot: string): BatchOp {
    const state = this.ballot(slot);
    return state === NEW_SLOT ? this.#ballotStore.delOp(slot) : this.#ballotStore.putOp(slot, state);
  }
}
