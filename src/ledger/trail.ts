import { CodedError } from '../util/index.ts';
import {
  type Decided,
  type GenesisInfo,
  type Opened,
  open,
  sameBytes,
  sha256,
  type TrailEnd,
  trailEndKind,
} from '../wire/index.ts';
import { type CheckedDecision, checkDecided } from './certificates.ts';
import { type Committee, committeeOf } from './committee.ts';
import { nextCommittee } from './committees.ts';
import type { LedgerEscrow } from './escrow-lock.ts';
import { escrowOf } from './evidence.ts';
import type { TrailEntry, TrailLine } from './interface.ts';
import { type Effect, effectOf } from './wallet-effect.ts';

export type TrailErrorType =
  | { code: 'TRAIL_FOREIGN'; slot: string }
  | { code: 'TRAIL_REPEATED'; slot: string }
  | { code: 'TRAIL_SEQUENCE'; slot: string; expected: number }
  | { code: 'TRAIL_LOCK_MISSING'; slot: string; escrowId: string }
  | { code: 'TRAIL_OVERDRAWN'; slot: string }
  | { code: 'TRAIL_END'; field: string };

export type TrailSums = Omit<TrailEnd, 'net' | 'account' | 'at'>;

/** An entry that was checked by itself, and what it would do. */
interface Step {
  readonly checked: CheckedDecision;
  readonly effect: Effect;
}

/**
 * Follows one account from the genesis through its decided statements and the changes of the committee, with nothing else: each certificate's
 * quorum, each statement's own signatures, the account's orders in their numbers without a gap, each step on its lock, and a
 * balance that is never below zero.
 */
export class TrailReplay {
  #committee: Committee;
  readonly #account: string;
  /** Open escrows that concern the account. */
  readonly #escrows = new Map<string, LedgerEscrow>();
  /** A trail as long as memory allows: 130 bytes an entry. */
  readonly #slots = new Set<string>();
  #sums: TrailSums;
  readonly opening: readonly TrailLine[];

  constructor(info: GenesisInfo, account: string) {
    this.#committee = committeeOf(info);
    this.#account = account;
    const own = info.genesis.allocations.filter(allocation => allocation.account === account);
    const confirmed = own.reduce((sum, { amount }) => sum + amount, 0n);
    const line = { kind: 'genesis', counterpart: null, taskId: null, escrowId: null } as const;
    this.opening = confirmed > 0n ? [{ ...line, index: 0, change: confirmed, balance: confirmed }] : [];
    this.#sums = {
      entries: 0,
      lines: this.opening.length,
      seq: 0,
      confirmed,
      locked: 0n,
      incoming: 0n,
      digest: new Uint8Array(32),
    };
  }

  /** The last committee that was shown. */
  get committee(): Committee {
    return this.#committee;
  }

  get sums(): TrailSums {
    return this.#sums;
  }

  has(slot: string): boolean {
    return this.#slots.has(slot);
  }

  /**
   * Takes the next entry.
   * @throws CodedError `TRAIL_FOREIGN`, `TRAIL_REPEATED`, `TRAIL_SEQUENCE`, `TRAIL_LOCK_MISSING`, `TRAIL_OVERDRAWN`, those of `nextCommittee`,
   * `checkDecided` and `replayStep`; WireError. Nothing is taken then.
   */
  take(decided: Decided): TrailEntry {
    const step = this.#read(decided);
    const { checked, effect } = step;
    const sums = this.#after(step);
    let { confirmed } = this.#sums;
    const lines = effect.lines.map((line, i) => {
      confirmed += line.change;
      return { ...line, index: this.#sums.lines + i, balance: confirmed };
    });
    if (effect.nextSeq !== undefined) this.#escrows.clear();
    for (const escrow of effect.followed) this.#escrows.set(escrow.escrowId, escrow);
    for (const escrowId of effect.closed) this.#escrows.delete(escrowId);
    this.#slots.add(checked.slot);
    this.#sums = sums;
    if (checked.statement.type === 'committee') this.#committee = nextCommittee(decided, this.#committee);
    return { slot: checked.slot, decided, lines };
  }

  #read(decided: Decided): Step {
    const checked = checkDecided(decided, this.#committee);
    const { slot, statement } = checked;
    if (this.#slots.has(slot))
      throw new CodedError<TrailErrorType>({ code: 'TRAIL_REPEATED', slot }, `${slot} stands there twice`);
    const escrowId = statement.type === 'evidence' ? escrowOf(statement.evidence) : undefined;
    const escrow = escrowId === undefined ? undefined : this.#escrows.get(escrowId);
    const effect = effectOf(checked, this.#account, escrow, this.#committee, this.#sums);
    if (!effect)
      throw new CodedError<TrailErrorType>(
        { code: 'TRAIL_LOCK_MISSING', slot, escrowId: escrowId ?? '' },
        `${slot} is a step of an escrow whose lock does not stand before it, or that is closed`,
      );
    const { lines, followed, closed, seq } = effect;
    if (
      statement.type !== 'committee' &&
      lines.length + followed.length + closed.length === 0 &&
      seq === undefined
    )
      throw new CodedError<TrailErrorType>(
        { code: 'TRAIL_FOREIGN', slot },
        `${slot} does nothing to this account`,
      );
    return { checked, effect };
  }

  #after({ checked: { slot, decided }, effect }: Step): TrailSums {
    const { entries, lines, seq, confirmed, locked, incoming, digest } = this.#sums;
    if (effect.seq !== undefined && effect.seq !== seq)
      throw new CodedError<TrailErrorType>(
        { code: 'TRAIL_SEQUENCE', slot, expected: seq },
        `${slot} stands where the account’s order ${seq} has to be`,
      );
    if (confirmed + effect.confirmed < 0n)
      throw new CodedError<TrailErrorType>(
        { code: 'TRAIL_OVERDRAWN', slot },
        `${slot} takes more than the account holds by then`,
      );
    return {
      entries: entries + 1,
      lines: lines + effect.lines.length,
      seq: effect.nextSeq ?? seq + (effect.seq === undefined ? 0 : 1),
      confirmed: confirmed + effect.confirmed,
      locked: locked + effect.locked,
      incoming: incoming + effect.incoming,
      digest: sha256(digest, sha256(decided.certificate), sha256(decided.value)),
    };
  }

  /** Checks the owner's word on what has been taken. @throws CodedError `TRAIL_END` with the field; WireError. */
  end(bytes: Uint8Array): Opened<TrailEnd> {
    const end = open(trailEndKind, bytes);
    const { body, signers } = end;
    const wrong = (field: string, message: string) =>
      new CodedError<TrailErrorType>({ code: 'TRAIL_END', field }, `the trail’s end: ${message}`);
    if (signers.length !== 1 || signers[0] !== this.#account)
      throw wrong('signatures', 'it is not signed by the account alone');
    if (body.account !== this.#account) throw wrong('account', 'it is of another account');
    if (!sameBytes(body.net, this.#committee.info.net)) throw wrong('net', 'it is of another network');
    if (!sameBytes(body.digest, this.#sums.digest))
      throw wrong('digest', 'entries are missing, or are others, or stand in another order');
    for (const field of ['entries', 'lines', 'seq', 'confirmed', 'locked', 'incoming'] as const)
      if (body[field] !== this.#sums[field]) throw wrong(field, `its ${field} are not those of the entries`);
    return end;
  }
}
