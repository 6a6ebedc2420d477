import { CodedError } from '../util/index.ts';
import { type BallotProposal, sameBytes, toHex } from '../wire/index.ts';
import { type BallotContext, bodyOf, type Intent, refuse, requirePart } from './ballots.ts';
import { type CheckedReport, choose } from './choose.ts';
import type { Committee } from './committee.ts';
import type { Signed } from './evidence.ts';
import { candidatesOf, fallbackOf, judge } from './judge.ts';
import { checkReports, type SignedReport } from './reports.ts';
import * as slots from './slot.ts';
import { kindOf, type Stated } from './statement.ts';

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
