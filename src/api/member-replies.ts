import * as z from 'zod';
import { messageOf } from '../util/index.ts';
import { MAX_INVITE_TEXT, MAX_INVITE_USES, readInvite } from '../wire/index.ts';
import { amountInput, amountText, isoTime, peerText } from './fields.ts';

const DAY_SECONDS = 86_400;

export const inviteBodySchema = z.strictObject({
  grant: amountInput.default(0n).meta({ description: 'What each account that joins gets' }),
  uses: z.int().min(1).max(MAX_INVITE_USES).default(1),
  expires_seconds: z
    .int()
    .min(60)
    .max(365 * DAY_SECONDS)
    .default(7 * DAY_SECONDS),
});

export const inviteReply = z.object({
  id: peerText,
  invite: z.string().meta({ description: 'For the one who joins: a secret, shown once' }),
  expires_at: isoTime,
});

export const invitesReply = z.object({
  invites: z.array(
    z.object({
      id: peerText,
      grant: amountText,
      uses: z.int(),
      used: z.int(),
      state: z.enum(['open', 'used', 'expired']),
      created_at: isoTime,
      expires_at: isoTime,
    }),
  ),
});

export const revokedReply = z.object({
  id: peerText,
  returned: amountText.meta({ description: 'What was set aside for it and not used' }),
});

export const membersReply = z.object({
  membership: z.enum(['invited', 'open']),
  admin: peerText,
  members: z.array(
    z.object({
      peer_id: peerText,
      invite: peerText.nullable().meta({ description: 'Null for the admin and the first notaries' }),
    }),
  ),
});

export const removedReply = z.object({ peer_id: peerText });

export const joinBodySchema = z.strictObject({
  invite: z
    .string()
    .max(MAX_INVITE_TEXT)
    .transform((text, context) => {
      try {
        return readInvite(text.trim());
      } catch (error) {
        // Not with its text: that is a secret.
        context.issues.push({ code: 'custom', message: messageOf(error), input: null });
        return z.NEVER;
      }
    }),
});

export const joinReply = z.object({
  network: z.string(),
  network_id: z.string(),
  granted: amountText,
});
