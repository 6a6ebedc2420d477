import {
  createIdentity,
  createNetwork,
  type Identity,
  type Network,
  type NetworkInit,
  type TransportKind,
} from '../../src/network/index.ts';
import { noMetrics, silentLogger, systemClock } from '../../src/util/index.ts';
import { waitFor } from '../fixtures/wait.ts';

export const LIMITS = { maxBytes: 4096, rate: 5000, burst: 5000, deadlineMs: 5000 };

let names = 0;

export interface Made {
  readonly network: Network;
  readonly identity: Identity;
}

/** Makes networks of one kind of transport and stops them all in the end. */
export function createHarness(transport: TransportKind) {
  const made: Network[] = [];

  async function make(overrides: Partial<NetworkInit> = {}): Promise<Made> {
    const identity = await createIdentity();
    const network = createNetwork(
      { clock: systemClock, logger: silentLogger, metrics: noMetrics },
      {
        privateKey: identity.privateKey,
        networkId: 'test-net',
        datastoreDir: null,
        listen: [transport === 'memory' ? `/memory/node-${process.pid}-${++names}` : '/ip4/127.0.0.1/tcp/0'],
        bootstrap: [],
        transport,
        ...overrides,
      },
    );
    made.push(network);
    return { network, identity };
  }

  return {
    transport,
    make,
    /** `count` started nodes, each connected with each; `prepare` runs before the start. */
    async mesh(
      count: number,
      prepare: (network: Network, index: number) => void = () => undefined,
    ): Promise<Network[]> {
      const networks: Network[] = [];
      for (let i = 0; i < count; i++) {
        const { network } = await make();
        prepare(network, i);
        await network.start();
        const first = networks[0];
        if (first) network.join(addressOf(first));
        networks.push(network);
      }
      await waitFor(
        () => networks.every(network => network.peers().length === count - 1),
        `a mesh of ${count}`,
      );
      return networks;
    },
    async stop(): Promise<void> {
      for (const network of made.splice(0)) await network.stop();
    },
  };
}

export type Harness = ReturnType<typeof createHarness>;

export function addressOf(network: Network): string {
  const address = network.addresses()[0];
  if (!address) throw new Error('the node has no address');
  return address;
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (message: Uint8Array | undefined): string => new TextDecoder().decode(message);

/** The code of what `promise` rejects with. */
export async function codeOfRejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'RESOLVED';
}
