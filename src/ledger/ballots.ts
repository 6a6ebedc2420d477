import { CodedError } from '../util/index.ts';
import {
  type BallotProposal,
  type Certificate,
  isPeerText,
  type Report,
  toHex,
  type Vote,
} from '../wire/index.ts';
import type { AccountRates } from './account-rates.ts';
import { checkCertificate } from './certificates.ts';
import type { Committee } from './committee.ts';
import type { Book, Decision } from './decide.ts';
import type { Signed } from './evidence.ts';
import { purseOf } from './invites.ts';
import { judge, type Opinion } from './judge.ts';
import type { StoredSlot } from './records.ts';
import * as slots from './slot.ts';
import { kindOf, type Stated } from './statement.ts';

/** The ledger and the undecided slots of one notary. What is set here is on disk before anything is signed. */
export interface BallotBook extends Book {
  /** The last epoch of this notary has ended, and it has no part in the next one yet. */
  readonly isFrozen: boolean;
  /** The first epoch of those up to `epoch` that this notary took part in without a gap. */
  readonly since: number;
  /** Entries in the log. */
  readonly log: number;
  /** Slots that something is kept of; only where the whole of them was read. */
  undecided(): readonly string[];
  /** Takes part in an epoch from now on, and took part in all from `since` on. */
  begin(epoch: number, since: number): void;
  ballot(slot: string): slots.SlotState;
  setBallot(slot: string, state: slots.SlotState): void;
  apply(decision: Decision, slot: StoredSlot, nowMs: number): void;
}

export interface BallotContext {
  readonly self: string;
  /** The notary's time T. */
  readonly nowMs: number;
  readonly committee: Committee;
  readonly book: BallotBook;
  readonly rates?: AccountRates | undefined;
}

/** What a notary answers once its book is on disk. */
export type Intent =
  | { readonly type: 'vote'; readonly body: Vote }
  | { readonly type: 'commit'; readonly body: Certificate }
  | { readonly type: 'proposal'; readonly body: BallotProposal; readonly value: Stated }
  | {
      readonly type: 'report';
      readonly body: Report;
      readonly qc: Uint8Array | null;
      readonly values: readonly Uint8Array[];
    }
  | { readonly type: 'decided'; readonly slot: string }
  /** `waitsFor`: the account or escrow that has to change before it can be taken in; null when it was. */
  | { readonly type: 'taken'; readonly waitsFor: string | null }
  /** Entries in the log, now that the epoch has ended. */
  | { readonly type: 'left'; readonly log: number }
  | { readonly type: 'begun' };

export type BallotErrorType =
  | { code: 'WRONG_EPOCH'; epoch: number }
  | { code: 'SLOT_BEHIND'; slot: string }
  | { code: 'SLOT_UNPROPOSED'; slot: string }
  | { code: 'SLOT_UNDECIDABLE'; slot: string }
  | { code: 'BALLOT_CHOICE'; slot: string; ballot: number }
  | { code: 'COORDINATOR'; slot: string; ballot: number }
  | { code: 'LEDGER_FORKED'; slot: string };

export function refuse(type: BallotErrorType, message: string): never {
  throw new CodedError(type, message);
}

/** Nothing is signed any more in an epoch that has ended, and nothing yet in one that was not taken over. @throws CodedError `WRONG_EPOCH`. */
export function requirePart({ book, committee: { epoch } }: BallotContext, asked = epoch): void {
  if (book.isFrozen || book.epoch !== epoch || asked !== epoch)
    refuse(
      { code: 'WRONG_EPOCH', epoch },
      `this notary has no part in epoch ${asked}, or not yet, or not any more: ask those of the last one again`,
    );
}

export function bodyOf(slot: string, ballot: number, digest: string, { committee }: BallotContext): Vote {
  const { info, epoch } = committee;
  return { net: info.net, epoch, slot, ballot, value: new Uint8Array(Buffer.from(digest, 'hex')) };
}

export function known(
  { statement, value, digest }: Stated,
  { timely, afford }: { timely: boolean; afford: boolean },
) {
  return { digest, kind: kindOf(statement), value, timely, afford };
}

/** The statement's standing in exactly `slot`. */
function opinionIn(slot: string, value: Stated, { book, committee }: BallotContext): Opinion {
  const opinion = judge(value, null, book, committee.info);
  if (opinion.slot !== slot)
    refuse(
      { code: 'SLOT_BEHIND', slot },
      `this notary is not at ${slot}: bring it up to date, and ask again`,
    );
  return opinion;
}

/** The statement's standing; a notary without a part in the epoch may lack what it stands on. @throws CodedError `WRONG_EPOCH`, as `judge`. */
function opinionAt(epoch: number, value: Stated, context: BallotContext): Opinion {
  try {
    return judge(value, context.nowMs, context.book, context.committee.info);
  } catch (error) {
    requirePart(context, epoch);
    throw error;
  }
}

/**
 * A statement at ballot 0 of the epoch that its bearer knows of. It is remembered even where no vote can be given.
 * @throws CodedError `WRONG_EPOCH`, as `decide`, `AccountRates.require`, `slots.requireKnown` and `slots.propose`; `SLOT_UNPROPOSED` for what recovery alone may bring.
 */
export function propose(value: Stated, context: BallotContext, asked = context.committee.epoch): Intent {
  const { book, committee, rates } = context;
  const opinion = opinionAt(asked, value, context);
  if (opinion.type === 'decided') return { type: 'decided', slot: opinion.slot };
  const { slot, refusal } = opinion;
  if (value.statement.type === 'skip')
    refuse({ code: 'SLOT_UNPROPOSED', slot }, 'that an order is left out is found by recovery, not proposed');
  const before = book.ballot(slot);
  if (!refusal && !before.known.some(({ digest }) => digest === value.digest))
    rates?.require(value.statement);
  // An order that its account never could pay is no trace of anything: anybody could leave thousands.
  if (opinion.afford || before.known.length > 0) {
    const state = slots.learn(before, known(value, opinion));
    if (state !== before) book.setBallot(slot, state);
  }
  requirePart(context, asked);
  if (refusal) throw refusal;
  slots.requireKnown(book.ballot(slot), slot, known(value, opinion));
  book.setBallot(slot, slots.propose(book.ballot(slot), slot, committee.epoch, value));
  return { type: 'vote', body: bodyOf(slot, 0, value.digest, context) };
}

/** Commits to what a quorum voted for. @throws CodedError `CERTIFICATE_INVALID`, `SLOT_BEHIND`, those of `judge` and `slots.commit`. */
export function commit(
  { body, signers }: Signed<Vote>,
  qc: Uint8Array,
  value: Stated,
  context: BallotContext,
): Intent {
  const { book, committee } = context;
  checkCertificate({ body, signers }, committee);
  checkValue(body, value);
  const { slot, epoch, ballot } = body;
  if (book.slot(slot)) return { type: 'decided', slot };
  requirePart(context, epoch);
  opinionIn(slot, value, context);
  const entry = known(value, { timely: false, afford: false });
  book.setBallot(slot, slots.commit(book.ballot(slot), slot, { epoch, ballot }, entry, qc));
  return { type: 'commit', body: bodyOf(slot, ballot, value.digest, context) };
}

function checkValue({ slot, value }: Vote, { digest }: Stated): void {
  if (toHex(value) !== digest)
    refuse({ code: 'SLOT_UNDECIDABLE', slot }, `the votes for ${slot} are for another statement`);
}

/** What has to change before a decision can be taken in; undefined where it never can. */
function lackOf(slot: string, error: unknown, { committee }: BallotContext): string | undefined {
  const [type, name = ''] = slot.split('/');
  const { code, seq, expected } = error instanceof CodedError ? error.type : { code: '' };
  const isAhead = Number(seq) > Number(expected);
  if (code === 'ESCROW_UNKNOWN' || (code === 'ORDER_SEQ' && isAhead)) return name;
  if (code === 'MEMBER_UNKNOWN' || (code === 'INVITE_USE' && isAhead)) return purseOf(name);
  if (code !== 'FUNDS_INSUFFICIENT') return undefined;
  if (type === 'G') return isPeerText(name) ? purseOf(name) : committee.info.genesis.admin;
  return type === 'A' ? name : undefined;
}

/**
 * Takes a decision in, or says what it waits for: no balance is ever below zero. The certificate was checked.
 * @throws CodedError as `decide` for a statement that is not what its certificate says; `LEDGER_FORKED` for a second decision.
 */
export function certify(
  slot: string,
  value: Stated,
  certificate: Uint8Array,
  context: BallotContext,
): Intent {
  const { book, nowMs, committee } = context;
  const stored = book.slot(slot);
  if (stored) {
    if (toHex(stored.digest) !== value.digest)
      refuse({ code: 'LEDGER_FORKED', slot }, `${slot} was decided twice: too many notaries lie`);
    return { type: 'taken', waitsFor: null };
  }
  const [type, name = '', step = ''] = slot.split('/');
  if (type === 'E' && (book.escrow(name)?.escrow.steps ?? -1) < Number(step))
    return { type: 'taken', waitsFor: name };
  try {
    const opinion = judge(value, null, book, committee.info);
    if (opinion.type === 'open' && opinion.refusal) throw opinion.refusal;
    if (opinion.type !== 'open' || opinion.slot !== slot)
      refuse({ code: 'SLOT_UNDECIDABLE', slot }, `${slot} cannot hold this statement`);
    const digest = new Uint8Array(Buffer.from(value.digest, 'hex'));
    book.apply(opinion.decision!, { digest, value: value.value, certificate }, nowMs);
    return { type: 'taken', waitsFor: null };
  } catch (error) {
    const waitsFor = lackOf(slot, error, context);
    if (waitsFor === undefined) throw error;
    return { type: 'taken', waitsFor };
  }
}
