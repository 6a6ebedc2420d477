import { once } from 'node:events';
import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, CodedError, type Metrics, noMetrics } from '../../util/index.ts';
import { SOCKET_NAME } from '../launcher/relay.ts';
import { addressProblem, ownNetworks } from './address.ts';
import { createProxy, type FilteringProxy, type ProxyComponents, type ProxyLimits } from './proxy.ts';
import { createResolve } from './resolve.ts';

/** The only way out of a sandbox: a filtering proxy for each task that has one, on a Unix socket which its sandbox alone sees. */
export interface Egress {
  /** What the operator lets tasks reach: host patterns, or `*` for any public host. */
  readonly allowedHosts: readonly string[];
  /** Makes the folder for the sockets, without those of an earlier run. @throws CodedError `EGRESS_PATH`. */
  start(): Promise<void>;
  /** Closes every door. */
  stop(): Promise<void>;
  /** A proxy that lets the user `uid` reach `hosts`, as far as the operator allows. */
  open(uid: number, hosts: readonly string[]): Promise<EgressDoor>;
}

export interface EgressDoor {
  /** To be shown in the sandbox; holds the socket alone. */
  readonly folder: string;
  /** Of the socket. */
  readonly path: string;
  /** Ends all connections, removes the folder. Never rejects. */
  close(): Promise<void>;
}

export interface EgressComponents extends Partial<Pick<ProxyComponents, 'resolve' | 'problem'>> {
  readonly clock: Clock;
  readonly metrics?: Metrics;
}

export interface EgressInit extends Partial<ProxyLimits> {
  /** Of this node alone. */
  readonly dir: string;
  readonly allowedHosts: readonly string[];
}

const defaultLimits: ProxyLimits = {
  // What package managers open at once, several times over; each costs a file descriptor or two.
  maxConnections: 32,
  // A large model or data set; a task that moves more had better be told about its worker's line.
  maxBytes: 4 * 2 ** 30,
  connectMs: 10_000,
  idleMs: 120_000,
};

/** The kernel's limit on the path of a Unix socket (unix(7)), less the NUL that ends it. */
const MAX_SOCKET_PATH = 107;
/** Room for the folder's number and the socket's name. */
const NAME_BYTES = 24;

export function createEgress(components: EgressComponents, init: EgressInit): Egress {
  const { dir, allowedHosts, ...given } = init;
  const { clock, metrics = noMetrics, resolve = createResolve() } = components;
  const { problem = (address: string) => addressProblem(address, ownNetworks()) } = components;
  const limits = { ...defaultLimits, ...given };
  const open = new Set<FilteringProxy>();
  let count = 0;

  return {
    allowedHosts,
    async start() {
      if (Buffer.byteLength(dir) + NAME_BYTES > MAX_SOCKET_PATH)
        throw new CodedError(
          { code: 'EGRESS_PATH', dir },
          `${dir} is too long for a socket's path: choose a shorter --data, or leave worker.allowed_hosts empty`,
        );
      await rm(dir, { recursive: true, force: true });
      await mkdir(dir, { recursive: true, mode: 0o700 });
    },
    async stop() {
      for (const proxy of open) proxy.close();
      await rm(dir, { recursive: true, force: true });
    },
    async open(uid, hosts) {
      const proxy = createProxy(
        { clock, metrics, resolve, problem },
        { ...limits, lists: [hosts, allowedHosts] },
      );
      const folder = join(dir, String(++count));
      const path = join(folder, SOCKET_NAME);
      async function close(): Promise<void> {
        if (open.delete(proxy)) proxy.close();
        await rm(folder, { recursive: true, force: true });
      }
      open.add(proxy);
      try {
        // Readable, as the task looks into it from inside; on the host the folder that it is in is closed.
        await mkdir(folder, { mode: 0o755 });
        proxy.server.listen(path);
        await once(proxy.server, 'listening');
        await giveTo(path, uid);
      } catch (error) {
        await close();
        throw error;
      }
      return { folder, path, close };
    },
  };
}

/** The folder is closed to everybody else already; where this process may, the socket is as well. */
async function giveTo(path: string, uid: number): Promise<void> {
  if (process.getuid?.() !== 0) return chmod(path, 0o666);
  await chmod(path, 0o600);
  await chown(path, uid, uid);
}
