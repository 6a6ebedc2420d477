import type { Database, Repository } from '../db/index.ts';
import { CodedError, codeOf, type Logger, Semaphore } from '../util/index.ts';
import {
  type Decided,
  decidedSchema,
  defineMessage,
  type GenesisInfo,
  MAX_VALUE_BYTES,
} from '../wire/index.ts';
import { checkDecided } from './certificates.ts';
import { type Committee, committeeOf, committeeWith } from './committee.ts';
import { countKey } from './notary-store.ts';

/** A change of the committee, with the certificate of the one before. */
const changeRecord = defineMessage('committee-change', MAX_VALUE_BYTES + 4096, decidedSchema);

export type CommitteesErrorType = { code: 'COMMITTEE_CHAIN'; epoch: number };

/**
 * The committee that `decided` begins.
 * @throws CodedError `COMMITTEE_CHAIN` where it does not follow on `committee`; those of `checkDecided`; WireError.
 */
export function nextCommittee(decided: Decided, committee: Committee): Committee {
  const { statement, epoch } = checkDecided(decided, committee);
  const next = committee.epoch + 1;
  if (statement.type !== 'committee' || statement.committee.body.epoch !== next || epoch !== committee.epoch)
    throw new CodedError<CommitteesErrorType>(
      { code: 'COMMITTEE_CHAIN', epoch: next },
      `this does not begin epoch ${next}`,
    );
  return committeeWith(statement.committee.body.notaries, committee);
}

/** The last committee of a chain that begins with the genesis: all certificates of a network are checked by it. @throws as `nextCommittee`. */
export function committeeAfter(info: GenesisInfo, changes: readonly Decided[]): Committee {
  return changes.reduce<Committee>(
    (committee, decided) => nextCommittee(decided, committee),
    committeeOf(info),
  );
}

export interface CommitteesComponents {
  readonly db: Pick<Database, 'write' | 'repository'>;
  readonly logger: Logger;
}

/** The committees of a network as far as this node knows them, from the genesis on. What is here is on disk. */
export class Committees {
  readonly #db: Pick<Database, 'write'>;
  readonly #logger: Logger;
  readonly #store: Repository<Decided>;
  /** Of the epochs from 1 on. */
  #changes: readonly Decided[] = [];
  #current: Committee;
  readonly #taking = new Semaphore(1);
  /** The node's notary and wallet. */
  readonly #listeners = new Set<() => void>();

  constructor({ db, logger }: CommitteesComponents, info: GenesisInfo) {
    this.#db = db;
    this.#logger = logger;
    this.#store = db.repository('committees', changeRecord);
    this.#current = committeeOf(info);
  }

  /** @throws CodedError as `nextCommittee` where what is on disk is no chain of this network. */
  async start(): Promise<void> {
    const changes: Decided[] = [];
    for await (const [, decided] of this.#store.iterate({ limit: Number.MAX_SAFE_INTEGER }))
      changes.push(decided);
    this.#current = committeeAfter(this.#current.info, changes);
    this.#changes = changes;
  }

  get current(): Committee {
    return this.#current;
  }

  /** Those that begin the epochs `from` to `to`, both included. */
  changes(from = 1, to = this.#changes.length): readonly Decided[] {
    return this.#changes.slice(Math.max(0, from - 1), to);
  }

  /** Takes changes in, in their order; those that are known, or of another chain, change nothing. */
  take(changes: readonly Decided[]): Promise<void> {
    return this.#taking.run(() => this.#takeAll(changes));
  }

  async #takeAll(changes: readonly Decided[]): Promise<void> {
    const before = this.#current;
    for (const decided of changes) {
      try {
        const next = nextCommittee(decided, this.#current);
        await this.#db.write([this.#store.putOp(countKey(next.epoch), decided)], { sync: true });
        this.#changes = [...this.#changes, decided];
        this.#current = next;
      } catch (error) {
        if (!(error instanceof CodedError) || error.code.startsWith('DB_')) throw error;
        this.#logger.debug({ code: codeOf(error) }, 'no change of the committee');
      }
    }
    if (this.#current === before) return;
    const { epoch, keys } = this.#current;
    this.#logger.info({ epoch, notaries: keys }, 'the committee has changed');
    for (const listener of this.#listeners) listener();
  }

  on(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
