import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';

/** The networks that this machine is in, as `address/bits`, as they are now. */
export function ownNetworks(): string[] {
  return Object.values(networkInterfaces()).flatMap(list => (list ?? []).flatMap(found => found.cidr ?? []));
}

/**
 * Why a task may not connect to `address`; undefined for a public one outside of this machine's own networks. Everything that the
 * registry (IANA special-purpose addresses, as ipaddr.js holds them) does not call plain unicast is refused: loopback, private,
 * link-local with the metadata address of clouds, shared, multicast, reserved, and IPv6 forms that hide an IPv4 address.
 */
export function addressProblem(address: string, networks: readonly string[]): string | undefined {
  if (isIP(address) === 0) return `${address.slice(0, 100)} is not an address`;
  const parsed = ipaddr.parse(address);
  const range = parsed.range();
  if (range !== 'unicast') return `${address} is not a public address (${range})`;
  const isOwn = networks.some(network => {
    const [base, bits] = ipaddr.parseCIDR(network);
    return base.kind() === parsed.kind() && parsed.match(base, bits);
  });
  return isOwn ? `${address} is in a network of the machine that runs this task` : undefined;
}
