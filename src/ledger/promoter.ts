import type { BatchOp, Database, Repository } from '../db/index.ts';
import type { Network } from '../network/index.ts';
import { type Clock, codeOf, every, hasCode, type Logger, messageOf, withDeadline } from '../util/index.ts';
import { type Ask, askOver } from './ask.ts';
import type { Settlement } from './interface.ts';
import type { Membership } from './membership.ts';
import { nextNotaries, notePresence, outlook, type Presence, type Roll } from './promotion.ts';
import { presenceRecord } from './records.ts';

/** Between looks at who is here. */
const LOOK_MS = 60_000;
/** The notaries' decision is waited for so long. */
const CHANGE_MS = 30_000;

export interface PromoterComponents {
  readonly network: Pick<Network, 'self' | 'peers' | 'isConnected' | 'call'>;
  readonly db: Pick<Database, 'write' | 'repository'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly membership: Pick<Membership, 'list'>;
  readonly settlement: Pick<Settlement, 'committee' | 'changeNotaries'>;
}

/** On the admin's node: sees who is here for long, and has the notaries changed by the rules of `nextNotaries`. */
export class Promoter {
  readonly #parts: PromoterComponents;
  readonly #store: Repository<Presence>;
  readonly #ask: Ask;
  /** Of notaries and members that are here, or were for some time. */
  readonly #presence = new Map<string, Presence>();
  #lookedAt = 0;
  /** Why the last change did not come about. */
  #failure: string | null = null;
  #controller = new AbortController();
  #looking: Promise<void> | undefined;
  #stopTimer: () => void = () => {};

  constructor(parts: PromoterComponents) {
    this.#parts = parts;
    this.#store = parts.db.repository('presence', presenceRecord);
    this.#ask = askOver(parts);
  }

  async start(): Promise<void> {
    const { clock } = this.#parts;
    this.#controller = new AbortController();
    for await (const [peer, seen] of this.#store.iterate({ limit: Number.MAX_SAFE_INTEGER }))
      this.#presence.set(peer, seen);
    this.#lookedAt = clock.monotonic();
    this.#stopTimer = every(clock, LOOK_MS, () => this.look());
  }

  async stop(): Promise<void> {
    this.#stopTimer();
    this.#controller.abort();
    await this.#looking;
  }

  /** What the next change waits for, or why it did not come about. */
  get outlook(): string {
    return this.#failure ?? outlook(this.#roll());
  }

  /** Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    try {
      await this.#note();
      const next = nextNotaries(this.#roll());
      if (next) await this.#change(next);
      this.#failure = null;
    } catch (error) {
      if (this.#controller.signal.aborted) return;
      // No later look changes it.
      if (hasCode(error, 'LOG_COMPACTED')) this.#stopTimer();
      const failure = `${codeOf(error)}: ${messageOf(error)}`;
      if (failure !== this.#failure)
        this.#parts.logger.warn({ code: codeOf(error), reason: messageOf(error) }, 'notaries not changed');
      this.#failure = failure;
    }
  }

  #roll(): Roll {
    const { settlement, membership } = this.#parts;
    return { committee: settlement.committee, members: membership.list(), presence: this.#presence };
  }

  async #note(): Promise<void> {
    const { network, clock } = this.#parts;
    const elapsedMs = Math.round(clock.monotonic() - this.#lookedAt);
    this.#lookedAt += elapsedMs;
    // It is this node that is away then.
    if (network.peers().length === 0) return;
    const { committee, members } = this.#roll();
    const { epoch, keys } = committee;
    const notaries = keys.filter(peer => peer !== network.self);
    const seen = new Set([
      ...notaries,
      ...members.flatMap(({ account, invite }) => (invite ? [account] : [])),
    ]);
    const ops: BatchOp[] = [];
    for (const peer of this.#presence.keys()) if (!seen.has(peer)) ops.push(this.#forget(peer));
    for (const peer of seen) {
      const before = this.#presence.get(peer);
      const isHere = network.isConnected(peer);
      if (!isHere && !before && !keys.includes(peer)) continue;
      const now = notePresence(before, { epoch, isHere, elapsedMs });
      const isNothing = !isHere && now.hereMs === 0 && !keys.includes(peer);
      ops.push(isNothing ? this.#forget(peer) : this.#keep(peer, now));
    }
    // Without a sync: minutes of it may be lost.
    await this.#parts.db.write(ops);
  }

  #keep(peer: string, seen: Presence): BatchOp {
    this.#presence.set(peer, seen);
    return this.#store.putOp(peer, seen);
  }

  #forget(peer: string): BatchOp {
    this.#presence.delete(peer);
    return this.#store.delOp(peer);
  }

  async #change(next: readonly string[]): Promise<void> {
    const { settlement, logger, clock } = this.#parts;
    if (!(await this.#isSo(next))) return;
    await withDeadline(
      CHANGE_MS,
      'the notaries’ decision',
      signal => settlement.changeNotaries(next, { signal }),
      { signal: this.#controller.signal, clock },
    );
    logger.info({ notaries: next }, 'other notaries were named: ledger.committee is auto');
  }

  /** Asks those who come and go. For one that is not there after all, and for one that is, the time begins anew. */
  async #isSo(next: readonly string[]): Promise<boolean> {
    const { keys } = this.#parts.settlement.committee;
    const [come, go] = [next.filter(peer => !keys.includes(peer)), keys.filter(peer => !next.includes(peer))];
    const answers = await Promise.all([...come, ...go].map(peer => this.#answers(peer)));
    const wrong = [...come, ...go].filter((peer, i) => answers[i] !== come.includes(peer));
    for (const peer of wrong) this.#presence.delete(peer);
    return wrong.length === 0;
  }

  async #answers(peer: string): Promise<boolean> {
    const { settlement, logger } = this.#parts;
    const { signal } = this.#controller;
    try {
      await this.#ask(peer, { type: 'committees', from: settlement.committee.epoch + 1 }, { signal });
      return true;
    } catch (error) {
      logger.debug({ peer, code: codeOf(error) }, 'a notary to be does not answer, or one that stays away');
      return false;
    }
  }
}
