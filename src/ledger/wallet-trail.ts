import { type Abortable, type Clock, CodedError, hasCode } from '../util/index.ts';
import { type Decided, escrowIdOf, type Signer, seal, trailEndKind } from '../wire/index.ts';
import type { Committees } from './committees.ts';
import type { TrailEntry, TrailPart } from './interface.ts';
import { readStatement } from './statement.ts';
import { TrailReplay } from './trail.ts';
import type { WalletBook } from './wallet-book.ts';
import { LINE_PREFIX, lineKey, slotKey, type WalletStore } from './wallet-store.ts';

/** Entries that came before what they stand on: from several notaries, a handful. */
const MAX_EARLY = 1024;

export type TrailExportErrorType = { code: 'TRAIL_INCOMPLETE'; entries: number };

export interface TrailComponents {
  readonly store: WalletStore;
  readonly book: WalletBook;
  readonly committees: Committees;
  readonly signer: Signer;
  readonly clock: Clock;
}

/**
 * All that was decided about the account up to now, checked once more on its way out, each entry after what it stands on.
 * @throws CodedError `TRAIL_INCOMPLETE` when the certificates do not make what the wallet holds; the signal's reason.
 */
export async function* walletTrail(parts: TrailComponents, { signal }: Abortable): AsyncGenerator<TrailPart> {
  const { book, committees, signer, clock } = parts;
  const { meta } = book;
  const { info } = committees.current;
  const replay = new TrailReplay(info, book.account);
  const { bytes: genesis, net } = info;
  yield { type: 'opening', account: book.account, genesis, lines: replay.opening };
  for (const decided of committees.changes()) yield { type: 'entry', ...replay.take(decided) };
  const locks = new LockFinder(parts);
  let early: Decided[] = [];
  for await (const [slot, decided] of entriesOf(parts, meta.lines, signal)) {
    if (replay.has(slot)) continue;
    early.push(decided);
    for (let taken = true; taken; ) {
      taken = false;
      for (const entry of [...early]) {
        const made = await takeWith(replay, entry, locks);
        if (!made) continue;
        early = early.filter(other => other !== entry);
        taken = true;
        for (const part of made) yield { type: 'entry', ...part };
      }
    }
    if (early.length > MAX_EARLY) throw incomplete(early.length);
  }
  const { confirmed, locked, incoming } = replay.sums;
  if (
    early.length > 0 ||
    confirmed !== meta.confirmed ||
    locked !== meta.locked ||
    incoming !== meta.incoming
  )
    throw incomplete(early.length);
  const end = { net, account: book.account, at: clock.now(), ...replay.sums };
  yield { type: 'end', bytes: seal(trailEndKind, end, signer).bytes };
}

function incomplete(entries: number): CodedError<TrailExportErrorType> {
  return new CodedError<TrailExportErrorType>(
    { code: 'TRAIL_INCOMPLETE', entries },
    'the certificates on this disk do not make the balance yet: try again when the wallet has read its trail from the notaries',
  );
}

/** Each decided statement that has a line, in the order of the lines. */
async function* entriesOf(
  { store, book }: TrailComponents,
  lines: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<[string, Decided]> {
  let last = '';
  const range = { prefix: LINE_PREFIX, lt: lineKey(lines), limit: Number.MAX_SAFE_INTEGER, signal };
  for await (const [, { slot }] of store.history.iterate(range)) {
    if (slot === last) continue;
    last = slot;
    const decided = await book.decided(slot);
    if (decided) yield [slot, decided];
  }
}

/** The entry, after the lock of others that it needs; undefined where it has to wait for what comes later. */
async function takeWith(
  replay: TrailReplay,
  decided: Decided,
  locks: LockFinder,
): Promise<TrailEntry[] | undefined> {
  try {
    return [replay.take(decided)];
  } catch (error) {
    if (hasCode(error, 'TRAIL_SEQUENCE', 'TRAIL_OVERDRAWN')) return undefined;
    if (!hasCode(error, 'TRAIL_LOCK_MISSING')) throw error;
    const lock = await locks.find(String(error.type.escrowId));
    return lock && [replay.take(lock), replay.take(decided)];
  }
}

/** Locks without a line of ours: the treasury follows those of others. */
class LockFinder {
  readonly #parts: TrailComponents;
  /** Slot of the order, by escrow; read once, and only where one is missing. */
  #slots: Map<string, string> | undefined;

  constructor(parts: TrailComponents) {
    this.#parts = parts;
  }

  async find(escrowId: string): Promise<Decided | undefined> {
    this.#slots ??= await this.#read();
    const slot = this.#slots.get(escrowId);
    // An order may hold several of these locks: its first use brings all of them.
    return slot === undefined ? undefined : this.#parts.book.decided(slot);
  }

  async #read(): Promise<Map<string, string>> {
    const { store, book } = this.#parts;
    const found = new Map<string, string>();
    const range = { prefix: slotKey('A/'), limit: Number.MAX_SAFE_INTEGER };
    for await (const [key, { value }] of store.trail.iterate(range)) {
      const statement = readStatement(value);
      if (statement.type !== 'order') continue;
      const { order } = statement;
      if (order.body.account === book.account) continue;
      for (const [index, op] of order.body.ops.entries())
        if (op.op === 'lock' && op.worker !== book.account)
          found.set(escrowIdOf(order, index), key.slice(slotKey('').length));
    }
    return found;
  }
}
