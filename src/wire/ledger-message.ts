import * as z from 'zod';
import { decidedSchema, FUNDS_BYTES, MAX_VALUE_BYTES, slotSchema } from './certificate.ts';
import { MAX_SIGNATURES } from './envelope.ts';
import { MAX_WORD_BYTES, roundAnswers, roundRequests } from './ledger-round.ts';
import { defineMessage } from './message.ts';
import { bytesSchema, countSchema, hexHashSchema, peerSchema, timeSchema } from './primitives.ts';

/** Statements in one request: what one group commit takes. */
export const MAX_SUBMIT = 64;
/** Entries of a trail in one answer. */
export const MAX_TRAIL_PAGE = 64;
/** Names in one answer about a notary's log. */
export const MAX_LOG_PAGE = 256;
/** Decisions of one escrow, or of changes of the committee, in one answer. */
export const MAX_DECIDED = 8;
/** A page of the largest entries. */
const MAX_MESSAGE = MAX_TRAIL_PAGE * (MAX_VALUE_BYTES + 4096);

/** client -> notary, and notary -> notary. */
export const ledgerRequestMessage = defineMessage(
  'ledger-request',
  MAX_MESSAGE,
  z.union([
    /** Statements to decide. A statement decided before is answered with its certificate. */
    z.strictObject({
      type: z.literal('submit'),
      values: z.array(bytesSchema(MAX_VALUE_BYTES)).min(1).max(MAX_SUBMIT),
    }),
    /** Membership of an open network, and its grant, for the account that asks. */
    z.strictObject({ type: z.literal('join') }),
    z.strictObject({ type: z.literal('funds'), account: peerSchema }),
    /** What was decided about an account, oldest first, from the entry `from`. */
    z.strictObject({ type: z.literal('trail'), account: peerSchema, from: countSchema }),
    /** Where the trail of the account that asks goes on, its beginning being lost. */
    z.strictObject({ type: z.literal('standing'), account: peerSchema, at: timeSchema }),
    /** The last use of an invite, and that of `account`. */
    z.strictObject({ type: z.literal('invite'), invite: peerSchema, account: peerSchema }),
    /** Who came by an invite and who was removed, in the order of this notary, from the entry `from`. */
    z.strictObject({ type: z.literal('members'), from: countSchema }),
    /** What was decided about an escrow: its lock and its steps so far. */
    z.strictObject({ type: z.literal('escrow'), escrowId: hexHashSchema }),
    /** Votes, commits, proposals and reports of notaries, for them to compare with what they have seen. */
    z.strictObject({ type: z.literal('witness'), words: z.array(bytesSchema(MAX_WORD_BYTES)).min(1).max(4) }),
    /** The decision of a slot. */
    z.strictObject({ type: z.literal('slot'), slot: slotSchema }),
    /** The changes of the committee from the epoch `from` on. Every member answers it. */
    z.strictObject({ type: z.literal('committees'), from: countSchema }),
    ...roundRequests(MAX_SUBMIT, MAX_TRAIL_PAGE),
  ]),
);

export type LedgerRequest = ReturnType<typeof ledgerRequestMessage.decode>;

const outcomeSchema = z.union([
  z.strictObject({ ok: z.literal(true), decided: decidedSchema }),
  z.strictObject({ ok: z.literal(false), code: z.string().max(60), message: z.string().max(500) }),
]);

export const ledgerAnswerMessage = defineMessage(
  'ledger-answer',
  MAX_MESSAGE,
  z.union([
    z.strictObject({ type: z.literal('outcomes'), outcomes: z.array(outcomeSchema).max(MAX_SUBMIT) }),
    z.strictObject({ type: z.literal('funds'), funds: bytesSchema(FUNDS_BYTES) }),
    z.strictObject({
      type: z.literal('trail'),
      entries: z.array(decidedSchema).max(MAX_TRAIL_PAGE),
      more: z.boolean(),
    }),
    z.strictObject({ type: z.literal('decided'), decided: z.array(decidedSchema).max(MAX_DECIDED) }),
    z.strictObject({
      type: z.literal('standing'),
      decided: decidedSchema,
      /** The next entry of the trail after it, at each notary that signed. */
      cursors: z.array(z.strictObject({ peer: peerSchema, at: countSchema })).max(MAX_SIGNATURES),
    }),
    ...roundAnswers(MAX_SUBMIT, MAX_LOG_PAGE),
  ]),
);

export type LedgerAnswer = ReturnType<typeof ledgerAnswerMessage.decode>;
export type Outcome = z.output<typeof outcomeSchema>;
