import * as z from 'zod';
import { peerSchema } from '../wire/index.ts';
import { peerText } from './fields.ts';

export const notariesReply = z.object({
  epoch: z.int().meta({ description: 'How often they have changed' }),
  quorum: z.int().meta({ description: 'How many of them sign each certificate' }),
  may_be_away: z.int().meta({ description: 'So many may be away, and payments go on' }),
  may_lie: z.int().meta({ description: 'So many may lie, and money is still spent once' }),
  automatic: z
    .string()
    .nullable()
    .meta({ description: 'What the next change waits for, where this node names them by itself; else null' }),
  notaries: z.array(
    z.object({
      peer_id: peerText,
      is_admin: z.boolean(),
      connected: z.boolean().meta({ description: 'To this node, or this node itself' }),
    }),
  ),
});

export const notaryParams = z.strictObject({ peer_id: peerSchema.meta({ description: 'Its peer id' }) });
