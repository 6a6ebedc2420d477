import type { Abortable } from '../util/index.ts';
import type { Decided, Lock, TaskRef } from '../wire/index.ts';
import type { Committee } from './committee.ts';
import type { NotaryWord, Rule } from './contradiction.ts';

export interface Balance {
  /** What can be spent now: confirmed, less what is in orders under way. */
  readonly free: bigint;
  /** In open escrows of this account's own locks, and in locks under way. */
  readonly locked: bigint;
  /** In open escrows that name this account as worker. */
  readonly incoming: bigint;
}

/** The day's limit (UTC) on what this node locks and sends. */
export interface Spending {
  /** Null: none. */
  readonly perDay: bigint | null;
  /** Locked and sent today, less what came back of today's locks; what is on its way counts. */
  readonly today: bigint;
  /** The part of the free balance that may be spent now. */
  readonly spendable: bigint;
}

/** A certified lock, as the market uses it. */
export interface Escrow {
  readonly escrowId: string;
  readonly lock: Lock;
  readonly requester: string;
  readonly decided: Decided;
}

/** How an escrow closed; `fee` is part of `pay`. */
export interface Closing {
  readonly outcome: 'paid' | 'refunded' | 'split';
  readonly pay: bigint;
  readonly fee: bigint;
  readonly decided: Decided;
}

/** The steps of an escrow that are decided: none of them while it is open. */
export interface Standing {
  readonly claim: Decided | undefined;
  readonly dispute: Decided | undefined;
  readonly closing: Closing | undefined;
}

/** One line of an account's history, newest first. */
export interface HistoryEntry {
  readonly index: number;
  readonly kind: 'genesis' | 'grant' | 'transfer' | 'lock' | 'paid' | 'refunded' | 'split' | 'fee' | 'step';
  /** Change of the free balance; negative for what left it. */
  readonly change: bigint;
  readonly counterpart: string | null;
  readonly taskId: string | null;
  readonly escrowId: string | null;
  /** The decided slot. */
  readonly slot: string;
}

/** One line of the account's history, with what was free after it. */
export interface TrailLine extends Omit<HistoryEntry, 'slot'> {
  readonly balance: bigint;
}

/** One decided statement of a trail, and what it did. */
export interface TrailEntry {
  readonly slot: string;
  readonly decided: Decided;
  /** None where it only makes a later entry provable: a change of the committee, a lock of others that the treasury has its fee from. */
  readonly lines: readonly TrailLine[];
}

/** An account's trail as it is handed out: opening, entries, end. */
export type TrailPart =
  | {
      readonly type: 'opening';
      readonly account: string;
      /** The signed genesis. */
      readonly genesis: Uint8Array;
      readonly lines: readonly TrailLine[];
    }
  | ({ readonly type: 'entry' } & TrailEntry)
  | { readonly type: 'end'; readonly bytes: Uint8Array };

export interface LedgerStatus {
  readonly isNotary: boolean;
  readonly notaries: readonly string[];
  /** Some notary answered the last request. */
  readonly reachable: boolean;
  readonly member: boolean;
  /** What a user should know: why it does not work, or what safety rests on. */
  readonly note: string | null;
  /** Why this node's notary is not well, or what it found wrong among the others: a code and a sentence. */
  readonly fault: string | null;
}

export interface TransferOptions extends Abortable {
  /** Idempotency key: with the same key the same transfer is made once, whenever it is asked for. */
  readonly key?: string | undefined;
  /** Without a key: refuse what looks like a repetition by mistake, the same amount to the same peer within ten minutes. */
  readonly guarded?: boolean | undefined;
}

/**
 * Money of one account, over the embedded ledger. Orders are synced to disk before they are sent and only ever sent again
 * byte for byte. Coded errors: `FUNDS_INSUFFICIENT { needed, free }`, `DAY_LIMIT { limit, spent, amount }`, `LEDGER_UNREACHABLE`, `LEDGER_REFUSED { remoteCode }`,
 * `LOCK_TERMS { field }`, `QUEUE_FULL`, `LEDGER_STOPPED`, and those of wire for bytes that are not what they claim.
 */
export interface Settlement {
  readonly account: string;
  /** The notaries of now, as far as this node knows, and by them those before: what certificates are checked with. */
  readonly committee: Committee;
  /**
   * Has other notaries decide from now on: all of `keys`, one to seven. Waits until those of now have decided it, or for the signal.
   * @throws CodedError `NOT_ADMIN`, `LEDGER_REFUSED`, `LEDGER_UNREACHABLE`; WireError for keys that are none, or too many.
   */
  changeNotaries(keys: readonly string[], options?: Abortable): Promise<void>;
  /** The changes of the committee that certificates of now stand on. */
  committees(): readonly Decided[];
  /** Learns of the notaries that `decided` are of from the peer that showed them, where this node does not know them yet. */
  follow(decided: readonly Decided[], peer: string, options?: Abortable): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
  status(): LedgerStatus;
  balance(): Balance;
  spending(): Spending;
  /** A funds statement at most 60 s old, or null while there is none; refreshed beside the work. */
  funds(): Uint8Array | null;
  /** Locks money for one execution: once for each `ref`, however often it is called and across restarts. */
  lock(ref: TaskRef, lock: Omit<Lock, 'op' | keyof TaskRef>, options?: Abortable): Promise<Escrow>;
  /** The lock of `ref` if one was ever ordered: certified, or still under way (null decided is never shown: it waits). */
  findLock(ref: TaskRef, options?: Abortable): Promise<Escrow | undefined>;
  /**
   * Has an escrow's step decided by signed evidence (accept, cancel, mutual, attestation as claim, dispute, timeout).
   * Retries while no notary answers, until the signal. Answers the same when it was decided before; when the escrow was closed
   * by something else, answers that.
   */
  settle(escrow: Escrow, evidence: Uint8Array, options?: Abortable): Promise<Closing | 'pending'>;
  /** How an escrow stands at the notaries. */
  inspect(escrow: Escrow, options?: Abortable): Promise<Standing>;
  /** Takes note of certificates that came with a message (a lock that names us, a release to us). Checked; replays change nothing. */
  observe(decided: readonly Decided[]): Promise<void>;
  /**
   * Sends money to another account. Coded errors beside the common ones: `SEND_TO_SELF`, `SEND_KEY_INVALID`, `SEND_REPEATED { at }`,
   * `IDEMPOTENCY_CONFLICT` (one key, two different transfers), and `SEND_PENDING` where the signal ends the wait for an order that is
   * signed: with the signal's own reason nothing is under way.
   */
  transfer(to: string, amount: bigint, options?: TransferOptions): Promise<Decided>;
  history(limit: number, before?: number): Promise<HistoryEntry[]>;
  /** The certificate behind a line of the history; undefined for a slot that is not this account's. */
  certificate(slot: string): Promise<Decided | undefined>;
  /** The account's own certificates from the genesis on, with the owner's signature at the end. @throws CodedError `TRAIL_INCOMPLETE`. */
  trail(options?: Abortable): AsyncIterable<TrailPart>;
  /** Brings the trail up to date with the notaries. */
  sync(options?: Abortable): Promise<void>;
  on(listener: () => void): () => void;
}

/** Proof that one signer contradicted itself: the two statements, as they were signed. */
export interface Proof {
  readonly signer: string;
  readonly slot: string;
  readonly rule: Rule;
  /** When this node found it. */
  readonly at: number;
  readonly first: Uint8Array;
  readonly second: Uint8Array;
}

/** Remembers what notaries signed, and keeps the proof when one contradicts itself, or an account does. */
export interface Witness {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** A word of notaries whose signatures were checked. */
  saw(word: NotaryWord): void;
  /** What is known of an account's number, and another order with it. */
  sawOrders(slot: string, first: Uint8Array, second: Uint8Array): void;
  /** Words of notaries as they travel. Opened, and remembered. @throws WireError; CodedError `STATEMENT_KIND`. */
  hear(words: readonly Uint8Array[]): void;
  /** Hands words to all notaries that are connected, who may know what contradicts them. */
  tell(words: readonly Uint8Array[]): void;
  /** Oldest first. */
  proofs(): readonly Proof[];
}
