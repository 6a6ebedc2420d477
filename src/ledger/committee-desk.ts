import { CodedError } from '../util/index.ts';
import {
  certificateKind,
  type Decided,
  fundsKind,
  type LedgerAnswer,
  open,
  proposalKind,
  type RoundOutcome,
  reportKind,
  seal,
  slotSchema,
  toHex,
  voteKind,
} from '../wire/index.ts';
import * as recovery from './ballot-recovery.ts';
import * as ballots from './ballots.ts';
import { checkCertificate, checkDecides, peekSlot } from './certificates.ts';
import { MAX_SKEW_MS, signCheckpoint } from './checkpoints.ts';
import { leave } from './handover-desk.ts';
import { readDecisions, readLog } from './log-desk.ts';
import type { RoundRequest } from './notary.ts';
import { readFunds } from './notary-desk.ts';
import { ledgerLost } from './notary-state.ts';
import { isForgotten } from './own-signature.ts';
import { openShown } from './reports.ts';
import type { Job, JobResult, RoundNotary } from './round-job.ts';
import { type Stated, stated } from './statement.ts';

export type RoundErrorType =
  | { code: 'CERTIFICATE_INVALID'; reason: string }
  | { code: 'FUNDS_UNPROVEN'; account: string };

type RequestOf<T extends RoundRequest['type']> = Extract<RoundRequest, { type: T }>;

/** Answers what only several notaries are asked. @throws CodedError and WireError of requests about one slot; those about many are outcomes. */
export function answerRound(notary: RoundNotary, request: RoundRequest, from: string): Promise<LedgerAnswer> {
  switch (request.type) {
    case 'propose':
      return outcomesOf(request.values, value => run(notary, proposeJob(value, request.epoch)));
    case 'commit':
      return outcomesOf(request.items, item => run(notary, commitJob(item, notary)));
    case 'certify':
      return outcomesOf(request.decided, decided => run(notary, certifyJob(decided, notary)));
    case 'recover':
      return recover(notary, request);
    case 'choose':
      return choose(notary, request);
    case 'elect':
      return outcomesOf([request], elected => run(notary, electJob(elected, notary)));
    case 'log':
      return readLog(notary, request.from, from);
    case 'decisions':
      return readDecisions(notary, request.slots);
    case 'handover':
      return leave(notary, request);
    case 'cosign':
      return cosign(notary, request);
    case 'checkpoint':
      return signCheckpoint(notary, request);
  }
}

async function outcomesOf<T>(
  items: readonly T[],
  each: (item: T) => Promise<RoundOutcome>,
): Promise<LedgerAnswer> {
  const outcomes = items.map(async item => {
    try {
      return await each(item);
    } catch (error) {
      return refusalOf(error);
    }
  });
  return { type: 'round', outcomes: await Promise.all(outcomes) };
}

/** Errors of other kinds may tell about this machine; their text stays here. */
export function refusalOf(error: unknown): RoundOutcome {
  if (!(error instanceof CodedError))
    return {
      type: 'refused',
      slot: null,
      code: 'INTERNAL',
      message: 'the notary failed',
      ballot: null,
      waitMs: null,
    };
  const { slot, ballot, waitMs } = error.type;
  const number = (fact: unknown) => (typeof fact === 'number' ? fact : null);
  return {
    type: 'refused',
    slot: slotSchema.safeParse(slot).data ?? null,
    code: error.code.slice(0, 60),
    message: error.message.slice(0, 500),
    ballot: number(ballot),
    waitMs: number(waitMs),
  };
}

async function run(notary: RoundNotary, job: Job): Promise<RoundOutcome> {
  return signed(notary, await notary.do(job));
}

/** Signs what a job came to, now that it is on disk. */
function signed(notary: RoundNotary, { intent, stored }: JobResult): RoundOutcome {
  switch (intent.type) {
    case 'vote':
      return { type: 'signed', signed: seal(voteKind, intent.body, notary.signer).bytes };
    case 'commit':
      return { type: 'signed', signed: seal(certificateKind, intent.body, notary.signer).bytes };
    case 'decided':
      return { type: 'decided', decided: notary.certify(intent.slot, stored!) };
    case 'taken':
      return { type: 'taken', parked: intent.waitsFor !== null };
    default:
      throw new Error(`${intent.type} is no outcome of a round`);
  }
}

function proposeJob(bytes: Uint8Array, epoch: number): Job {
  const value = stated(bytes);
  return { values: [value], slots: [], reported: [], run: context => ballots.propose(value, context, epoch) };
}

function commitJob(item: RequestOf<'commit'>['items'][number], { witness }: RoundNotary): Job {
  const qc = open(voteKind, item.qc);
  witness?.saw({ kind: 'vote', signed: qc });
  const value = stated(item.value);
  const { slot } = qc.body;
  return {
    values: [value],
    slots: [slot],
    reported: [],
    run: context => ballots.commit(qc, item.qc, value, context),
  };
}

/** A decision to take in. Its certificate is checked only where it is news. @throws CodedError `CERTIFICATE_INVALID`; WireError. */
export function certifyJob(decided: Decided, { witness }: Pick<RoundNotary, 'witness'>): Job {
  const value = stated(decided.value);
  const slot = slotSchema.safeParse(peekSlot(decided)).data;
  if (slot === undefined)
    throw new CodedError<RoundErrorType>(
      { code: 'CERTIFICATE_INVALID', reason: 'names no slot' },
      'certificate: names no slot',
    );
  return {
    values: [value],
    slots: [slot],
    reported: [],
    run(context) {
      const take = () => ballots.certify(slot, value, decided.certificate, context);
      if (toHex(context.book.slot(slot)?.digest ?? new Uint8Array()) === value.digest) return take();
      const certificate = open(certificateKind, decided.certificate);
      checkCertificate(certificate, context.committee);
      checkDecides(certificate.body, value.statement, context.committee);
      witness?.saw({ kind: 'commit', signed: certificate });
      const isLost = isForgotten(certificate, context);
      const intent = take();
      if (isLost && isNews(slot, intent)) throw ledgerLost();
      return intent;
    },
  };
}

/** False for what was decided so long ago that it was removed: an order is refused for its number, a step waits for an escrow that is gone. */
function isNews(slot: string, intent: ballots.Intent): boolean {
  return intent.type === 'taken' && (intent.waitsFor === null || !slot.startsWith('E/'));
}

async function recover(
  notary: RoundNotary,
  { epoch, slot, ballot, joined: shown }: RequestOf<'recover'>,
): Promise<LedgerAnswer> {
  const { keys } = notary.committee;
  const joined = new Set(
    shown
      .map(bytes => openShown({ report: bytes, qc: null }, notary.witness).report)
      .filter(({ body }) => body.epoch === epoch && body.slot === slot && body.ballot >= ballot)
      .flatMap(({ signers: [signer] }) => (signer && keys.includes(signer) ? [signer] : [])),
  ).size;
  const job: Job = {
    values: [],
    slots: [slot],
    reported: [slot],
    run: (context, quietMs) =>
      recovery.recover(
        slot,
        ballot,
        { quietMs: quietMs(slot), joined },
        state => state.known.map(({ value }) => stated(value)),
        context,
        epoch,
      ),
  };
  return answerOne(notary, job);
}

/** A report, a proposal, or why there is none. */
async function answerOne(notary: RoundNotary, job: Job): Promise<LedgerAnswer> {
  try {
    const result = await notary.do(job);
    const { intent } = result;
    if (intent.type === 'report') {
      const report = seal(reportKind, intent.body, notary.signer).bytes;
      return { type: 'report', shown: { report, qc: intent.qc }, values: [...intent.values] };
    }
    if (intent.type === 'proposal')
      return {
        type: 'proposal',
        proposal: seal(proposalKind, intent.body, notary.signer).bytes,
        value: intent.value.value,
      };
    return { type: 'round', outcomes: [signed(notary, result)] };
  } catch (error) {
    return { type: 'round', outcomes: [refusalOf(error)] };
  }
}

/** Statements that open; a bad one among them is left out, since any client may have put it there. */
function openValues(values: readonly Uint8Array[]): Stated[] {
  return values.flatMap(value => {
    try {
      return [stated(value)];
    } catch (error) {
      if (error instanceof CodedError) return [];
      throw error;
    }
  });
}

async function choose(
  notary: RoundNotary,
  { slot, ballot, reports, values: bytes }: RequestOf<'choose'>,
): Promise<LedgerAnswer> {
  const shown = reports.map(report => openShown(report, notary.witness));
  const values = openValues(bytes);
  return answerOne(notary, {
    values,
    slots: [slot],
    reported: [],
    run: context => recovery.coordinate(slot, ballot, shown, values, context),
  });
}

function electJob(request: RequestOf<'elect'>, { witness }: RoundNotary): Job {
  const proposal = open(proposalKind, request.proposal);
  witness?.saw({ kind: 'proposal', signed: proposal });
  const shown = request.reports.map(report => openShown(report, witness));
  const values = openValues(request.values);
  return {
    values,
    slots: [proposal.body.slot],
    reported: [],
    run: context => recovery.elect(proposal, shown, values, context),
  };
}

/** Signs a client's own statement of its funds, so that all notaries sign the same. @throws CodedError `FUNDS_UNPROVEN`. */
async function cosign(
  notary: RoundNotary,
  { account, balance, member, at }: RequestOf<'cosign'>,
): Promise<LedgerAnswer> {
  const held = await readFunds(notary, account);
  const isTrue = balance <= held.balance && (!member || held.member);
  if (!isTrue || Math.abs(notary.now() - at) > MAX_SKEW_MS)
    throw new CodedError<RoundErrorType>(
      { code: 'FUNDS_UNPROVEN', account },
      'this notary knows of less money or membership, or of another time: synchronize, and ask again',
    );
  const { net } = notary.committee.info;
  return {
    type: 'funds',
    funds: seal(fundsKind, { net, account, balance, member, at }, notary.signer).bytes,
  };
}
