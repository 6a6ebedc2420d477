import { LRUCache } from 'lru-cache';
import type { BatchOp } from '../db/index.ts';
import type { CodedError } from '../util/index.ts';
import {
  type Checkpoint,
  checkpointKind,
  type LedgerAnswer,
  type Signer,
  sameBytes,
  seal,
  sha256,
} from '../wire/index.ts';
import type { Committee } from './committee.ts';
import { holdsMoney } from './escrow-lock.ts';
import { MEMBERS } from './invites.ts';
import { CHECKPOINT_KEY, countKey, countOf, type NotaryStore } from './notary-store.ts';
import type { LogEntry, NotaryMeta, StoredCheckpoint, StoredEscrow } from './records.ts';
import { isKept } from './state-digest.ts';

/** Decisions from one checkpoint to the next: some megabytes of log. */
const EVERY = 1024;
/** Notaries that are new read every decision: while there are no more than this, some 10 MB, none is removed. */
const YOUNG = 6 * EVERY;
/** What was decided within this time stays: it may be asked for again, and wallets write without a sync. */
export const KEEP_MS = 10 * 60_000;
/** No longer than this does a certificate wait for an account that does not read it. */
const UNREAD_MS = 90 * 86_400_000;
/** Entries that are looked at beside one batch of decisions, and for one checkpoint: four times as many as were added. */
const STEP = 256;
const LOOKS = 4 * EVERY;
/** Accounts of which is known how far they have read; another's certificates wait until it asks again. */
const MAX_READERS = 10_000;

/** Another's clock may be this far from ours for what both are to sign. */
export const MAX_SKEW_MS = 10_000;

/** Where a ledger stands. */
export function checkpointOf({ info, epoch }: Committee, meta: NotaryMeta, at: number): Checkpoint {
  const { log, balances, escrows } = meta;
  return { net: info.net, epoch, decisions: log, state: sha256(meta.state), balances, escrows, at };
}

/** Signs where another notary stands if this one stands there too. */
export async function signCheckpoint(
  notary: { readonly signer: Signer; now(): number; standing(at: number): Checkpoint },
  { decisions, state, at }: Pick<Checkpoint, 'decisions' | 'state' | 'at'>,
): Promise<LedgerAnswer> {
  const own = notary.standing(at);
  const isSame = own.decisions === decisions && sameBytes(own.state, state);
  const isNow = Math.abs(notary.now() - at) <= MAX_SKEW_MS;
  const signed = isSame && isNow ? seal(checkpointKind, own, notary.signer).bytes : null;
  return { type: 'checkpoint', decisions: own.decisions, state: own.state, signed };
}

export interface CheckpointComponents {
  readonly store: NotaryStore;
  readonly signer: Signer;
}

/**
 * A notary's checkpoints, and the removal of what they have made needless: of each decision before the last one that its accounts have
 * read, log, trails, certificate, and the escrow that it closed.
 */
export class Checkpoints {
  readonly #store: NotaryStore;
  readonly #signer: Signer;
  /** Entries of its trail that an account has, by account. */
  readonly #read = new LRUCache<string, number>({ max: MAX_READERS });
  /** What other notaries were found to differ in, by notary. */
  readonly faults = new Map<string, CodedError>();
  #last: StoredCheckpoint | undefined;
  #lastMs = 0;
  /** Of the last checkpoint of this run of the process: nothing is removed before there is one. */
  #epoch = 0;
  /** The next entry to look at, and how many more before the next checkpoint. */
  #next = 0;
  #looks = 0;

  constructor({ store, signer }: CheckpointComponents) {
    this.#store = store;
    this.#signer = signer;
  }

  async start(nowMs: number): Promise<void> {
    this.#last = await this.#store.checkpoint.get(CHECKPOINT_KEY);
    this.#lastMs = nowMs;
  }

  get last(): StoredCheckpoint | undefined {
    return this.#last;
  }

  /** True where every decision is still here: a new notary can read them all. What is not removed yet stays until the next checkpoint. */
  async isWhole(): Promise<boolean> {
    this.#looks = 0;
    let next = 0;
    for await (const [key] of this.#store.log.iterate({ limit: Number.MAX_SAFE_INTEGER }))
      if (key !== countKey(next++)) return false;
    return next >= (this.#last?.height ?? 0);
  }

  get fault(): string | null {
    const [fault] = this.faults.values();
    return fault ? `${fault.code}: ${fault.message}` : null;
  }

  /** `account` has all entries of its trail before this one. */
  noteRead(account: string, count: number): void {
    this.#read.set(account, Math.max(count, this.#read.get(account) ?? 0));
  }

  isDue(decisions: number, nowMs: number): boolean {
    const added = decisions - (this.#last?.height ?? 0);
    return added >= EVERY || (added > 0 && nowMs - this.#lastMs >= KEEP_MS);
  }

  /** Takes note of a checkpoint that all notaries of its epoch have signed. */
  async keep(
    bytes: Uint8Array,
    { decisions: height, epoch, at }: Pick<Checkpoint, 'decisions' | 'epoch' | 'at'>,
  ): Promise<void> {
    await this.#store.db.write([this.#store.checkpoint.putOp(CHECKPOINT_KEY, { bytes, height })]);
    this.#last = { bytes, height };
    this.#lastMs = at;
    this.#epoch = epoch;
    this.#looks = LOOKS;
  }

  /** One alone makes its checkpoint when it is due. */
  async makeAlone(committee: Committee, meta: NotaryMeta, nowMs: number): Promise<void> {
    if (!this.isDue(meta.log, nowMs)) return;
    const { bytes, body } = seal(checkpointKind, checkpointOf(committee, meta, nowMs), this.#signer);
    await this.keep(bytes, body);
  }

  /**
   * Removes some of what the last checkpoint has made needless. Never beside a batch, which may stand on what goes; and nothing before
   * the notaries of now have all signed one, since those who are new read the log from its beginning.
   */
  async compact({ epoch }: Committee, nowMs: number): Promise<void> {
    if (this.#looks <= 0 || !this.#last || this.#last.height < YOUNG || this.#epoch !== epoch) return;
    this.#looks -= STEP;
    const after = this.#next > 0 ? { gt: countKey(this.#next - 1) } : {};
    const range = { ...after, lt: countKey(this.#last.height), limit: STEP };
    const entries: [string, LogEntry][] = [];
    let isEnd = false;
    for await (const entry of this.#store.log.iterate(range)) {
      isEnd = entry[1].at > nowMs - KEEP_MS;
      if (isEnd) break;
      entries.push(entry);
    }
    const operations = await this.#removals(entries, nowMs);
    if (operations.length > 0) await this.#store.db.write(operations);
    if (entries.length === STEP) this.#next = countOf(entries.at(-1)![0]) + 1;
    else [this.#next, this.#looks] = [0, 0];
  }

  async #removals(entries: readonly [string, LogEntry][], nowMs: number): Promise<BatchOp[]> {
    const settled = entries.filter(([, { at, trails }]) => at < nowMs - UNREAD_MS || this.#isRead(trails));
    const ids = [...new Set(settled.flatMap(([, { escrows }]) => escrows))];
    const found = await this.#store.escrows.getMany(ids);
    const escrows = new Map(ids.map((id, i) => [id, found[i]]));
    return settled.flatMap(([key, entry]) =>
      isNeeded(entry, escrows) ? [] : this.#removal(key, entry, escrows),
    );
  }

  #isRead(trails: readonly string[]): boolean {
    return trails.every(key => {
      const account = key.slice(0, key.lastIndexOf('/'));
      return isForAll(key) || countOf(key) < (this.#read.get(account) ?? 0);
    });
  }

  #removal(key: string, { slot, trails }: LogEntry, escrows: EscrowsById): BatchOp[] {
    const { log, slots, escrows: escrowStore, trails: trailStore } = this.#store;
    const own = trails.filter(trail => !isForAll(trail));
    const named = [log.delOp(key), ...own.map(trail => trailStore.delOp(trail))];
    if (isKept(slot)) return named;
    const [type, id = ''] = slot.split('/');
    const closed = type === 'E' && escrows.get(id) ? [escrowStore.delOp(id)] : [];
    return [...named, slots.delOp(slot), ...closed];
  }
}

/** The list of members is read from its beginning by everyone who comes. */
const isForAll = (trail: string): boolean => trail.startsWith(`${MEMBERS}/`);

type EscrowsById = ReadonlyMap<string, StoredEscrow | undefined>;

/**
 * An order is needed while an escrow that it opened is open, and a step while its escrow is there: it is told again to whoever repeats
 * it. The closing goes first, and the escrow with it.
 */
function isNeeded({ slot, escrows: ids }: LogEntry, escrows: EscrowsById): boolean {
  const stored = ids.flatMap(id => escrows.get(id) ?? []);
  if (stored.some(({ escrow }) => holdsMoney(escrow))) return true;
  const [type, , step] = slot.split('/');
  return type === 'E' && stored.some(({ digests }) => Number(step) < digests.length - 1);
}
