import type { Database } from '../db/index.ts';
import type { Network } from '../network/index.ts';
import { type Abortable, type Clock, codeOf, every, hasCode, type Logger, messageOf } from '../util/index.ts';
import {
  type Decided,
  type GenesisInfo,
  type Lock,
  lockSchema,
  type Signer,
  type TaskRef,
} from '../wire/index.ts';
import { changeNotaries } from './change-notaries.ts';
import { LedgerClient, type LocalNotary } from './client.ts';
import type { Committee } from './committee.ts';
import { Committees } from './committees.ts';
import { checkLock } from './escrow-lock.ts';
import type {
  Balance,
  Closing,
  Escrow,
  HistoryEntry,
  LedgerStatus,
  Settlement,
  Spending,
  Standing,
  TrailPart,
  TransferOptions,
  Witness,
} from './interface.ts';
import { type Entry, WalletBook } from './wallet-book.ts';
import { WalletClosings } from './wallet-closings.ts';
import { WalletFunds } from './wallet-funds.ts';
import { parsePayment } from './wallet-input.ts';
import { WalletOrders } from './wallet-orders.ts';
import { WalletSends } from './wallet-sends.ts';
import { WalletStanding } from './wallet-standing.ts';
import { WalletSteps } from './wallet-steps.ts';
import { openWalletStore, type WalletStore } from './wallet-store.ts';
import { WalletSync } from './wallet-sync.ts';
import { walletTrail } from './wallet-trail.ts';
import { decidedLock } from './wallet-written.ts';

const SYNC_MS = 30_000;
/** Lines of the history in one answer. */
const MAX_HISTORY = 1_000;

export interface SettlementComponents {
  readonly network: Pick<Network, 'call'>;
  readonly db: Pick<Database, 'write' | 'repository'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signer: Signer;
  /** The notary of this node, started before; asked without the network. */
  readonly notary?: LocalNotary | undefined;
  /** Absent: those of the genesis, for ever. */
  readonly committees?: Committees | undefined;
  readonly witness?: Witness | undefined;
}

export interface SettlementInit {
  readonly genesis: GenesisInfo;
  /** What this node may spend in a day, 1e-8 FLOP; null or absent: all that it has. */
  readonly perDay?: bigint | null | undefined;
}

/** The wallet of one node's account over the embedded ledger. */
export function createSettlement(components: SettlementComponents, init: SettlementInit): Settlement {
  return new Wallet(components, init);
}

class Wallet implements Settlement {
  readonly account: string;
  readonly #parts: SettlementComponents;
  readonly #committees: Committees;
  readonly #client: LedgerClient;
  readonly #store: WalletStore;
  readonly #book: WalletBook;
  readonly #orders: WalletOrders;
  readonly #funds: WalletFunds;
  readonly #sends: WalletSends;
  readonly #steps: WalletSteps;
  readonly #closings: WalletClosings;
  readonly #sync: WalletSync;
  readonly #standing: WalletStanding;
  /** Other parts of this node: a handful. */
  readonly #listeners = new Set<() => void>();
  #controller = new AbortController();
  #stopSync: () => void = () => {};
  #introduction: Promise<void> | undefined;

  constructor(components: SettlementComponents, { genesis, perDay = null }: SettlementInit) {
    const { network, db, clock, logger, signer, notary, witness } = components;
    const { committees = new Committees(components, genesis) } = components;
    this.account = signer.peer;
    this.#parts = components;
    this.#committees = committees;
    const client = new LedgerClient(
      { network, clock, logger, witness },
      { account: signer.peer, committees, local: notary },
    );
    const store = openWalletStore(db);
    const book = new WalletBook({ store, clock }, committees, signer.peer);
    const changed = () => this.#changed();
    const sync = (options: Abortable) => this.sync(options);
    this.#client = client;
    this.#book = book;
    this.#store = store;
    const shared = { book, client, clock, logger, committees, changed };
    this.#orders = new WalletOrders({ ...shared, store, signer, perDay, sync });
    this.#funds = new WalletFunds({ orders: this.#orders, clock, logger, sync });
    this.#sends = new WalletSends({ store, book, orders: this.#orders, funds: this.#funds, clock });
    this.#steps = new WalletSteps(client);
    const take = (entries: readonly Entry[]) => this.#take(entries);
    this.#closings = new WalletClosings({ client, committees, book, steps: this.#steps, take });
    this.#sync = new WalletSync({ book, client, clock, changed }, signer.peer);
    this.#standing = new WalletStanding(shared, signer.peer);
  }

  async start(): Promise<void> {
    this.#controller = new AbortController();
    const { signal } = this.#controller;
    await this.#book.start();
    this.#sync.start(signal);
    this.#steps.start(signal);
    await this.#orders.start(signal);
    this.#standing.start(signal);
    this.#introduction = this.#introduce(signal);
    this.#stopSync = every(this.#parts.clock, SYNC_MS, () => this.#syncQuietly());
  }

  /** What is told and asked at once, without anybody waiting for it. */
  async #introduce(signal: AbortSignal): Promise<void> {
    await this.#syncQuietly();
    await this.#standing.join(signal);
    await this.#standing.refresh(signal);
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    this.#stopSync();
    await Promise.all([
      this.#introduction,
      this.#orders.stop(),
      this.#steps.stop(),
      this.#standing.stop(),
      this.#sync.stop(),
    ]);
    await this.#book.stop();
  }

  get committee(): Committee {
    return this.#committees.current;
  }

  changeNotaries(keys: readonly string[], options: Abortable = {}): Promise<void> {
    const { signer, notary } = this.#parts;
    const parts = { client: this.#client, committees: this.#committees, signer };
    return changeNotaries({ ...parts, checkpoints: notary?.checkpoints }, keys, options);
  }

  committees(): readonly Decided[] {
    return this.#committees.changes();
  }

  follow(decided: readonly Decided[], peer: string, options: Abortable = {}): Promise<void> {
    return this.#client.follow(decided, peer, options);
  }

  status(): LedgerStatus {
    const { keys } = this.committee;
    return {
      isNotary: keys.includes(this.account),
      notaries: keys,
      reachable: this.#client.reachable,
      member: this.#standing.member,
      note: this.#note(),
      fault: this.#parts.notary?.fault ?? null,
    };
  }

  #note(): string | null {
    const { keys, quorum, faults } = this.committee;
    if (!this.#client.reachable)
      return keys.length === 1
        ? 'no notary answers: payments wait until one does'
        : `fewer than ${quorum} of the ${keys.length} notaries answer: payments wait until so many do`;
    if (this.#orders.refusal) return this.#orders.refusal;
    const former = 'this node is no notary any more: duxnode notary lists those of now';
    const trust = `safety rests on trusting the notar${keys.length === 1 ? 'y' : 'ies'}: four or more survive a lie`;
    const notes = [...(this.#parts.notary?.isFormer ? [former] : []), ...(faults === 0 ? [trust] : [])];
    return notes.join('; ') || null;
  }

  balance(): Balance {
    const { locked, incoming } = this.#book.meta;
    return { free: this.#orders.free(), locked: locked + this.#orders.reserved().locks, incoming };
  }

  spending(): Spending {
    const { limit } = this.#orders;
    return { perDay: limit.perDay, today: limit.spent(), spendable: limit.within(this.#orders.free()) };
  }

  funds(): Uint8Array | null {
    return this.#standing.current();
  }

  async lock(
    ref: TaskRef,
    terms: Omit<Lock, 'op' | keyof TaskRef>,
    options: Abortable = {},
  ): Promise<Escrow> {
    const { taskId, replica, attempt } = ref;
    const op = parsePayment(lockSchema, { op: 'lock', ...terms, taskId, replica, attempt });
    checkLock(this.account, op);
    const known = await this.findLock(ref, options);
    if (known) return known;
    if (await this.#funds.look(op.amount, options)) {
      const made = await this.findLock(ref, options);
      if (made) return made;
    }
    // From here to `place` nothing is awaited: of two calls for one execution the second finds the first.
    const pending = this.#orders.pendingLock(ref, options);
    if (pending) return pending;
    const { escrow } = await this.#orders.wait(this.#orders.place(op), options.signal);
    return escrow!;
  }

  async findLock(ref: TaskRef, options: Abortable = {}): Promise<Escrow | undefined> {
    const parts = { store: this.#store, book: this.#book, committees: this.#committees };
    return this.#orders.pendingLock(ref, options) ?? (await decidedLock(parts, ref));
  }

  transfer(to: string, amount: bigint, options: TransferOptions = {}): Promise<Decided> {
    return this.#sends.transfer(to, amount, options);
  }

  settle(escrow: Escrow, evidence: Uint8Array, options: Abortable = {}): Promise<Closing | 'pending'> {
    return this.#closings.settle(escrow, evidence, options);
  }

  inspect(escrow: Escrow, options: Abortable = {}): Promise<Standing> {
    return this.#closings.inspect(escrow, options);
  }

  async observe(decided: readonly Decided[]): Promise<void> {
    await this.#take(decided);
  }

  async #take(entries: readonly Entry[]): Promise<void> {
    if (await this.#book.absorb(entries)) this.#changed();
  }

  history(limit: number, before?: number): Promise<HistoryEntry[]> {
    return this.#book.history(Math.min(Math.max(0, limit), MAX_HISTORY), before);
  }

  certificate(slot: string): Promise<Decided | undefined> {
    return this.#book.decided(slot);
  }

  trail(options: Abortable = {}): AsyncIterable<TrailPart> {
    const parts = { ...this.#parts, store: this.#store, book: this.#book, committees: this.#committees };
    return walletTrail(parts, options);
  }

  sync(options: Abortable = {}): Promise<void> {
    return this.#sync.run(options);
  }

  /** For those whom no answer helps: a notary that is away is told by `status`. */
  async #syncQuietly(): Promise<void> {
    const { signal } = this.#controller;
    try {
      await this.sync({ signal });
    } catch (error) {
      if (signal.aborted || hasCode(error, 'LEDGER_UNREACHABLE')) return;
      this.#parts.logger.warn(
        { code: codeOf(error), reason: messageOf(error) },
        'the trail could not be read',
      );
    }
  }

  on(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
