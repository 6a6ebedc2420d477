import type { Database } from '../db/index.ts';
import type { Network } from '../network/index.ts';
import type { Clock, Logger } from '../util/index.ts';
import type { GenesisInfo, Signer } from '../wire/index.ts';
import { committeeOf } from './certificates.ts';
import { LedgerClient } from './client.ts';
import type { Settlement } from './interface.ts';
import { Invitations } from './invitations.ts';
import { Membership } from './membership.ts';
import type { Notary } from './notary.ts';
import { createLedgerDesk } from './notary-desk.ts';

export interface CreateMembershipComponents {
  readonly network: Pick<Network, 'call'>;
  readonly db: Pick<Database, 'write' | 'repository'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signer: Signer;
  readonly settlement: Pick<Settlement, 'transfer' | 'observe'>;
  /** The notary of this node, started before; asked without the network. */
  readonly notary?: Notary | undefined;
}

/** Who is a member, and what the admin does about it. */
export function createMembership(
  { network, db, clock, logger, signer, settlement, notary }: CreateMembershipComponents,
  { genesis }: { readonly genesis: GenesisInfo },
): { membership: Membership; invitations: Invitations } {
  const committee = committeeOf(genesis);
  const account = signer.peer;
  const desk = notary && createLedgerDesk(notary);
  const client = new LedgerClient({ network, clock, logger }, { account, committee, desk });
  const parts = { client, committee, account, db, clock, logger, signer, settlement };
  const membership = new Membership(parts);
  return { membership, invitations: new Invitations({ ...parts, membership }) };
}
