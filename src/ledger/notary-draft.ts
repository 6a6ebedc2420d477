import type { BatchOp } from '../db/index.ts';
import { CodedError } from '../util/index.ts';
import type { GenesisInfo } from '../wire/index.ts';
import { EMPTY_ACCOUNT } from './accounts.ts';
import { type Book, type Decision, needsOf, partiesOf } from './decide.ts';
import { holdsMoney } from './escrow-lock.ts';
import { countKey, META_KEY, type NotaryStore, trailKey } from './notary-store.ts';
import type { NotaryMeta, StoredAccount, StoredEscrow, StoredSlot } from './records.ts';
import { accountItems, changeState, escrowItems, slotItems } from './state-digest.ts';
import type { Statement } from './statement.ts';

export type AuditErrorType = { code: 'LEDGER_AUDIT_FAILED'; supply: bigint; found: bigint; slot: string };

function heldBy(stored: StoredEscrow | undefined): bigint {
  return stored && holdsMoney(stored.escrow) ? stored.escrow.lock.amount : 0n;
}

/** The epoch that a slot is the beginning of; 0: none. */
function epochOf(slot: string): number {
  return slot.startsWith('C/') ? Number(slot.slice(2)) : 0;
}

function keep<T>(map: Map<string, T>, keys: readonly string[], found: readonly (T | undefined)[]): void {
  for (const [i, value] of found.entries()) if (value !== undefined) map.set(keys[i]!, value);
}

/**
 * One batch of decisions over the stored ledger: later ones see what earlier ones changed, and nothing is on disk until its
 * operations are written. Holds what 64 statements touch at most: 64 orders of 64 operations.
 */
export class NotaryDraft implements Book {
  readonly #store: NotaryStore;
  readonly #info: GenesisInfo;
  readonly #accounts = new Map<string, StoredAccount>();
  readonly #escrows = new Map<string, StoredEscrow>();
  readonly #slots = new Map<string, StoredSlot>();
  /** What the batch changes, as it was before. */
  readonly #changedAccounts = new Map<string, StoredAccount>();
  readonly #changedEscrows = new Map<string, StoredEscrow | undefined>();
  /** Slots of the batch that belong to the state by themselves. */
  readonly #items: string[] = [];
  readonly #ops: BatchOp[] = [];
  /** Changes of the committee that were decided in this batch, by slot. */
  readonly changes: string[] = [];
  meta: NotaryMeta;

  constructor(store: NotaryStore, info: GenesisInfo, meta: NotaryMeta) {
    this.#store = store;
    this.#info = info;
    this.meta = meta;
  }

  get epoch(): number {
    return this.meta.epoch;
  }

  get since(): number {
    return this.meta.since;
  }

  get log(): number {
    return this.meta.log;
  }

  get isFrozen(): boolean {
    return this.meta.frozen;
  }

  account(id: string): StoredAccount {
    return this.#accounts.get(id) ?? { ...EMPTY_ACCOUNT, trail: 0 };
  }

  escrow(id: string): StoredEscrow | undefined {
    return this.#escrows.get(id);
  }

  slot(name: string): StoredSlot | undefined {
    return this.#slots.get(name);
  }

  /** Reads all that `statements` can touch, and what is named beside them, in two rounds. */
  async load(
    statements: readonly Statement[],
    {
      slots: named = [],
      escrows: others = [],
    }: { slots?: readonly string[]; escrows?: readonly string[] } = {},
  ): Promise<void> {
    const needs = statements.map(statement => needsOf(statement, this.#info));
    const escrowIds = [...new Set([...needs.flatMap(need => need.escrows), ...others])];
    const slots = [...new Set([...needs.flatMap(need => need.slots), ...named])];
    const [escrows, decided] = await Promise.all([
      this.#store.escrows.getMany(escrowIds),
      this.#store.slots.getMany(slots),
    ]);
    keep(this.#escrows, escrowIds, escrows);
    keep(this.#slots, slots, decided);
    const parties = escrows.flatMap(stored => (stored ? partiesOf(stored, this.#info) : []));
    const ids = [
      ...new Set([...needs.flatMap(need => need.accounts), ...parties, this.#info.genesis.treasury]),
    ];
    keep(this.#accounts, ids, await this.#store.accounts.getMany(ids));
  }

  /**
   * Takes a decision in. The audit is here, over each record before and after.
   * @throws CodedError `LEDGER_AUDIT_FAILED`: the sum of balances and open escrows would no longer be the supply.
   */
  apply(decision: Decision, slot: StoredSlot, nowMs: number): void {
    const { balances, escrows } = this.#audited(decision);
    for (const [id, account] of decision.accounts)
      this.#changeAccount(id, { ...account, trail: this.account(id).trail });
    for (const stored of decision.escrows) {
      const { escrowId } = stored.escrow;
      if (!this.#changedEscrows.has(escrowId))
        this.#changedEscrows.set(escrowId, this.#escrows.get(escrowId));
      this.#escrows.set(escrowId, stored);
    }
    this.#slots.set(decision.slot, slot);
    this.#items.push(...slotItems(decision.slot, slot.digest));
    const trails = decision.concerned.map(id => this.#extendTrail(id, decision.slot));
    const ids = decision.escrows.map(({ escrow }) => escrow.escrowId);
    const entry = { slot: decision.slot, at: nowMs, escrows: ids, trails };
    this.#ops.push(this.#store.slots.putOp(decision.slot, slot));
    this.#ops.push(this.#store.log.putOp(countKey(this.meta.log), entry));
    if (epochOf(decision.slot) > 0) this.changes.push(decision.slot);
    const frozen = this.meta.frozen || epochOf(decision.slot) > this.meta.epoch;
    this.meta = { ...this.meta, balances, escrows, lastMs: nowMs, log: this.meta.log + 1, frozen };
  }

  #audited(decision: Decision): { balances: bigint; escrows: bigint } {
    let { balances, escrows } = this.meta;
    let lowest = 0n;
    for (const [id, { balance }] of decision.accounts) {
      balances += balance - this.account(id).balance;
      if (balance < lowest) lowest = balance;
    }
    for (const stored of decision.escrows)
      escrows += heldBy(stored) - heldBy(this.#escrows.get(stored.escrow.escrowId));
    if (lowest < 0n || escrows < 0n || balances + escrows !== this.#info.supply)
      throw auditFailed(this.#info.supply, balances + escrows, decision.slot);
    return { balances, escrows };
  }

  #changeAccount(id: string, account: StoredAccount): void {
    if (!this.#changedAccounts.has(id)) this.#changedAccounts.set(id, this.account(id));
    this.#accounts.set(id, account);
  }

  /** The key of the new entry. */
  #extendTrail(id: string, slot: string): string {
    const account = this.account(id);
    const key = trailKey(id, account.trail);
    this.#ops.push(this.#store.trails.putOp(key, slot));
    this.#changeAccount(id, { ...account, trail: account.trail + 1 });
    return key;
  }

  /** Whose record a decision of this batch changed: accounts and escrows, by name. */
  changed(): string[] {
    return [...this.#changedAccounts.keys(), ...this.#changedEscrows.keys()];
  }

  /** All changes, for one atomic write; empty when nothing was decided. To be asked for once. */
  operations(): BatchOp[] {
    if (this.#ops.length === 0) return [];
    const accounts = [...this.#changedAccounts.keys()];
    const escrows = [...this.#changedEscrows.keys()];
    this.meta = { ...this.meta, state: this.#stateAfter() };
    return [
      ...this.#ops,
      ...accounts.map(id => this.#store.accounts.putOp(id, this.account(id))),
      ...escrows.map(id => this.#store.escrows.putOp(id, this.#escrows.get(id)!)),
      this.#store.meta.putOp(META_KEY, this.meta),
    ];
  }

  #stateAfter(): Uint8Array {
    const gone = [...this.#changedAccounts].flatMap(([id, before]) => accountItems(id, before));
    const come = [...this.#changedAccounts.keys()].flatMap(id => accountItems(id, this.account(id)));
    for (const [id, before] of this.#changedEscrows) {
      gone.push(...escrowItems(before?.escrow));
      come.push(...escrowItems(this.#escrows.get(id)?.escrow));
    }
    return changeState(this.meta.state, gone, [...come, ...this.#items]);
  }
}

export function auditFailed(supply: bigint, found: bigint, slot: string): CodedError<AuditErrorType> {
  return new CodedError<AuditErrorType>(
    { code: 'LEDGER_AUDIT_FAILED', supply, found, slot },
    `the ledger holds ${found} where the supply is ${supply} (${slot}): the notary stops, and signs nothing more`,
  );
}
