import { LRUCache } from 'lru-cache';
import type { BatchOp, Database, Repository } from '../db/index.ts';
import type { Clock } from '../util/index.ts';
import { MAX_AMOUNT, type ShareRecord, type ShareSums, shareRecordMessage } from '../wire/index.ts';

export interface ShareComponents {
  readonly db: Pick<Database, 'repository' | 'write'>;
  readonly clock: Clock;
  /** This node's own peer id: what it runs for itself is no share. */
  readonly self: string;
}

export interface ShareInit {
  /** Peers to remember; the one that was heard of longest ago is forgotten first. */
  readonly maxPeers?: number;
}

/** One finished deal, as its attestation and its closing say. */
export interface Deal {
  readonly peer: string;
  /** `lent`: this node worked for the peer. */
  readonly role: 'lent' | 'used';
  readonly cpuMs: number;
  readonly wallMs: number;
  /** What the payer paid, or the worker got after the fee; 1e-8 FLOP. */
  readonly amount: bigint;
}

/** Who lent to this node and who used it, and how much, over all deals that ended with a receipt. */
export interface ShareBook {
  /** Reads what is on disk. */
  start(): Promise<void>;
  /** Takes a deal in at once; the changes for the disk go into the caller's own atomic write. */
  record(deal: Deal): BatchOp[];
  /** Each peer once, latest first. */
  list(): readonly ShareRecord[];
}

/** 512 bytes each at most, 5 MB on disk: as many as experience is kept of. */
const MAX_PEERS = 10_000;

const NOTHING: ShareSums = { tasks: 0, cpuMs: 0, wallMs: 0, amount: 0n };

function plus(
  sums: ShareSums,
  { cpuMs, wallMs, amount, tasks = 1 }: Omit<ShareSums, 'tasks'> & { tasks?: number },
): ShareSums {
  return {
    tasks: sums.tasks + tasks,
    cpuMs: sums.cpuMs + cpuMs,
    wallMs: sums.wallMs + wallMs,
    amount: sums.amount + amount > MAX_AMOUNT ? MAX_AMOUNT : sums.amount + amount,
  };
}

/** Of all peers together. */
export function totalOf(shares: readonly ShareRecord[]): Pick<ShareRecord, 'lent' | 'used'> {
  return {
    lent: shares.reduce((sums, { lent }) => plus(sums, lent), NOTHING),
    used: shares.reduce((sums, { used }) => plus(sums, used), NOTHING),
  };
}

export function createShares(
  components: ShareComponents,
  { maxPeers = MAX_PEERS }: ShareInit = {},
): ShareBook {
  return new Book(components, maxPeers);
}

class Book implements ShareBook {
  readonly #components: ShareComponents;
  readonly #records: Repository<ShareRecord>;
  readonly #maxPeers: number;
  readonly #known: LRUCache<string, ShareRecord>;

  constructor(components: ShareComponents, maxPeers: number) {
    this.#components = components;
    this.#records = components.db.repository<ShareRecord>('shares', shareRecordMessage);
    this.#maxPeers = maxPeers;
    this.#known = new LRUCache({ max: maxPeers });
  }

  async start(): Promise<void> {
    const found: ShareRecord[] = [];
    for await (const [, record] of this.#records.iterate({ limit: MAX_PEERS })) found.push(record);
    found.sort((left, right) => left.lastAt - right.lastAt);
    for (const record of found.slice(-this.#maxPeers)) this.#known.set(record.peer, record);
  }

  record({ peer, role, ...deal }: Deal): BatchOp[] {
    const { clock, self } = this.#components;
    if (peer === self) return [];
    const ops: BatchOp[] = [];
    const now = clock.now();
    const before = this.#known.peek(peer) ?? { peer, lent: NOTHING, used: NOTHING, since: now };
    if (!this.#known.has(peer) && this.#known.size >= this.#maxPeers) {
      const forgotten = this.#known.rkeys().next().value;
      if (forgotten !== undefined) ops.push(this.#records.delOp(forgotten));
    }
    const next = { ...before, [role]: plus(before[role], deal), lastAt: now };
    this.#known.set(peer, next);
    return [...ops, this.#records.putOp(peer, next)];
  }

  list(): ShareRecord[] {
    return [...this.#known.values()];
  }
}
