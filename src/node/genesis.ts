import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fetchGenesis, type TransportKind } from '../network/index.ts';
import {
  type Abortable,
  type Clock,
  CodedError,
  type Logger,
  messageOf,
  reasonOf,
  sleep,
} from '../util/index.ts';
import { type GenesisInfo, genesisKind, readGenesis, type Signer, seal } from '../wire/index.ts';
import { writePrivateFile } from './files.ts';

/** What the first node of a network decides. */
export interface NewNetwork {
  readonly name: string;
  readonly membership: 'invited' | 'open';
  readonly currency: 'FLOP' | 'credits';
  /** 1e-8 FLOP. */
  readonly supply: bigint;
  readonly openGrant: bigint;
  readonly feeBasisPoints: number;
  readonly minAmount: bigint;
  /** Beside the founder, by peer id. */
  readonly notaries: readonly string[];
}

export interface GenesisInit {
  readonly dataDir: string;
  /** Addresses of members, with or without `#network-id`; none: this node is the first of a network of its own. */
  readonly joinAddresses: readonly string[];
  readonly network: NewNetwork;
  readonly transport: TransportKind;
}

const FILE = 'genesis.dag-cbor';
/** Between tries to reach somebody who knows the network. */
const RETRY_MS = 2_000;

/**
 * The network that this data directory belongs to: the one on disk, or the one that the first member to answer belongs to (waiting
 * until one does), or a new one with this node as admin and notary, beside those that were named.
 * @throws CodedError `NETWORK_DIFFERS` when it is not the one that was asked for.
 */
export async function settleGenesis(
  components: { signer: Signer; clock: Clock; logger: Logger },
  init: GenesisInit,
  { signal }: Abortable = {},
): Promise<GenesisInfo> {
  const file = join(init.dataDir, FILE);
  const wanted = wantedNetwork(init.joinAddresses);
  const known = await knownGenesis(init.dataDir);
  if (known) return requireNetwork(known, wanted, file);
  const info =
    init.joinAddresses.length > 0
      ? requireNetwork(await fetchFrom(components, init, signal), wanted, init.joinAddresses.join(', '))
      : found(components, init.network);
  await writePrivateFile(file, info.bytes);
  return info;
}

/** The network that a data directory belongs to; undefined before it is in one. */
export function knownGenesis(dataDir: string): Promise<GenesisInfo | undefined> {
  return readFile(join(dataDir, FILE)).then(readGenesis, error => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** `ADDR#network-id` names the network that the address must turn out to be of. */
export function splitAddress(address: string): { address: string; networkId: string | null } {
  const [addr = '', networkId = null] = address.split('#');
  return { address: addr, networkId };
}

function wantedNetwork(addresses: readonly string[]): string | null {
  return addresses.map(address => splitAddress(address).networkId).find(id => id !== null) ?? null;
}

function requireNetwork(info: GenesisInfo, wanted: string | null, where: string): GenesisInfo {
  if (wanted === null || wanted === info.networkId) return info;
  throw new CodedError(
    { code: 'NETWORK_DIFFERS', wanted, found: info.networkId },
    `${where} is of network ${info.networkId}, not of ${wanted}: use another --data directory or another address`,
  );
}

async function fetchFrom(
  { clock, logger }: { clock: Clock; logger: Logger },
  { joinAddresses, transport }: GenesisInit,
  signal: AbortSignal | undefined,
): Promise<GenesisInfo> {
  const addresses = joinAddresses.map(address => splitAddress(address).address);
  for (;;) {
    try {
      const { bytes, from } = await fetchGenesis(addresses, { signal, transport });
      const info = readGenesis(bytes);
      logger.info(
        { network: info.genesis.name, networkId: info.networkId, from },
        'joined a network at first sight',
      );
      return info;
    } catch (error) {
      if (signal?.aborted) throw reasonOf(signal);
      logger.warn({ addresses, error: messageOf(error) }, 'nobody to join answers yet; trying again');
      await sleep(RETRY_MS, { signal, clock });
    }
  }
}

function found({ signer, clock }: { signer: Signer; clock: Clock }, network: NewNetwork): GenesisInfo {
  const { name, membership, currency, supply, openGrant, feeBasisPoints, minAmount, notaries } = network;
  const body = {
    name,
    admin: signer.peer,
    notaries: [...new Set([signer.peer, ...notaries])],
    allocations: supply > 0n ? [{ account: signer.peer, amount: supply }] : [],
    treasury: signer.peer,
    feeBasisPoints,
    minAmount,
    currency,
    membership,
    openGrant: membership === 'open' ? openGrant : 0n,
    createdAt: clock.now(),
    nonce: new Uint8Array(randomBytes(16)),
  };
  return readGenesis(seal(genesisKind, body, signer).bytes);
}
