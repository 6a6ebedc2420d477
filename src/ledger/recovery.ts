import { type Abortable, CodedError, sleep } from '../util/index.ts';
import {
  type Decided,
  type LedgerAnswer,
  type RoundRefusal,
  type ShownReport,
  sha256,
  toHex,
} from '../wire/index.ts';
import { checkDecided } from './certificates.ts';
import { openShown } from './reports.ts';
import { commitAll, isOver, Round, tellAll } from './rounds.ts';
import { askAll, type SeveralComponents } from './several.ts';
import { coordinatorOf } from './slot.ts';
import { stated } from './statement.ts';

/** A notary that says it must be waited for longer than this is not believed. */
const MAX_WAIT_MS = 10_000;
/** One recovery, with absent coordinators and waits. Who waits for it asks again. */
const RECOVERY_MS = 20_000;
const RETRY_MS = 200;

interface Ballot {
  readonly slot: string;
  number: number;
  /** By signer, of this ballot. */
  reports: Map<string, ShownReport>;
  values: Map<string, Uint8Array>;
  decided: Decided | undefined;
  waitMs: number;
  /** Of the last time that it was asked for. */
  refusals: RoundRefusal[];
}

/**
 * Brings a contested slot to its decision: reports of a quorum, the coordinator's proposal, votes, commits. Undefined where not
 * enough notaries took part, or nothing can be decided yet.
 */
export async function recoverSlot(
  parts: SeveralComponents,
  slot: string,
  options: Abortable,
): Promise<Decided | undefined> {
  const ballot = {
    slot,
    number: 1,
    reports: new Map(),
    values: new Map(),
    decided: undefined,
    waitMs: 0,
    refusals: [],
  };
  const end = parts.clock.monotonic() + RECOVERY_MS;
  while (parts.clock.monotonic() < end) {
    await gather(parts, ballot, options);
    if (ballot.decided || isOver(ballot.refusals, parts.committee)) return ballot.decided;
    if (ballot.reports.size >= parts.committee.quorum) {
      const decided = await decide(parts, ballot, options);
      if (decided) return decided;
      next(ballot, ballot.number + 1);
    }
    const waitMs = Math.min(Math.max(ballot.waitMs, RETRY_MS), MAX_WAIT_MS);
    ballot.waitMs = 0;
    await sleep(waitMs, { signal: options.signal, clock: parts.clock });
  }
  return undefined;
}

function next(ballot: Ballot, number: number): void {
  ballot.number = number;
  ballot.reports = new Map();
  ballot.values = new Map();
}

/** Asks those who have not reported on the ballot. Another's higher ballot is gone past. */
async function gather(parts: SeveralComponents, ballot: Ballot, options: Abortable): Promise<void> {
  const { slot, number, reports } = ballot;
  const missing = parts.committee.keys.filter(peer => !reports.has(peer));
  ballot.refusals = [];
  const joined = [...reports.values()].map(({ report }) => report);
  let highest = 0;
  await askAll(
    parts,
    missing,
    { type: 'recover', epoch: parts.committee.epoch, slot, ballot: number, joined },
    (answer, peer) => {
      if (answer.type === 'report') takeReport(answer, peer, ballot, parts);
      const outcome = answer.type === 'round' ? answer.outcomes[0] : undefined;
      if (outcome?.type === 'decided') takeDecided(outcome.decided, parts, ballot);
      if (outcome?.type === 'refused') {
        highest = Math.max(highest, takeRefusal(outcome, ballot));
        ballot.refusals.push(outcome);
      }
      return ballot.decided !== undefined || reports.size >= parts.committee.quorum;
    },
    options,
  );
  if (reports.size < parts.committee.quorum && highest >= number) next(ballot, highest + 1);
}

function takeReport(
  { shown, values }: Extract<LedgerAnswer, { type: 'report' }>,
  peer: string,
  { slot, number, reports, values: known }: Ballot,
  { witness }: SeveralComponents,
): void {
  try {
    const { body, signers } = openShown(shown, witness).report;
    if (signers.length !== 1 || signers[0] !== peer || body.slot !== slot || body.ballot !== number) return;
    reports.set(peer, shown);
    // By their bytes: a liar's envelope may lack the signatures of another with the same digest.
    for (const value of values) known.set(toHex(sha256(value)), value);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
  }
}

function takeDecided(decided: Decided, { committee }: SeveralComponents, ballot: Ballot): void {
  try {
    if (checkDecided(decided, committee).slot === ballot.slot) ballot.decided = decided;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
  }
}

/** The ballot that a refusal tells of; 0: none. */
function takeRefusal({ code, ballot: number, waitMs }: RoundRefusal, ballot: Ballot): number {
  if (code === 'RECOVER_EARLY') ballot.waitMs = Math.max(ballot.waitMs, waitMs ?? 0);
  return code === 'SLOT_BALLOT' ? (number ?? 0) : 0;
}

async function decide(
  parts: SeveralComponents,
  { slot, number, reports, values }: Ballot,
  options: Abortable,
): Promise<Decided | undefined> {
  const shown = [...reports.values()];
  const known = [...values.values()];
  const proposal = await propose(parts, { slot, number, shown, known }, options);
  if (!proposal) return undefined;
  const round = new Round(stated(proposal.value));
  await askAll(
    parts,
    parts.committee.keys,
    { type: 'elect', proposal: proposal.proposal, reports: shown, values: known },
    (answer, peer) => {
      if (answer.type === 'round') round.take(answer.outcomes[0], peer, parts);
      return round.decided !== undefined || round.votes >= parts.committee.quorum;
    },
    options,
  );
  await commitAll(parts, [round], options);
  // Who asks next must find it.
  if (round.decided) await tellAll(parts, [round.decided], options);
  return round.decided;
}

/** The coordinator's proposal; undefined where it is away or sees nothing to propose yet. */
async function propose(
  { committee, ask }: SeveralComponents,
  { slot, number, shown, known }: { slot: string; number: number; shown: ShownReport[]; known: Uint8Array[] },
  options: Abortable,
) {
  const request = { type: 'choose' as const, slot, ballot: number, reports: shown, values: known };
  try {
    const answer = await ask(coordinatorOf(slot, number, committee), request, options);
    if (answer.type !== 'proposal') return undefined;
    stated(answer.value);
    return answer;
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}
