import * as z from 'zod';
import { type BodyOf, defineKind } from './envelope.ts';
import { amountSchema, bytesSchema, countSchema, hashSchema, peerSchema, timeSchema } from './primitives.ts';

export const MAX_INVITE_USES = 1000;
const INVITE_BYTES = 512;
/** From 0 on, without a gap; an invite can be revoked more often than it is used. */
const useSchema = countSchema.max(2 * MAX_INVITE_USES);

/**
 * The admin's word that whoever holds the key behind `id` may admit accounts. The key itself is in the invite's text alone, so that
 * nobody who reads the ledger can use an invite of others.
 */
export const inviteKind = defineKind(
  'invite',
  INVITE_BYTES,
  z.strictObject({
    net: hashSchema,
    id: peerSchema,
    /** What each account that it admits gets. */
    grant: amountSchema,
    uses: z.int().min(1).max(MAX_INVITE_USES),
    /** The last moment to redeem it. */
    expires: timeSchema,
  }),
);

export type Invite = BodyOf<typeof inviteKind>;

/** Membership and the invite's grant for `account`: signed by it and by the invite's key. Slot G/<invite>/<use>. */
export const redeemKind = defineKind(
  'redeem',
  2048,
  z.strictObject({
    net: hashSchema,
    invite: bytesSchema(INVITE_BYTES),
    use: useSchema,
    account: peerSchema,
  }),
);

export type Redeem = BodyOf<typeof redeemKind>;

/** The admin's end of an invite, in place of its next use; `amount` of what was set aside for it goes back. Slot G/<invite>/<use>. */
export const revokeKind = defineKind(
  'revoke',
  512,
  z.strictObject({ net: hashSchema, invite: peerSchema, use: useSchema, amount: amountSchema }),
);

export type Revoke = BodyOf<typeof revokeKind>;

/** The admin's end of the membership that a use of an invite gave. Slot R/<invite>/<use>. */
export const removalKind = defineKind(
  'removal',
  512,
  z.strictObject({ net: hashSchema, invite: peerSchema, use: useSchema, account: peerSchema }),
);

export type Removal = BodyOf<typeof removalKind>;
