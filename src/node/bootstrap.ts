import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { CodedError, messageOf } from '../util/index.ts';
import { isInviteText, readInvite } from '../wire/index.ts';
import type { Config } from './options.ts';

/** Where the addresses of members come from. */
export interface JoinSources {
  /** Flags: multiaddrs, `#network-id` behind them to insist on a network; and invites. */
  readonly join: readonly string[];
  readonly config: Config;
  /** As bootstrap-peers.json; none: no list. */
  readonly bootstrapFile?: string | undefined;
}

/** The members of a network that a package or an operator lists for newcomers. Null: whatever network they are of. */
const listSchema = z.strictObject({
  network: z.string().max(100).nullable(),
  peers: z.array(z.string().startsWith('/').max(500)).max(64),
});

/**
 * Who to join: flags, then the configuration, then the list in `bootstrapFile`, each once.
 * @throws CodedError `BOOTSTRAP_INVALID` for a file that is no such list; WireError for what is no invite.
 */
export async function joinAddresses({ join, config, bootstrapFile }: JoinSources): Promise<string[]> {
  const listed = bootstrapFile === undefined ? [] : await readList(bootstrapFile);
  return [...new Set([...join.flatMap(addressesOf), ...config.network.bootstrap, ...listed])];
}

/** An invite names its network, and where the admin's node is. */
function addressesOf(join: string): string[] {
  if (!isInviteText(join)) return [join];
  const { addresses, networkId } = readInvite(join);
  return addresses.map(address => `${address}#${networkId}`);
}

async function readList(file: string): Promise<string[]> {
  try {
    const { network, peers } = listSchema.parse(JSON.parse(await readFile(file, 'utf8')));
    return peers.map(peer => (network === null ? peer : `${peer}#${network}`));
  } catch (error) {
    throw new CodedError(
      { code: 'BOOTSTRAP_INVALID', file },
      `${file} must hold {"network": null or an id, "peers": [multiaddrs]}: ${messageOf(error)}`,
    );
  }
}
