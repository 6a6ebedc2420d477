import { join } from 'node:path';
import {
  type LoadedIdentity,
  loadIdentity,
  loadOrCreateIdentity,
  type Passphrase,
} from '../network/index.ts';
import { type Abortable, CodedError, silentLogger, systemClock, withDeadline } from '../util/index.ts';
import { type GenesisInfo, readInvite, signerFromSeed } from '../wire/index.ts';
import { joinAddresses } from './bootstrap.ts';
import { knownGenesis, type NewNetwork, settleGenesis } from './genesis.ts';
import { leaveInvite } from './joining.ts';
import type { Config } from './options.ts';

/** A data directory without a daemon. */
export interface PrepareOptions {
  readonly config: Config;
  readonly dataDir: string;
  readonly passphrase?: Passphrase | undefined;
}

export type FoundingErrorType =
  | { code: 'NETWORK_EXISTS'; network: string }
  | { code: 'NETWORK_NONE'; dataDir: string }
  | { code: 'INVITE_EXPIRED'; expires: number }
  | { code: 'NOT_ADMIN'; admin: string };

function refuse(type: FoundingErrorType, message: string): never {
  throw new CodedError(type, message);
}

/** One who is invited waits so long for the admin's node to show the genesis. */
const JOIN_MS = 30_000;

/** The network that this configuration founds. */
export function newNetworkOf({ network, ledger }: Config): NewNetwork {
  return {
    name: network.name,
    membership: network.membership,
    currency: network.currency,
    supply: ledger.supply,
    openGrant: network.open_grant,
    feeBasisPoints: Math.round(ledger.fee_percent * 100),
    minAmount: ledger.min_amount,
    notaries: ledger.notaries,
  };
}

async function settle(
  { config, dataDir, passphrase }: PrepareOptions,
  addresses: readonly string[],
  options: Abortable,
): Promise<GenesisInfo> {
  const { seed } = await loadOrCreateIdentity(join(dataDir, 'identity.key'), passphrase);
  const parts = { signer: signerFromSeed(seed), clock: systemClock, logger: silentLogger };
  const init = {
    dataDir,
    joinAddresses: addresses,
    network: newNetworkOf(config),
    transport: 'tcp' as const,
  };
  return settleGenesis(parts, init, options);
}

/** Founds a network, with the key of the data directory as its admin. @throws CodedError `NETWORK_EXISTS`. */
export async function initNetwork(options: PrepareOptions): Promise<GenesisInfo> {
  const known = await knownGenesis(options.dataDir);
  if (known)
    refuse(
      { code: 'NETWORK_EXISTS', network: known.networkId },
      `${options.dataDir} belongs to the network ${known.genesis.name} (${known.networkId}): use another --data directory`,
    );
  return settle(options, [], {});
}

/**
 * Takes the genesis of the network that an invite is for, and leaves the invite for the first start.
 * @throws CodedError `INVITE_EXPIRED`, `NETWORK_DIFFERS` where the directory belongs to another network; `TIMEOUT`; WireError.
 */
export async function joinNetwork(
  options: PrepareOptions,
  text: string,
  { signal }: Abortable,
): Promise<GenesisInfo> {
  const { expires } = readInvite(text).invite.body;
  if (systemClock.now() > expires)
    refuse(
      { code: 'INVITE_EXPIRED', expires },
      `the invite ended at ${new Date(expires).toISOString()}: ask for another one`,
    );
  const addresses = await joinAddresses({ join: [text], config: options.config });
  const info = await withDeadline(
    JOIN_MS,
    'the admin’s node',
    deadline => settle(options, addresses, { signal: deadline }),
    { signal, clock: systemClock },
  );
  await leaveInvite(options.dataDir, text);
  return info;
}

/** The key of the network's admin, which is that of its first node. @throws CodedError `NETWORK_NONE`, `NOT_ADMIN`. */
export async function requireAdmin(dataDir: string, passphrase: Passphrase): Promise<LoadedIdentity> {
  const known = await knownGenesis(dataDir);
  if (!known) refuse({ code: 'NETWORK_NONE', dataDir }, `${dataDir} belongs to no network yet`);
  const identity = await loadIdentity(join(dataDir, 'identity.key'), passphrase);
  const { admin } = known.genesis;
  if (identity.peer !== admin)
    refuse({ code: 'NOT_ADMIN', admin }, `the admin of this network is another node, ${admin}`);
  return identity;
}
