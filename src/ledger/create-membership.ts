import type { Database } from '../db/index.ts';
import type { Network } from '../network/index.ts';
import type { Clock, Logger } from '../util/index.ts';
import type { GenesisInfo, Signer } from '../wire/index.ts';
import { LedgerClient, type LocalNotary } from './client.ts';
import { Committees } from './committees.ts';
import type { Settlement } from './interface.ts';
import { Invitations } from './invitations.ts';
import { Membership } from './membership.ts';

export interface CreateMembershipComponents {
  readonly network: Pick<Network, 'call'>;
  readonly db: Pick<Database, 'write' | 'repository'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signer: Signer;
  readonly settlement: Pick<Settlement, 'transfer' | 'observe'>;
  /** The notary of this node, started before; asked without the network. */
  readonly notary?: LocalNotary | undefined;
  /** Absent: those of the genesis, for ever. */
  readonly committees?: Committees | undefined;
}

/** Who is a member, and what the admin does about it. */
export function createMembership(
  components: CreateMembershipComponents,
  { genesis }: { readonly genesis: GenesisInfo },
): { membership: Membership; invitations: Invitations } {
  const { network, db, clock, logger, signer, settlement, notary: local } = components;
  const { committees = new Committees(components, genesis) } = components;
  const account = signer.peer;
  const client = new LedgerClient({ network, clock, logger }, { account, committees, local });
  const parts = { client, committees, account, db, clock, logger, signer, settlement };
  const membership = new Membership(parts);
  return { membership, invitations: new Invitations({ ...parts, membership }) };
}
