import * as z from 'zod';
import { decidedSchema, MAX_VALUE_BYTES, slotSchema } from './certificate.ts';
import { CHECKPOINT_BYTES } from './checkpoint.ts';
import { handoverKind, MAX_HANDOVER_LOCKS } from './committee.ts';
import { type BodyOf, defineKind, MAX_SIGNATURES } from './envelope.ts';
import { amountSchema, bytesSchema, countSchema, hashSchema, peerSchema, timeSchema } from './primitives.ts';

/** Statements that one notary remembers of a slot: some of each kind, and the one that is locked. */
export const MAX_KNOWN = 40;
/** More than any committee has. */
const MAX_REPORTS = 7;
/** Ballots past this are a mistake: each is twice as long in coming as the one before. */
const MAX_BALLOT = 1_000_000;

const QC_BYTES = 2048;
const REPORT_BYTES = 4096;
/** Of whatever a notary signs while a slot is decided. */
export const MAX_WORD_BYTES = REPORT_BYTES;

export const ballotSchema = countSchema.max(MAX_BALLOT);

const ballotOfSlot = { net: hashSchema, epoch: countSchema, slot: slotSchema, ballot: ballotSchema };

/** A notary's vote. A quorum of them, as one envelope, is the certificate that a value may be committed (QC). */
export const voteKind = defineKind('vote', QC_BYTES, z.strictObject({ ...ballotOfSlot, value: hashSchema }), {
  maxSignatures: MAX_SIGNATURES,
});

/** What a notary knows of a slot as it leaves all ballots below this one behind. */
export const reportKind = defineKind(
  'report',
  REPORT_BYTES,
  z.strictObject({
    ...ballotOfSlot,
    /** The notary's time T. */
    at: timeSchema,
    /** What it committed to; its votes travel beside the report. */
    lock: z.strictObject({ epoch: countSchema, ballot: ballotSchema, value: hashSchema }).nullable(),
    known: z
      .array(z.strictObject({ value: hashSchema, timely: z.boolean(), afford: z.boolean() }))
      .max(MAX_KNOWN),
  }),
);

/** What the coordinator of a ballot puts to the vote. */
export const proposalKind = defineKind(
  'proposal',
  1024,
  z.strictObject({ ...ballotOfSlot, value: hashSchema }),
);

/** The number of an order that came to nothing: nobody signs it, recovery alone chooses it. */
export const skipKind = defineKind(
  'skip',
  512,
  z.strictObject({ net: hashSchema, account: peerSchema, seq: countSchema }),
  { minSignatures: 0 },
);

export type Vote = BodyOf<typeof voteKind>;
export type Report = BodyOf<typeof reportKind>;
export type BallotProposal = BodyOf<typeof proposalKind>;
export type Skip = BodyOf<typeof skipKind>;

const values = z.array(bytesSchema(MAX_VALUE_BYTES)).max(MAX_REPORTS * MAX_KNOWN);

/** A report, and the votes behind the lock that it names. */
export const shownReportSchema = z.strictObject({
  report: bytesSchema(REPORT_BYTES),
  qc: bytesSchema(QC_BYTES).nullable(),
});

export type ShownReport = z.output<typeof shownReportSchema>;

/** A statement that a notary is bound to, and the votes that bind it. */
const shownLockSchema = z.strictObject({
  qc: bytesSchema(QC_BYTES),
  value: bytesSchema(MAX_VALUE_BYTES),
});

export type ShownLock = z.output<typeof shownLockSchema>;

const reports = z.array(shownReportSchema).max(MAX_REPORTS);

/** Requests between a client and each of several notaries, and between notaries. */
export function roundRequests(maxSubmit: number, maxNames: number) {
  return [
    /** Votes on statements, at ballot 0 of the epoch that the client knows of. */
    z.strictObject({
      type: z.literal('propose'),
      epoch: countSchema,
      values: z.array(bytesSchema(MAX_VALUE_BYTES)).min(1).max(maxSubmit),
    }),
    /** Commits to what a quorum voted for. */
    z.strictObject({
      type: z.literal('commit'),
      items: z
        .array(z.strictObject({ qc: bytesSchema(QC_BYTES), value: bytesSchema(MAX_VALUE_BYTES) }))
        .min(1)
        .max(maxSubmit),
    }),
    /** Decisions, to take in. */
    z.strictObject({ type: z.literal('certify'), decided: z.array(decidedSchema).min(1).max(maxSubmit) }),
    /** A report for a higher ballot; `joined` are reports of others for it. */
    z.strictObject({
      type: z.literal('recover'),
      epoch: countSchema,
      slot: slotSchema,
      ballot: ballotSchema.min(1),
      joined: z.array(bytesSchema(REPORT_BYTES)).max(MAX_REPORTS),
    }),
    /** To the ballot's coordinator: what follows from a quorum of reports. */
    z.strictObject({
      type: z.literal('choose'),
      slot: slotSchema,
      ballot: ballotSchema.min(1),
      reports,
      values,
    }),
    /** A vote on what follows from a quorum of reports. */
    z.strictObject({ type: z.literal('elect'), proposal: bytesSchema(1024), reports, values }),
    /** Names of decided slots, in the order in which this notary took them in. */
    z.strictObject({ type: z.literal('log'), from: countSchema }),
    z.strictObject({ type: z.literal('decisions'), slots: z.array(slotSchema).min(1).max(maxNames) }),
    /** A signature under a funds statement that this notary finds true. */
    z.strictObject({
      type: z.literal('cosign'),
      account: peerSchema,
      balance: amountSchema,
      member: z.boolean(),
      at: timeSchema,
    }),
    /** What this notary leaves behind of an epoch that has ended; `after`: the last slot of the page before. */
    z.strictObject({ type: z.literal('handover'), epoch: countSchema, after: slotSchema.nullable() }),
    /** Where the asking notary stands; signed by one that stands there too. */
    z.strictObject({
      type: z.literal('checkpoint'),
      decisions: countSchema,
      state: hashSchema,
      at: timeSchema,
    }),
  ] as const;
}

const refusal = {
  code: z.string().max(60),
  message: z.string().max(500),
  /** Of a slot that has moved on: its ballot. Of a recovery that comes too early: how long to wait. */
  ballot: ballotSchema.nullable(),
  waitMs: countSchema.nullable(),
};

export const roundOutcomeSchema = z.union([
  /** A vote, or the notary's part of a certificate. */
  z.strictObject({ type: z.literal('signed'), signed: bytesSchema(QC_BYTES) }),
  /** The slot was decided before, for this statement or for another. */
  z.strictObject({ type: z.literal('decided'), decided: decidedSchema }),
  /** A decision that was taken in; parked while what it stands on is missing. */
  z.strictObject({ type: z.literal('taken'), parked: z.boolean() }),
  z.strictObject({ type: z.literal('refused'), slot: slotSchema.nullable(), ...refusal }),
]);

export type RoundOutcome = z.output<typeof roundOutcomeSchema>;
export type RoundRefusal = Extract<RoundOutcome, { type: 'refused' }>;

export function roundAnswers(maxSubmit: number, maxNames: number) {
  return [
    z.strictObject({ type: z.literal('round'), outcomes: z.array(roundOutcomeSchema).max(maxSubmit) }),
    z.strictObject({ type: z.literal('report'), shown: shownReportSchema, values }),
    z.strictObject({
      type: z.literal('proposal'),
      proposal: bytesSchema(1024),
      value: bytesSchema(MAX_VALUE_BYTES),
    }),
    z.strictObject({ type: z.literal('log'), slots: z.array(slotSchema).max(maxNames), more: z.boolean() }),
    z.strictObject({
      type: z.literal('handover'),
      handover: bytesSchema(handoverKind.maxBytes),
      locks: z.array(shownLockSchema).max(MAX_HANDOVER_LOCKS),
    }),
    /** What was asked for lies before a checkpoint, and may have been removed. */
    z.strictObject({ type: z.literal('compacted'), checkpoint: bytesSchema(CHECKPOINT_BYTES) }),
    /** Where the notary that was asked stands, and its signature if that is where the other one does. */
    z.strictObject({
      type: z.literal('checkpoint'),
      decisions: countSchema,
      state: hashSchema,
      signed: bytesSchema(CHECKPOINT_BYTES).nullable(),
    }),
    /** Statements for the client to have decided: its grant, signed by the admin. */
    z.strictObject({ type: z.literal('statements'), values: z.array(bytesSchema(MAX_VALUE_BYTES)).max(1) }),
  ] as const;
}
