import * as recovery from '../../src/ledger/ballot-recovery.ts';
import * as ballots from '../../src/ledger/ballots.ts';
import type { Decision } from '../../src/ledger/decide.ts';
import type { Signed } from '../../src/ledger/evidence.ts';
import { begin, type Left } from '../../src/ledger/handover.ts';
import { type Committee, checkCertificate, checkDecides, holdsMoney } from '../../src/ledger/index.ts';
import type { StoredAccount, StoredEscrow, StoredSlot } from '../../src/ledger/records.ts';
import type { SignedReport } from '../../src/ledger/reports.ts';
import { NEW_SLOT, type SlotState } from '../../src/ledger/slot.ts';
import { type Stated, stated } from '../../src/ledger/statement.ts';
import type { BallotProposal, Certificate, Vote } from '../../src/wire/index.ts';
import { T0, type World } from './sim-world.ts';

export interface Parked {
  readonly value: Stated;
  readonly certificate: Signed<Certificate>;
}

/** One notary in memory: the rules of src/ledger over maps in place of a disk. */
export class SimNotary implements ballots.BallotBook {
  readonly index: number;
  readonly #world: World;
  readonly #clock: () => number;
  #accounts = new Map<string, StoredAccount>();
  #escrows = new Map<string, StoredEscrow>();
  #slots = new Map<string, StoredSlot>();
  #ballots = new Map<string, SlotState>();
  #lastMs = 0;
  #committee: Committee;
  epoch = 0;
  since = 0;
  isFrozen = false;
  parked = new Map<string, Parked>();
  /** Claims and disputes that came in time, by slot and digest. */
  readonly timely = new Set<string>();
  readonly decisions = new Map<string, Parked>();

  constructor(index: number, world: World, clock: () => number) {
    this.index = index;
    this.#world = world;
    this.#clock = clock;
    this.#committee = world.committee;
    this.isFrozen = !world.committee.keys.includes(this.peer);
    this.loseDisk();
  }

  /** As it was when the network began. */
  loseDisk(): void {
    const { allocations } = this.#world.info.genesis;
    this.#accounts = new Map(
      allocations.map(({ account, amount }) => [account, { balance: amount, seq: 0, trail: 0 }]),
    );
    for (const map of [this.#escrows, this.#slots, this.#ballots, this.parked, this.decisions, this.timely])
      map.clear();
    this.#lastMs = 0;
  }

  get peer(): string {
    return this.#world.keys[this.index]!.peer;
  }

  get log(): number {
    return this.decisions.size;
  }

  undecided(): string[] {
    return [...this.#ballots.keys()];
  }

  /** Hears that its epoch has ended; `isTold`: it knows of the next one, too. */
  end(next: Committee, isTold: boolean): void {
    this.isFrozen = true;
    if (isTold) this.#committee = next;
  }

  begin(epoch: number, since: number): void {
    this.epoch = epoch;
    this.since = since;
    this.isFrozen = false;
  }

  /** What it had committed to, as it was kept. */
  *locks(): Generator<{ qc: Uint8Array; value: Stated }> {
    for (const { lock } of this.#ballots.values())
      if (lock) yield { qc: lock.qc, value: this.#world.byDigest.get(lock.digest)! };
  }

  /** Takes all in that others know, and then their locks. */
  takeOver(left: readonly Left[], known: readonly Parked[], next: Committee): ballots.Intent {
    for (const { certificate, value } of known) this.certify(certificate, value, next);
    const intent = begin(left, { ...this.#context, committee: next });
    this.#committee = next;
    return intent;
  }

  account(id: string): StoredAccount {
    return this.#accounts.get(id) ?? { balance: 0n, seq: 0, trail: 0 };
  }

  escrow(id: string): StoredEscrow | undefined {
    return this.#escrows.get(id);
  }

  get escrows(): StoredEscrow[] {
    return [...this.#escrows.values()];
  }

  slot(name: string): StoredSlot | undefined {
    return this.#slots.get(name);
  }

  ballot(slot: string): SlotState {
    return this.#ballots.get(slot) ?? NEW_SLOT;
  }

  setBallot(slot: string, state: SlotState): void {
    this.#ballots.set(slot, state);
    for (const { kind, digest, timely } of state.known)
      if (timely && (kind === 'claim' || kind === 'dispute')) this.timely.add(`${slot}|${digest}`);
  }

  /** Slots that something is known of and nothing was decided in. */
  openSlots(): string[] {
    return [...this.#ballots.keys()].filter(slot => !this.#slots.has(slot));
  }

  apply(decision: Decision, slot: StoredSlot): void {
    for (const [id, account] of decision.accounts) this.#accounts.set(id, { ...account, trail: 0 });
    for (const stored of decision.escrows) this.#escrows.set(stored.escrow.escrowId, stored);
    this.#slots.set(decision.slot, slot);
    this.#ballots.delete(decision.slot);
  }

  get supply(): bigint {
    let sum = 0n;
    for (const { balance } of this.#accounts.values()) {
      if (balance < 0n) throw new Error('a balance below zero');
      sum += balance;
    }
    for (const { escrow } of this.#escrows.values()) if (holdsMoney(escrow)) sum += escrow.lock.amount;
    return sum;
  }

  get #context(): ballots.BallotContext {
    this.#lastMs = Math.max(this.#lastMs, T0 + this.#clock());
    return { self: this.peer, nowMs: this.#lastMs, committee: this.#committee, book: this };
  }

  propose(value: Stated): ballots.Intent {
    return ballots.propose(value, this.#context);
  }

  commit(qc: Signed<Vote>, value: Stated, bytes: Uint8Array): ballots.Intent {
    return ballots.commit(qc, bytes, value, this.#context);
  }

  recover(slot: string, ballot: number, quietMs: number): ballots.Intent {
    const valuesOf = ({ known }: SlotState) =>
      known.map(({ value, digest }) => this.#world.byDigest.get(digest) ?? stated(value));
    return recovery.recover(slot, ballot, { quietMs, joined: 0 }, valuesOf, this.#context);
  }

  coordinate(slot: string, ballot: number, shown: SignedReport[], values: Stated[]): ballots.Intent {
    return recovery.coordinate(slot, ballot, shown, values, this.#context);
  }

  elect(proposal: Signed<BallotProposal>, shown: SignedReport[], values: Stated[]): ballots.Intent {
    return recovery.elect(proposal, shown, values, this.#context);
  }

  /** Takes a decision in, and what was parked for want of it. */
  certify(certificate: Signed<Certificate>, value: Stated, committee: Committee): void {
    checkCertificate(certificate, committee);
    checkDecides(certificate.body, value.statement, committee);
    this.#take(certificate, value);
    for (let before = -1; before !== this.parked.size; ) {
      before = this.parked.size;
      for (const parked of [...this.parked.values()]) this.#take(parked.certificate, parked.value);
    }
  }

  #take(certificate: Signed<Certificate>, value: Stated): void {
    const { slot } = certificate.body;
    const intent = ballots.certify(slot, value, new Uint8Array(), this.#context);
    const entry = { value, certificate };
    if (intent.type !== 'taken' || intent.waitsFor !== null) {
      this.parked.set(slot, entry);
      return;
    }
    this.parked.delete(slot);
    if (!this.decisions.has(slot)) this.decisions.set(slot, entry);
  }
}
