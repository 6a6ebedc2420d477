import type { Database } from '../db/index.ts';
import {
  type Abortable,
  type Clock,
  CodedError,
  codeOf,
  every,
  type Logger,
  messageOf,
} from '../util/index.ts';
import { type Decided, type HeldInvite, redeemKind, type Signer, seal } from '../wire/index.ts';
import { checkOrigin } from './accounts.ts';
import type { LedgerClient } from './client.ts';
import type { Committees } from './committees.ts';
import type { Settlement } from './interface.ts';
import { takeUse } from './invite-uses.ts';
import { exhausted, memberAlready, redeemed, revoked } from './invites.ts';
import { type Member, MemberBook } from './member-book.ts';

/** Between looks at the notaries' lists: what a removal takes at most until it is known here. */
const SYNC_MS = 30_000;
/** A requester that is not known may have joined a moment ago: looked up at once, but no more often than this. */
const LOOK_MS = 5_000;
/** Pages of one list in one look: more than a network has. */
const MAX_PAGES = 1_000;

export interface MembershipComponents {
  readonly client: LedgerClient;
  readonly committees: Committees;
  readonly db: Pick<Database, 'write' | 'repository'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signer: Signer;
  readonly settlement: Pick<Settlement, 'observe'>;
}

export type MembershipErrorType = { code: 'NETWORK_DIFFERS'; wanted: string; found: string };

/** Who is a member of the network, as its notaries certified it. Known while they are away, and over restarts. */
export class Membership {
  readonly #parts: MembershipComponents;
  readonly #book: MemberBook;
  /** Entries read of each notary's list. */
  readonly #cursors = new Map<string, number>();
  #controller = new AbortController();
  #looking: Promise<void> | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #stopTimer: () => void = () => {};

  constructor(parts: MembershipComponents) {
    this.#parts = parts;
    this.#book = new MemberBook(parts.db, parts.committees);
  }

  async start(): Promise<void> {
    this.#controller = new AbortController();
    await this.#book.start();
    this.#stopTimer = every(this.#parts.clock, SYNC_MS, () => this.#look());
    void this.#look();
  }

  async stop(): Promise<void> {
    this.#stopTimer();
    this.#controller.abort();
    await this.#looking;
  }

  get isOpen(): boolean {
    return this.#parts.committees.current.info.genesis.membership === 'open';
  }

  /** True for who may have unpaid work done here. One that is not known is looked up for the next time. */
  has(account: string): boolean {
    if (this.isOpen || this.#book.has(account)) return true;
    if (this.#parts.clock.monotonic() - this.#lookedAt >= LOOK_MS) void this.#look();
    return false;
  }

  list(): Member[] {
    return this.#book.list();
  }

  usesOf(account: string): { invite: string; use: number }[] {
    return this.#book.usesOf(account);
  }

  /** Takes certificates in that came another way. @throws as `checkDecided`. */
  observe(decided: readonly Decided[]): Promise<void> {
    return this.#book.absorb(decided);
  }

  /** For those whom no answer helps. Never rejects. */
  #look(): Promise<void> {
    this.#lookedAt = this.#parts.clock.monotonic();
    this.#looking ??= this.sync({ signal: this.#controller.signal })
      .catch(error => {
        this.#parts.logger.debug({ code: codeOf(error), reason: messageOf(error) }, 'members were not read');
      })
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  /**
   * Reads the lists of as many notaries as can hold no lie together: none can add a member, but one could leave some out.
   * @throws CodedError `LEDGER_UNREACHABLE`, `LEDGER_REFUSED`, `CERTIFICATE_INVALID`; the signal's reason.
   */
  async sync({ signal }: Abortable = {}): Promise<void> {
    if (this.isOpen) return;
    const { committees, client } = this.#parts;
    let wanted = committees.current.faults + 1;
    let failure: unknown;
    for (const peer of client.sources) {
      if (wanted === 0) return;
      try {
        await this.#read(peer, signal);
        wanted--;
      } catch (error) {
        signal?.throwIfAborted();
        failure = error;
      }
    }
    if (wanted > 0) throw failure;
  }

  async #read(peer: string, signal: AbortSignal | undefined): Promise<void> {
    for (let page = 0; page < MAX_PAGES; page++) {
      const from = this.#cursors.get(peer) ?? 0;
      const { entries, more } = await this.#parts.client.request({ type: 'members', from }, 'trail', {
        signal,
        peer,
      });
      await this.#book.absorb(entries);
      this.#cursors.set(peer, from + entries.length);
      if (!more || entries.length === 0) return;
    }
  }

  /**
   * Makes this node's account a member by an invite, with its grant. Repeated, it changes nothing.
   * @throws CodedError `NETWORK_DIFFERS`, `STATEMENT_SIGNER`, `MEMBER_ALREADY` (by another invite), `INVITE_REDEEMED` (and removed since), `INVITE_EXPIRED`, `INVITE_REVOKED`,
   * `INVITE_EXHAUSTED`, `LEDGER_REFUSED`; the signal's reason while no notary answers.
   */
  async redeem({ invite, key, networkId }: HeldInvite, { signal: given }: Abortable = {}): Promise<void> {
    const own = this.#controller.signal;
    const signal = given ? AbortSignal.any([given, own]) : own;
    const { client, committees, signer, settlement } = this.#parts;
    const { info } = committees.current;
    if (networkId !== info.networkId)
      throw new CodedError<MembershipErrorType>(
        { code: 'NETWORK_DIFFERS', wanted: networkId, found: info.networkId },
        `the invite is of another network, ${networkId}, and this node belongs to ${info.networkId}: use another --data directory for it`,
      );
    checkOrigin('invite', invite, [info.genesis.admin], info);
    const account = signer.peer;
    const decided = await takeUse(
      { client, committees, account },
      invite.body.id,
      ({ own, next: use, isRevoked }) => {
        if (own) return own.decided;
        if (this.isOpen || this.#book.has(account)) memberAlready(account);
        if (isRevoked) revoked();
        if (use >= invite.body.uses) exhausted(invite.body.uses);
        return seal(redeemKind, { net: info.net, invite: invite.bytes, use, account }, signer, key).bytes;
      },
      signal,
    );
    await settlement.observe([decided]);
    await this.#book.absorb([decided]);
    await this.sync({ signal });
    if (!this.#book.has(account)) redeemed(account);
  }
}
