import { randomBytes } from 'node:crypto';
import type { Database, Repository } from '../db/index.ts';
import { type Abortable, type Clock, CodedError, hasCode } from '../util/index.ts';
import { removalKind, revokeKind, type Signer, seal, writeInvite } from '../wire/index.ts';
import type { Settlement } from './interface.ts';
import { readUses, refusalOf, submitOne, takeUse, type UseComponents } from './invite-uses.ts';
import { memberUnknown, purseOf } from './invites.ts';
import type { Membership } from './membership.ts';
import { inviteRecord, type StoredInvite } from './records.ts';

/** Invites that one admin keeps at a time; those that are over are to be revoked. */
const MAX_INVITES = 200;

export interface InvitationComponents extends UseComponents {
  readonly db: Pick<Database, 'write' | 'repository'>;
  readonly clock: Clock;
  readonly signer: Signer;
  readonly settlement: Pick<Settlement, 'transfer' | 'observe'>;
  readonly membership: Membership;
}

/** What an invite gives, and how often. */
export interface InviteTerms {
  /** For each account, 1e-8 FLOP. */
  readonly grant: bigint;
  readonly uses: number;
  /** From now on. */
  readonly expiresMs: number;
}

export interface InviteView extends StoredInvite {
  readonly id: string;
  readonly used: number;
  readonly state: 'open' | 'used' | 'expired';
}

export type InvitationErrorType =
  | { code: 'NOT_ADMIN'; admin: string }
  | { code: 'MEMBERSHIP_OPEN' }
  | { code: 'INVITE_UNKNOWN'; id: string }
  | { code: 'INVITE_LIMIT'; limit: number };

function refuse(type: InvitationErrorType, message: string): never {
  throw new CodedError(type, message);
}

/** The admin's part of membership: invites, and removals. Every method throws `NOT_ADMIN` on other nodes, `MEMBERSHIP_OPEN` in an open network. */
export class Invitations {
  readonly #parts: InvitationComponents;
  readonly #store: Repository<StoredInvite>;

  constructor(parts: InvitationComponents) {
    this.#parts = parts;
    this.#store = parts.db.repository<StoredInvite>('invites', inviteRecord);
  }

  #requireAdmin(): void {
    const { admin } = this.#parts.committees.current.info.genesis;
    if (this.#parts.account !== admin)
      refuse({ code: 'NOT_ADMIN', admin }, `only the network’s admin can do that: ask at the node ${admin}`);
    if (this.#parts.membership.isOpen)
      refuse(
        { code: 'MEMBERSHIP_OPEN' },
        'this network is open: whoever connects is a member, by duxnode start --join ADDRESS',
      );
  }

  /**
   * Sets the grants of an invite aside, and signs it. Its text is a secret, and not kept.
   * @throws CodedError `INVITE_LIMIT`, and those of `Settlement.transfer` but `SEND_PENDING`: the money may be on its way.
   */
  async create(
    { grant, uses, expiresMs }: InviteTerms,
    addresses: readonly string[],
    options: Abortable,
  ): Promise<{ id: string; text: string; expires: number }> {
    this.#requireAdmin();
    const { committees, db, clock, signer } = this.#parts;
    if ((await this.#kept()).length >= MAX_INVITES)
      refuse(
        { code: 'INVITE_LIMIT', limit: MAX_INVITES },
        `${MAX_INVITES} invites are kept already: revoke those that are over`,
      );
    const createdAt = clock.now();
    const expires = createdAt + expiresMs;
    const terms = { net: committees.current.info.net, grant, uses, expires };
    const { id, text } = writeInvite(terms, new Uint8Array(randomBytes(32)), signer, addresses);
    // Before the money goes: whatever happens, it can be taken back.
    await db.write([this.#store.putOp(id, { grant, uses, expires, createdAt })], { sync: true });
    try {
      await this.#fund(id, { grant, uses }, options);
    } catch (error) {
      if (!hasCode(error, 'SEND_PENDING')) {
        await db.write([this.#store.delOp(id)]);
        throw error;
      }
    }
    return { id, text, expires };
  }

  /** Once for each invite, however often it is asked for. */
  async #fund(id: string, { grant, uses }: Pick<InviteTerms, 'grant' | 'uses'>, options: Abortable) {
    const total = grant * BigInt(uses);
    if (total === 0n) return;
    await this.#parts.settlement.transfer(purseOf(id), total, { ...options, key: `invite:${id}` });
  }

  async #kept(): Promise<[string, StoredInvite][]> {
    const found: [string, StoredInvite][] = [];
    for await (const entry of this.#store.iterate({ limit: MAX_INVITES })) found.push(entry);
    return found;
  }

  /** Newest first. @throws as `readUses`. */
  async list(signal: AbortSignal): Promise<InviteView[]> {
    this.#requireAdmin();
    const views: InviteView[] = [];
    for (const [id, invite] of await this.#kept()) {
      const { next: used } = await readUses(this.#parts, id, signal);
      const isOver = this.#parts.clock.now() > invite.expires;
      views.push({ ...invite, id, used, state: used >= invite.uses ? 'used' : isOver ? 'expired' : 'open' });
    }
    return views.sort((a, b) => b.createdAt - a.createdAt);
  }

  /** Ends an invite, whatever its state, and takes back what is left of it. @throws CodedError `INVITE_UNKNOWN`, `LEDGER_REFUSED`. */
  async revoke(id: string, signal: AbortSignal): Promise<{ returned: bigint }> {
    this.#requireAdmin();
    const { committees, db, signer, settlement } = this.#parts;
    const kept = await this.#store.get(id);
    if (!kept) refuse({ code: 'INVITE_UNKNOWN', id }, 'this node made no such invite, or it was revoked');
    // A crash may have left it without its money: then all of it comes back.
    await this.#fund(id, kept, { signal });
    let returned = 0n;
    const decided = await takeUse(
      this.#parts,
      id,
      ({ next: use, isRevoked, last }) => {
        // Decided before a crash: what is left to do is to forget it.
        if (isRevoked) return last!.decided;
        returned = kept.grant * BigInt(kept.uses - use);
        return seal(
          revokeKind,
          { net: committees.current.info.net, invite: id, use, amount: returned },
          signer,
        ).bytes;
      },
      signal,
    );
    await settlement.observe([decided]);
    await db.write([this.#store.delOp(id)]);
    return { returned };
  }

  /** Makes a guest of a member. @throws CodedError `MEMBER_UNKNOWN`, `LEDGER_REFUSED`. */
  async remove(account: string, signal: AbortSignal): Promise<void> {
    this.#requireAdmin();
    const { committees, membership, signer } = this.#parts;
    await membership.sync({ signal });
    const uses = membership.usesOf(account);
    if (uses.length === 0) memberUnknown(account);
    for (const use of uses) {
      const removal = seal(removalKind, { net: committees.current.info.net, ...use, account }, signer);
      const outcome = await submitOne(this.#parts, removal.bytes, signal);
      if (!outcome.ok) throw refusalOf(outcome);
      await membership.observe([outcome.decided]);
    }
  }
}
