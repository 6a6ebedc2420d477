import { LRUCache } from 'lru-cache';
import type { BatchOp, Database, Repository } from '../db/index.ts';
import type { Clock } from '../util/index.ts';
import { type ExperienceRecord, experienceRecordMessage, MICROS } from '../wire/index.ts';
import { Breaker } from './breaker.ts';
import { type Experience, NO_EXPERIENCE, type TaskOutcome, withOutcome } from './score.ts';

export interface ExperienceComponents {
  readonly db: Pick<Database, 'repository' | 'write'>;
  readonly clock: Clock;
}

export interface ExperienceInit {
  /** Workers to remember; the one that was heard of longest ago is forgotten first. */
  readonly maxPeers?: number;
}

/** First-hand experience with workers: in memory for the auction, on disk for the next start. */
export interface ExperienceBook {
  /** Reads what is on disk. */
  start(): Promise<void>;
  /** What is known of `peer`; `NO_EXPERIENCE` for a stranger. */
  of(peer: string): Experience;
  /** Takes an outcome in at once; the changes for the disk go into the caller's own atomic write. */
  record(peer: string, outcome: TaskOutcome): BatchOp[];
  /** It bid, and did not take the award: it said no, or nothing. */
  refused(peer: string): void;
  /** It has broken what it promised twice in a row or more, lately: others are tried before it. */
  isDoubtful(peer: string): boolean;
  /** Everyone there is experience with, latest first. */
  list(): readonly { readonly peer: string; readonly experience: Experience }[];
}

/** 512 bytes each at most: 5 MB on disk, and more workers than one requester meets in months. */
const MAX_PEERS = 10_000;

export function createExperience(
  components: ExperienceComponents,
  { maxPeers = MAX_PEERS }: ExperienceInit = {},
): ExperienceBook {
  return new Book(components, maxPeers);
}

class Book implements ExperienceBook {
  readonly #db: ExperienceComponents['db'];
  readonly #clock: Clock;
  readonly #records: Repository<ExperienceRecord>;
  readonly #maxPeers: number;
  readonly #known: LRUCache<string, Experience>;
  readonly #breaker: Breaker;

  constructor({ db, clock }: ExperienceComponents, maxPeers: number) {
    this.#db = db;
    this.#clock = clock;
    this.#records = db.repository('experience', experienceRecordMessage);
    this.#maxPeers = maxPeers;
    this.#known = new LRUCache({ max: maxPeers });
    this.#breaker = new Breaker(maxPeers);
  }

  /** More than the limit are on disk only when the limit was lowered since; what is over is removed. */
  async start(): Promise<void> {
    const found: ExperienceRecord[] = [];
    for await (const [, record] of this.#records.iterate({ limit: Math.max(MAX_PEERS, this.#maxPeers) }))
      found.push(record);
    found.sort((left, right) => left.lastAt - right.lastAt);
    const tooMany = found.splice(0, Math.max(0, found.length - this.#maxPeers));
    for (const record of found) this.#known.set(record.peer, fromRecord(record));
    if (tooMany.length > 0) await this.#db.write(tooMany.map(({ peer }) => this.#records.delOp(peer)));
  }

  of(peer: string): Experience {
    return this.#known.peek(peer) ?? NO_EXPERIENCE;
  }

  record(peer: string, outcome: TaskOutcome): BatchOp[] {
    const next = withOutcome(this.of(peer), outcome, this.#clock.now());
    if (outcome.success) this.#breaker.kept(peer);
    else this.#breaker.broke(peer, this.#clock.monotonic());
    const ops: BatchOp[] = [];
    if (!this.#known.has(peer) && this.#known.size >= this.#maxPeers) {
      const forgotten = this.#known.rkeys().next().value;
      if (forgotten !== undefined) {
        this.#known.delete(forgotten);
        ops.push(this.#records.delOp(forgotten));
      }
    }
    this.#known.set(peer, next);
    ops.push(this.#records.putOp(peer, toRecord(peer, next)));
    return ops;
  }

  refused(peer: string): void {
    this.#breaker.broke(peer, this.#clock.monotonic());
  }

  isDoubtful(peer: string): boolean {
    return this.#breaker.isResting(peer, this.#clock.monotonic());
  }

  list(): { peer: string; experience: Experience }[] {
    return [...this.#known.entries()].map(([peer, experience]) => ({ peer, experience }));
  }
}

function toRecord(peer: string, { a, b, y, n, successes, failures, lastAt }: Experience): ExperienceRecord {
  return {
    peer,
    successMicros: micros(a),
    failureMicros: micros(b),
    biasMicros: micros(y),
    estimateMicros: micros(n),
    successes,
    failures,
    lastAt,
  };
}

function micros(value: number): number {
  return Math.round(value * MICROS);
}

function fromRecord(record: ExperienceRecord): Experience {
  return {
    a: record.successMicros / MICROS,
    b: record.failureMicros / MICROS,
    y: record.biasMicros / MICROS,
    n: record.estimateMicros / MICROS,
    successes: record.successes,
    failures: record.failures,
    lastAt: record.lastAt,
  };
}
