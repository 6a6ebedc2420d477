import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { codeOf } from '../../util/index.ts';

/** The address of a host name. Rejects when there is none. */
export type Resolve = (host: string) => Promise<string>;

/** A name server on the same continent answers in 0.1 s; a task that waits longer had better be told. */
const TIMEOUT_MS = 3_000;
const TRIES = 2;

/** No name, or none of this kind: worth a look for the other kind. */
const NO_SUCH = new Set(['ENODATA', 'ENOTFOUND']);

/**
 * Asks the name servers of this machine, for IPv4 first. Not by the system's own lookup: that would read /etc/hosts, which holds
 * names of the inside, and would take the few threads that this process has for its files.
 */
export function createResolve(): Resolve {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  return async host => {
    if (isIP(host)) return host;
    const [address] = await firstKind(resolver, host);
    if (!address) throw new Error(`${host} has no address`);
    return address;
  };
}

async function firstKind(resolver: Resolver, host: string): Promise<string[]> {
  try {
    return await resolver.resolve4(host);
  } catch (error) {
    if (!NO_SUCH.has(codeOf(error))) throw error;
    return resolver.resolve6(host);
  }
}
