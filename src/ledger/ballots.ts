import { CodedError, hasCode } from '../util/index.ts';
import {
  type BallotProposal,
  type Certificate,
  type Report,
  sameBytes,
  toHex,
  type Vote,
} from '../wire/index.ts';
import { type Committee, checkCertificate } from './certificates.ts';
import { type CheckedReport, choose } from './choose.ts';
import type { Book, Decision } from './decide.ts';
import type { Signed } from './evidence.ts';
import { candidatesOf, fallbackOf, judge, type Opinion } from './judge.ts';
import type { StoredSlot } from './records.ts';
import { checkReports, type SignedReport } from './reports.ts';
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

function refuse(type: BallotErrorType, message: string): never {
  throw new CodedError(type, message);
}

/** Nothing is signed any more in an epoch that has ended, and nothing yet in one that was not taken over. @throws CodedError `WRONG_EPOCH`. */
function requirePart({ book, committee: { epoch } }: BallotContext, asked = epoch): void {
  if (book.isFrozen || book.epoch !== epoch || asked !== epoch)
    refuse(
      { code: 'WRONG_EPOCH', epoch },
      `this notary has no part in epoch ${asked}, or not yet, or not any more: ask those of the last one again`,
    );
}

function bodyOf(slot: string, ballot: number, digest: string, { committee }: BallotContext): Vote {
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
 * @throws CodedError `WRONG_EPOCH`, as `decide` and `slots.propose`; `SLOT_UNPROPOSED` for what recovery alone may bring.
 */
export function propose(value: Stated, context: BallotContext, asked = context.committee.epoch): Intent {
  const { book, committee } = context;
  const opinion = opinionAt(asked, value, context);
  if (opinion.type === 'decided') return { type: 'decided', slot: opinion.slot };
  const { slot, refusal } = opinion;
  if (value.statement.type === 'skip')
    refuse({ code: 'SLOT_UNPROPOSED', slot }, 'that an order is left out is found by recovery, not proposed');
  const before = book.ballot(slot);
  // An order that its account never could pay is no trace of anything: anybody could leave thousands.
  if (opinion.afford || before.known.length > 0) {
    const state = slots.learn(before, known(value, opinion));
    if (state !== before) book.setBallot(slot, state);
  }
  requirePart(context, asked);
  if (refusal) throw refusal;
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

/** Why a decision cannot be taken in yet; undefined where it never can. */
function lackOf(slot: string, error: unknown): string | undefined {
  const [type, name = ''] = slot.split('/');
  const { code, seq, expected } = error instanceof CodedError ? error.type : { code: '' };
  if (code === 'ESCROW_UNKNOWN' || (code === 'ORDER_SEQ' && Number(seq) > Number(expected))) return name;
  return type === 'A' && code === 'FUNDS_INSUFFICIENT' ? name : undefined;
}

/**
 * Takes a decision in, or says what it waits for: no balance is ever below zero. The certificate was checked.
 * @throws CodedError as `decide` for a statement that is not what its certificate says; `LEDGER_FORKED` for a second decision.
 */
export function certify(
  slot: string,
  value: Stated,
  certificate: Uint8Array,
  { book, nowMs, committee }: BallotContext,
): Intent {
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
    const waitsFor =
      type === 'G' && hasCode(error, 'FUNDS_INSUFFICIENT')
        ? committee.info.genesis.admin
        : lackOf(slot, error);
    if (waitsFor === undefined) throw error;
    return { type: 'taken', waitsFor };
  }
}

/** A report for `ballot` of the epoch that who asks for it knows of. @throws CodedError `WRONG_EPOCH`, as `slots.recover`. */
export function recover(
  slot: string,
  ballot: number,
  reasons: slots.RecoverReasons,
  valuesOf: (state: slots.SlotState) => readonly Stated[],
  context: BallotContext,
  asked = context.committee.epoch,
): Intent {
  const { book, committee, nowMs } = context;
  if (book.slot(slot)) return { type: 'decided', slot };
  requirePart(context, asked);
  const state = slots.recover(book.ballot(slot), slot, ballot, reasons, committee);
  book.setBallot(slot, state);
  const affordable = new Set(
    valuesOf(state).flatMap(value => (canAfford(value, slot, context) ? [value.digest] : [])),
  );
  const { info, epoch } = committee;
  const lock = state.lock && {
    epoch: state.lock.epoch,
    ballot: state.lock.ballot,
    value: bodyOf(slot, 0, state.lock.digest, context).value,
  };
  const entries = state.known.map(({ digest, timely, afford }) => ({
    value: bodyOf(slot, 0, digest, context).value,
    timely,
    afford: afford || affordable.has(digest),
  }));
  const body = { net: info.net, epoch, slot, ballot, at: nowMs, lock, known: entries };
  return { type: 'report', body, qc: state.lock?.qc ?? null, values: state.known.map(({ value }) => value) };
}

function canAfford(value: Stated, slot: string, { book, committee }: BallotContext): boolean {
  try {
    const opinion = judge(value, null, book, committee.info);
    return opinion.type === 'open' && opinion.slot === slot && opinion.afford;
  } catch (error) {
    if (error instanceof CodedError) return false;
    throw error;
  }
}

/** Statements that more reports name than there can be liars. */
function namedByHonest(reports: readonly CheckedReport[], { faults }: Committee): string[] {
  const counts = new Map<string, number>();
  for (const { known: entries } of reports)
    for (const digest of new Set(entries.map(entry => entry.digest)))
      counts.set(digest, (counts.get(digest) ?? 0) + 1);
  return [...counts].flatMap(([digest, count]) => (count > faults ? [digest] : []));
}

/** What the reports lead to. @throws CodedError `SLOT_UNDECIDABLE`: nothing yet, or what is locked is not shown. */
function chosen(
  slot: string,
  reports: readonly CheckedReport[],
  values: readonly Stated[],
  { book, committee }: BallotContext,
): Stated {
  const candidates = candidatesOf(values, slot, book, committee.info);
  const isShown = (digest: string) => candidates.some(candidate => candidate.digest === digest);
  // Whoever carries the reports could leave the statement out that it does not want.
  if (reports.every(({ lock }) => lock === null) && !namedByHonest(reports, committee).every(isShown))
    refuse({ code: 'SLOT_UNDECIDABLE', slot }, `a statement that the reports on ${slot} name is not shown`);
  const fallback = fallbackOf(slot, book, committee.info);
  const digest = choose(reports, candidates, fallback, committee);
  const value = [...candidates, ...(fallback ? [fallback] : [])].find(found => found.digest === digest);
  if (!value)
    refuse({ code: 'SLOT_UNDECIDABLE', slot }, `nothing can be decided in ${slot} yet: ask again later`);
  return { statement: value.statement, value: value.value, digest: value.digest };
}

/** The coordinator's proposal. @throws CodedError `COORDINATOR`, those of `checkReports`, `chosen` and `slots.coordinate`. */
export function coordinate(
  slot: string,
  ballot: number,
  shown: readonly SignedReport[],
  values: readonly Stated[],
  context: BallotContext,
): Intent {
  const { book, committee, self } = context;
  if (book.slot(slot)) return { type: 'decided', slot };
  requirePart(context);
  if (slots.coordinatorOf(slot, ballot, committee) !== self)
    refuse({ code: 'COORDINATOR', slot, ballot }, `another notary coordinates ballot ${ballot} of ${slot}`);
  const value = chosen(slot, checkReports(slot, ballot, shown, committee), values, context);
  book.setBallot(slot, slots.coordinate(book.ballot(slot), slot, ballot));
  return { type: 'proposal', body: bodyOf(slot, ballot, value.digest, context), value };
}

/** A vote on a coordinator's proposal. @throws CodedError `COORDINATOR`, `BALLOT_CHOICE`, those of `coordinate`, `slots.elect` and of time. */
export function elect(
  { body, signers }: Signed<BallotProposal>,
  shown: readonly SignedReport[],
  values: readonly Stated[],
  context: BallotContext,
): Intent {
  const { book, committee, nowMs } = context;
  const { slot, ballot } = body;
  if (book.slot(slot)) return { type: 'decided', slot };
  requirePart(context, body.epoch);
  if (
    !sameBytes(body.net, committee.info.net) ||
    signers.length !== 1 ||
    signers[0] !== slots.coordinatorOf(slot, ballot, committee)
  )
    refuse({ code: 'COORDINATOR', slot, ballot }, `not the word of the coordinator of ballot ${ballot}`);
  const reports = checkReports(slot, ballot, shown, committee);
  const value = chosen(slot, reports, values, context);
  if (value.digest !== toHex(body.value))
    refuse({ code: 'BALLOT_CHOICE', slot, ballot }, `the reports on ${slot} lead to another statement`);
  if (kindOf(value.statement) === 'timeout' && reports.every(({ lock }) => lock === null)) {
    const opinion = judge(value, nowMs, book, committee.info);
    if (opinion.type === 'open' && opinion.refusal) throw opinion.refusal;
  }
  book.setBallot(slot, slots.elect(book.ballot(slot), slot, ballot, value.digest));
  return { type: 'vote', body: bodyOf(slot, ballot, value.digest, context) };
}
