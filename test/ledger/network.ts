import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, openDatabase } from '../../src/db/index.ts';
import {
  Committees,
  createMembership,
  createNotary,
  createSettlement,
  createWitness,
  type Invitations,
  type Membership,
  type Notary,
  NotarySeat,
  type Settlement,
  serveLedger,
  type Witness,
} from '../../src/ledger/index.ts';
import { createIdentity, createNetwork, type Identity, type Network } from '../../src/network/index.ts';
import { startNotary } from '../../src/node/notary-mark.ts';
import { type Clock, noMetrics, silentLogger, systemClock } from '../../src/util/index.ts';
import {
  type Genesis,
  type GenesisInfo,
  genesisInfo,
  genesisKind,
  type Signer,
  seal,
  signerFromSeed,
} from '../../src/wire/index.ts';
import { waitFor } from '../fixtures/wait.ts';
import { FLOP, T0 } from './support.ts';

let names = 0;

/** One machine: a key, a directory that outlives its parts, and the parts that run now. */
export interface TestNode {
  readonly identity: Identity;
  readonly signer: Signer;
  readonly dir: string;
  network: Network;
  db: Database;
  committees: Committees;
  seat: NotarySeat;
  readonly notary: Notary | undefined;
  witness: Witness;
  wallet: Settlement;
  membership: Membership;
  invitations: Invitations;
  readonly perDay: bigint | null;
}

export interface TestLedger {
  readonly info: GenesisInfo;
  readonly nodes: TestNode[];
  readonly first: TestNode;
  /** Adds a node that knows the first and waits until it is connected (unless `isAlone`). */
  add(options?: { isAlone?: boolean; perDay?: bigint }): Promise<TestNode>;
  /** Ends what runs of a node, as a crash that loses nothing that was synced. */
  stop(node: TestNode): Promise<void>;
  /** Loses all but the key of a node that is stopped. */
  forget(node: TestNode): Promise<void>;
  start(node: TestNode, options?: { isAlone?: boolean }): Promise<void>;
  /** Starts the notary again on what is on disk: start counts the whole supply again, and throws if it is not all there. */
  audit(): Promise<void>;
}

/** Runs `fn` over real databases, real notary and wallets, and libp2p's memory transport; removes all of it in the end. */
export async function withLedger(
  fn: (ledger: TestLedger) => Promise<void>,
  {
    clock = systemClock,
    overrides = {},
    notaries = 1,
  }: { clock?: Clock; overrides?: Partial<Genesis>; notaries?: number } = {},
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'duxnode-ledger-'));
  const nodes: TestNode[] = [];
  const adminIdentity = await createIdentity();
  const adminSigner = signerFromSeed(adminIdentity.seed);
  const others = await Promise.all(Array.from({ length: notaries - 1 }, createIdentity));
  const keys = [adminIdentity, ...others].map(({ peer }) => peer);
  const info = makeGenesis(adminSigner, { notaries: keys, ...overrides });
  const ledger: TestLedger = {
    info,
    nodes,
    get first() {
      return nodes[0]!;
    },
    async add(options = {}) {
      const identity = [adminIdentity, ...others][nodes.length] ?? (await createIdentity());
      const dir = join(root, identity.peer);
      const signer = signerFromSeed(identity.seed);
      const node = {
        identity,
        signer,
        dir,
        perDay: options.perDay ?? null,
        get notary() {
          return (this as Partial<TestNode>).seat?.notary;
        },
      } as unknown as TestNode;
      nodes.push(node);
      await ledger.start(node, options);
      return node;
    },
    async stop(node) {
      await node.membership.stop();
      await node.wallet.stop();
      await node.seat.stop();
      await node.witness.stop();
      await node.network.stop();
      await node.db.close();
    },
    forget: node => rm(node.dir, { recursive: true }),
    async start(node, { isAlone = false } = {}) {
      await startNode(node, info, clock);
      if (node === nodes[0] || isAlone) return;
      const notaryNodes = nodes.filter(other => other !== node && other.notary && isUp(other));
      for (const other of notaryNodes) node.network.join(other.network.addresses()[0]!);
      const isConnected = () => notaryNodes.every(other => node.network.isConnected(other.signer.peer));
      await waitFor(isConnected, 'the notaries', 30_000);
    },
    async audit() {
      const node = nodes[0]!;
      await node.notary!.stop();
      const again = createNotary(
        { db: node.db, clock, logger: silentLogger, signer: node.signer, committees: node.committees },
        { genesis: info },
      );
      await again.start();
      await again.stop();
    },
  };
  try {
    for (let i = 0; i < notaries; i++) await ledger.add();
    await fn(ledger);
  } finally {
    for (const node of nodes) await ledger.stop(node);
    await rm(root, { recursive: true, force: true });
  }
}

function makeGenesis(admin: Signer, overrides: Partial<Genesis>): GenesisInfo {
  const body = {
    name: 'test-net',
    admin: admin.peer,
    notaries: [admin.peer],
    allocations: [{ account: admin.peer, amount: 1_000n * FLOP }],
    treasury: admin.peer,
    feeBasisPoints: 200,
    minAmount: 0n,
    currency: 'FLOP' as const,
    membership: 'open' as const,
    openGrant: 10n * FLOP,
    createdAt: T0,
    nonce: new Uint8Array(16),
    ...overrides,
  };
  return genesisInfo(seal(genesisKind, body, admin));
}

function isUp({ network }: TestNode): boolean {
  return network.addresses().length > 0;
}

async function startNode(node: TestNode, genesis: GenesisInfo, clock: Clock): Promise<void> {
  const { signer, dir } = node;
  const common = { clock, logger: silentLogger, signer };
  node.network = createNetwork(
    { clock: systemClock, logger: silentLogger, metrics: noMetrics },
    {
      privateKey: node.identity.privateKey,
      networkId: genesis.networkId,
      datastoreDir: null,
      listen: [`/memory/ledger-${process.pid}-${++names}`],
      bootstrap: [],
      transport: 'memory',
    },
  );
  node.db = await openDatabase({ clock, logger: silentLogger }, { dir });
  node.committees = new Committees({ db: node.db, logger: silentLogger }, genesis);
  await node.committees.start();
  const { network, db, committees } = node;
  node.witness = createWitness(
    { network, db, ...common, metrics: noMetrics },
    { notaries: () => committees.current.keys },
  );
  await node.witness.start();
  const parts = { ...common, witness: node.witness };
  node.seat = new NotarySeat({ network, db, committees, ...parts, begin: made => startNotary(made, dir) });
  await node.seat.start();
  serveLedger(network, node.seat.desk);
  await network.start();
  node.wallet = createSettlement(
    { network, db, committees, ...parts, notary: node.seat },
    { genesis, perDay: node.perDay },
  );
  await node.wallet.start();
  const made = createMembership(
    { network, db, committees, settlement: node.wallet, notary: node.seat, ...parts },
    { genesis },
  );
  node.membership = made.membership;
  node.invitations = made.invitations;
  await node.membership.start();
}

/** The code that it is refused with, or `RESOLVED`. */
export async function code(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'RESOLVED';
}

/** Waits until each has its grant. */
export async function granted(...nodes: TestNode[]): Promise<void> {
  for (const { wallet } of nodes) await waitFor(() => wallet.balance().free === 10n * FLOP, 'the grant');
}
