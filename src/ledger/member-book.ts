import type { BatchOp, Database, Repository } from '../db/index.ts';
import type { Decided } from '../wire/index.ts';
import { type CheckedDecision, checkDecided, peekSlot } from './certificates.ts';
import type { Committees } from './committees.ts';
import { isFounder } from './invites.ts';
import { memberRecord, type StoredMember } from './records.ts';

/** Uses of invites that one node keeps: some 200 bytes each. Those beyond are not known as members here. */
const MAX_USES = 20_000;

export interface Member {
  readonly account: string;
  /** The invite that it came by; null for those whom the genesis names. */
  readonly invite: string | null;
}

/** Who is a member, by certificates alone: each use of an invite makes its account one, until the removal of that use. */
export class MemberBook {
  readonly #db: Pick<Database, 'write'>;
  readonly #store: Repository<StoredMember>;
  readonly #committees: Committees;
  /** By `<invite>/<use>`. */
  readonly #uses = new Map<string, StoredMember>();
  readonly #counts = new Map<string, number>();

  constructor(db: Pick<Database, 'write' | 'repository'>, committees: Committees) {
    this.#db = db;
    this.#store = db.repository<StoredMember>('members', memberRecord);
    this.#committees = committees;
  }

  async start(): Promise<void> {
    for await (const [name, use] of this.#store.iterate({ limit: MAX_USES })) this.#put(name, use);
  }

  has(account: string): boolean {
    return isFounder(account, this.#committees.current.info) || (this.#counts.get(account) ?? 0) > 0;
  }

  list(): Member[] {
    const { admin, notaries } = this.#committees.current.info.genesis;
    const founders = [...new Set([admin, ...notaries])].map(account => ({ account, invite: null }));
    const others = this.#active().map(([name, { account }]) => ({ account, invite: name.split('/')[0]! }));
    return [...founders, ...others];
  }

  /** The uses that make `account` a member. */
  usesOf(account: string): { invite: string; use: number }[] {
    return this.#active().flatMap(([name, use]) => {
      const [invite = '', number = ''] = name.split('/');
      return use.account === account ? [{ invite, use: Number(number) }] : [];
    });
  }

  #active(): [string, StoredMember][] {
    return [...this.#uses].filter(([, { removed }]) => !removed);
  }

  /**
   * Takes decisions about membership in, in any order; others mean nothing here.
   * @throws as `checkDecided`; those before the bad one are kept.
   */
  async absorb(entries: readonly Decided[]): Promise<void> {
    const ops: BatchOp[] = [];
    try {
      for (const decided of entries) {
        if (this.#isKnown(peekSlot(decided))) continue;
        const found = useOf(checkDecided(decided, this.#committees.current));
        if (!found || (this.#uses.size >= MAX_USES && !this.#uses.has(found.name))) continue;
        this.#put(found.name, found.use);
        ops.push(this.#store.putOp(found.name, found.use));
      }
    } finally {
      // Without a sync: what is lost with the machine is told again by the notaries.
      if (ops.length > 0) await this.#db.write(ops);
    }
  }

  #isKnown(slot: string | undefined): boolean {
    if (slot === undefined) return false;
    const use = this.#uses.get(slot.slice(2));
    return use !== undefined && (slot.startsWith('G/') || use.removed);
  }

  #put(name: string, use: StoredMember): void {
    const before = this.#uses.get(name);
    const count = (this.#counts.get(use.account) ?? 0) + weight(use) - (before ? weight(before) : 0);
    this.#uses.set(name, use);
    this.#counts.set(use.account, count);
  }
}

const weight = ({ removed }: StoredMember): number => (removed ? 0 : 1);

function useOf({ slot, statement }: CheckedDecision): { name: string; use: StoredMember } | undefined {
  const name = slot.slice(2);
  if (statement.type === 'redeem')
    return { name, use: { account: statement.redeem.body.account, removed: false } };
  if (statement.type === 'removal')
    return { name, use: { account: statement.removal.body.account, removed: true } };
  return undefined;
}
