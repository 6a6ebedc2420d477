import { type Clock, CodedError, type Deferred, deferred } from '../util/index.ts';
import { type Decided, sameBytes } from '../wire/index.ts';
import { type CheckedDecision, checkDecided, peekSlot, standingOf } from './certificates.ts';
import type { Committees } from './committees.ts';
import type { Escrow, HistoryEntry, Standing } from './interface.ts';
import { META_KEY } from './notary-store.ts';
import type { WalletMeta } from './records.ts';
import { escrowSlots } from './statement.ts';
import { type Cursor, UNREAD } from './wallet-cursor.ts';
import { type Effect, effectOf } from './wallet-effect.ts';
import { BookPage, dayOf } from './wallet-page.ts';
import { LINE_PREFIX, lineKey, slotKey, type WalletStore } from './wallet-store.ts';

export type BookErrorType = { code: 'LEDGER_OTHER_NETWORK' } | { code: 'QUEUE_FULL'; limit: number };

/** Entries of one write: a page of the trail. */
const MAX_ABSORB = 64;
/** Calls that wait: every settlement under way, and as many messages. */
const MAX_JOBS = 8192;

/** A decision as it came, or checked already. */
export type Entry = Decided | CheckedDecision;

interface Job {
  readonly entries: readonly Entry[];
  /** Of the entries, as they claim. */
  readonly slots: readonly string[];
  readonly cursors: readonly Cursor[];
  readonly onto: WalletMeta | undefined;
  readonly done: Deferred<boolean>;
}

function slotOf(entry: Entry): string {
  return 'slot' in entry ? entry.slot : (peekSlot(entry) ?? '-');
}

/**
 * An account's own trail: every decided statement that concerns it, each checked and taken in once, and the balance that
 * follows. One write at a time: each stands on the one before.
 */
export class WalletBook {
  readonly #store: WalletStore;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #committees: Committees;
  readonly account: string;
  #jobs: Job[] = [];
  #running: Promise<void> | undefined;
  #meta: WalletMeta;

  constructor(
    { store, clock }: { store: WalletStore; clock: Pick<Clock, 'now'> },
    committees: Committees,
    account: string,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#committees = committees;
    this.account = account;
    this.#meta = {
      net: committees.current.info.net,
      account,
      cursors: [],
      lines: 0,
      seq: 0,
      confirmed: 0n,
      locked: 0n,
      incoming: 0n,
    };
  }

  get meta(): WalletMeta {
    return this.#meta;
  }

  /** The next entry to ask a notary for. What a standing has counted must not come again from one that is new. */
  cursor(peer: string): number {
    const { cursors, isResumed } = this.#meta;
    return cursors.find(cursor => cursor.peer === peer)?.at ?? (isResumed ? UNREAD : 0);
  }

  /** Reads the state, or begins with the genesis allocation. @throws CodedError `LEDGER_OTHER_NETWORK`. */
  async start(): Promise<void> {
    const meta = await this.#store.meta.get(META_KEY);
    if (!meta) return this.#begin();
    if (meta.account !== this.account || !sameBytes(meta.net, this.#committees.current.info.net))
      throw new CodedError<BookErrorType>(
        { code: 'LEDGER_OTHER_NETWORK' },
        'the wallet in this data directory belongs to another network or peer: choose another directory',
      );
    this.#meta = meta;
  }

  async #begin(): Promise<void> {
    const { allocations } = this.#committees.current.info.genesis;
    const own = allocations.filter(({ account }) => account === this.account);
    const confirmed = own.reduce((sum, { amount }) => sum + amount, 0n);
    const line = {
      kind: 'genesis',
      change: confirmed,
      counterpart: null,
      taskId: null,
      escrowId: null,
    } as const;
    const lines = confirmed > 0n ? 1 : 0;
    const meta = { ...this.#meta, confirmed, lines };
    const ops = [this.#store.meta.putOp(META_KEY, meta)];
    if (lines) ops.push(this.#store.history.putOp(lineKey(0), { ...line, index: 0, slot: 'genesis' }));
    await this.#store.db.write(ops, { sync: true });
    this.#meta = meta;
  }

  /**
   * Takes decided statements in; what is known already changes nothing, and a step of an escrow that is not known yet waits for
   * the trail. `cursors` move on with them. With `onto` they are taken in only while the book is as it was then. True when something changed. Calls of the same time share one write, which needs no
   * sync: what is lost with the machine is told again by the notaries, and an order is gone from those under way only together
   * with its certificate being here.
   * @throws CodedError and WireError as `checkDecided` and `replayStep`; entries before the bad one are kept. `QUEUE_FULL`.
   */
  absorb(
    entries: readonly Entry[],
    { cursors = [], onto }: { cursors?: readonly Cursor[]; onto?: WalletMeta } = {},
  ): Promise<boolean> {
    if (this.#jobs.length >= MAX_JOBS)
      throw new CodedError<BookErrorType>(
        { code: 'QUEUE_FULL', limit: MAX_JOBS },
        'too many certificates wait for the disk: try again later',
      );
    const done = deferred<boolean>();
    this.#jobs.push({ entries, slots: entries.map(slotOf), cursors, onto, done });
    this.#running ??= this.#run();
    return done.promise;
  }

  /** Waits for what is being written. */
  async stop(): Promise<void> {
    await this.#running;
  }

  /** Never rejects: each outcome goes to its caller. */
  async #run(): Promise<void> {
    // Lets calls of the same moment share the first write.
    await Promise.resolve();
    while (this.#jobs.length > 0) {
      const jobs = this.#nextJobs();
      try {
        await this.#absorbJobs(jobs);
      } catch (error) {
        for (const { done } of jobs) done.reject(error);
      }
    }
    this.#running = undefined;
  }

  #nextJobs(): Job[] {
    let entries = 0;
    const end = this.#jobs.findIndex((job, i) => {
      entries += job.entries.length;
      return i > 0 && entries > MAX_ABSORB;
    });
    return this.#jobs.splice(0, end < 0 ? this.#jobs.length : end);
  }

  async #absorbJobs(jobs: readonly Job[]): Promise<void> {
    const slots = jobs.flatMap(job => job.slots);
    const found = await this.#store.known.getMany(slots.map(slotKey));
    const known = new Set(slots.filter((_, i) => found[i]));
    const page = new BookPage(this.#store, this.account, this.#meta, dayOf(this.#clock.now()));
    const outcomes: (boolean | { error: unknown })[] = [];
    for (const job of jobs) outcomes.push(await this.#absorbJob(job, known, page));
    if (page.meta !== this.#meta)
      await this.#store.db.write([...page.ops, this.#store.meta.putOp(META_KEY, page.meta)]);
    this.#meta = page.meta;
    for (const [i, { done }] of jobs.entries()) {
      const outcome = outcomes[i]!;
      if (typeof outcome === 'boolean') done.resolve(outcome);
      else done.reject(outcome.error);
    }
  }

  async #absorbJob(
    { entries, slots, cursors, onto }: Job,
    known: ReadonlySet<string>,
    page: BookPage,
  ): Promise<boolean | { error: unknown }> {
    const committee = this.#committees.current;
    let changed = false;
    if (onto && page.meta !== onto) return false;
    try {
      for (const [i, entry] of entries.entries()) {
        if (known.has(slots[i]!) || page.has(slots[i]!)) continue;
        const checked = 'slot' in entry ? entry : checkDecided(entry, committee);
        if (cursors.length === 0 && isDoubtful(checked, page.meta)) continue;
        const effect = effectOf(checked, this.account, await page.escrowOf(checked), committee, page.meta);
        if (!effect || !concerns(checked, effect)) continue;
        await page.take(checked, effect);
        changed = true;
      }
      for (const cursor of cursors) page.moveTo(cursor);
      return changed;
    } catch (error) {
      return { error };
    }
  }

  /** The decision of a slot that was taken in. */
  decided(slot: string): Promise<Decided | undefined> {
    return this.#store.trail.get(slotKey(slot));
  }

  /** How an escrow stands, as far as it was taken in. */
  async standing(escrow: Escrow): Promise<Standing> {
    const found = await this.#store.trail.getMany(escrowSlots(escrow.escrowId).map(slotKey));
    const committee = this.#committees.current;
    const steps = found.flatMap(decided => (decided ? [checkDecided(decided, committee)] : []));
    return standingOf(steps, escrow, committee);
  }

  async history(limit: number, before?: number): Promise<HistoryEntry[]> {
    const lines: HistoryEntry[] = [];
    const lt = before === undefined ? {} : { lt: lineKey(before) };
    const range = { prefix: LINE_PREFIX, reverse: true, limit, ...lt };
    for await (const [, entry] of this.#store.history.iterate(range)) lines.push(entry);
    return lines;
  }
}

/** False for what has nothing to do with the account: a peer could otherwise fill its disk with the certificates of others. */
function concerns({ statement }: CheckedDecision, { lines, followed, seq }: Effect): boolean {
  return statement.type === 'evidence' || lines.length > 0 || followed.length > 0 || seq !== undefined;
}

/** True for what a standing may have counted already: the trail brings it, if it came after that. Steps are checked against their escrow. */
function isDoubtful({ statement }: CheckedDecision, { isResumed, account, seq }: WalletMeta): boolean {
  if (!isResumed || statement.type === 'evidence') return false;
  return (
    statement.type !== 'order' || statement.order.body.account !== account || statement.order.body.seq < seq
  );
}
