import { join } from 'node:path';
import { type Database, openDatabase } from '../db/index.ts';
import {
  AccountRates,
  Committees,
  createMembership,
  createSettlement,
  createWitness,
  type Invitations,
  type Membership,
  NotarySeat,
  Promoter,
  type Settlement,
  serveLedger,
  type Witness,
} from '../ledger/index.ts';
import { createMarket, type Market, type MarketOptions } from '../market/index.ts';
import {
  createNetwork,
  type Identity,
  loadOrCreateIdentity,
  type Network,
  type Passphrase,
  type TransportKind,
} from '../network/index.ts';
import { createExperience, createShares, type ShareBook } from '../reputation/index.ts';
import type { Executor, ImageJournal } from '../sandbox/index.ts';
import { type BlobStore, createBlobStore } from '../storage/index.ts';
import {
  type Abortable,
  type Clock,
  CodedError,
  type Logger,
  type Metrics,
  messageOf,
} from '../util/index.ts';
import { type GenesisInfo, signerFromSeed } from '../wire/index.ts';
import { type NewNetwork, settleGenesis, splitAddress } from './genesis.ts';
import { createImageJournal } from './images.ts';
import { startNotary } from './notary-mark.ts';

export interface NodeComponents {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Makes the sandbox once the node knows who it is: containers carry their owner's name. */
  readonly createExecutor: (owner: string, journal: ImageJournal) => Executor | Promise<Executor>;
  /** [0, 1). */
  readonly random: () => number;
}

export interface NodeInit {
  readonly dataDir: string;
  readonly listen: readonly string[];
  /** `--join` and the bootstrap list: multiaddrs with a peer id, `#network-id` after them where it must be that one. */
  readonly joinAddresses: readonly string[];
  readonly transport: TransportKind;
  /** As `NetworkInit.meshUpTo`: many nodes in one process are no full mesh. */
  readonly meshUpTo?: number | undefined;
  /** Of the key, where it is encrypted. */
  readonly passphrase?: Passphrase | undefined;
  readonly network: NewNetwork;
  readonly market: MarketOptions;
  /** What this node may spend in a day, 1e-8 FLOP; null: all that it has. */
  readonly maxPerDay?: bigint | null;
  /** Where it is a notary: operations a second of one account; null or absent: no limit. */
  readonly accountRate?: number | null;
  /** Where it is the admin’s node: whether the network’s members become notaries by themselves. Absent: manual. */
  readonly committee?: 'auto' | 'manual';
  readonly maxBlobBytes: number;
  readonly agent: string;
}

/** One started node: every part, wired. */
export interface DuxNode {
  readonly identity: Identity;
  readonly genesis: GenesisInfo;
  readonly network: Network;
  readonly settlement: Settlement;
  readonly membership: Membership;
  readonly invitations: Invitations;
  /** Where it names notaries by itself. */
  readonly promoter: Promoter | undefined;
  readonly shares: ShareBook;
  readonly blobs: BlobStore;
  readonly executor: Executor;
  readonly market: Market;
  readonly db: Database;
  readonly witness: Witness;
  /** Ends the parts in reverse order. Safe to call twice. */
  stop(): Promise<void>;
}

type Stop = () => Promise<void>;

/**
 * Builds and starts all parts in order: identity, database, genesis, sandbox, ledger, network, wallet, market. What was started is stopped
 * again when a later part fails.
 */
export async function startNode(
  components: NodeComponents,
  init: NodeInit,
  options: Abortable = {},
): Promise<DuxNode> {
  const stops: Stop[] = [];
  try {
    return await assemble(components, init, options, stops);
  } catch (error) {
    await stopAll(stops, components.logger);
    throw error;
  }
}

async function assemble(
  components: NodeComponents,
  init: NodeInit,
  { signal }: Abortable,
  stops: Stop[],
): Promise<DuxNode> {
  const { logger, clock, metrics, random } = components;
  const db = await openDatabase({ logger: logger.child({ room: 'db' }), clock }, { dir: init.dataDir });
  stops.push(() => db.close());
  const identity = await loadOrCreateIdentity(join(init.dataDir, 'identity.key'), init.passphrase);
  if (init.passphrase?.given !== undefined && !identity.isSealed)
    logger.warn({}, 'a passphrase was given, but the key is in clear: run duxnode identity encrypt');
  const signer = signerFromSeed(identity.seed);
  const genesis = await settleGenesis({ signer, clock, logger }, init, { signal });

  const blobs = createBlobStore(
    { logger: logger.child({ room: 'storage' }) },
    { dir: join(init.dataDir, 'blobs'), maxBytes: init.maxBlobBytes },
  );
  await blobs.start();
  const executor = await components.createExecutor(identity.peer, createImageJournal(db));
  // Mostly waits for the engine and for tools: meanwhile the rest is made. The market is the first that asks it for anything.
  const executorStarted = Promise.allSettled([executor.start()]);
  stops.push(async () => {
    await executorStarted;
    await executor.stop();
  });

  const network = createNetwork(
    { logger: logger.child({ room: 'network' }), clock, metrics },
    {
      privateKey: identity.privateKey,
      networkId: genesis.networkId,
      datastoreDir: join(init.dataDir, 'libp2p'),
      listen: init.listen,
      bootstrap: init.joinAddresses.map(address => splitAddress(address).address),
      transport: init.transport,
      meshUpTo: init.meshUpTo,
      genesis: genesis.bytes,
      agent: init.agent,
    },
  );
  const ledgerLogger = logger.child({ room: 'ledger' });
  const committees = new Committees({ db, logger: ledgerLogger }, genesis);
  await committees.start();
  const rates = init.accountRate ? new AccountRates(clock, init.accountRate) : undefined;
  const witness = createWitness(
    { network, db, clock, logger: ledgerLogger, metrics },
    { notaries: () => committees.current.keys },
  );
  await witness.start();
  stops.push(() => witness.stop());
  const notary = new NotarySeat({
    network,
    db,
    clock,
    logger: ledgerLogger,
    signer,
    committees,
    witness,
    rates,
    begin: made => startNotary(made, init.dataDir),
  });
  await notary.start();
  stops.push(() => notary.stop());
  serveLedger(network, notary.desk);
  const settlement = createSettlement(
    { network, db, clock, logger: ledgerLogger, signer, notary, committees, witness },
    { genesis, perDay: init.maxPerDay },
  );
  const { membership, invitations } = createMembership(
    { network, db, clock, logger: ledgerLogger, signer, settlement, notary, committees },
    { genesis },
  );
  const experience = createExperience({ db, clock });
  const shares = createShares({ db, clock, self: identity.peer });
  await Promise.all([experience.start(), shares.start()]);
  const market = createMarket({
    network,
    db,
    blobs,
    executor,
    settlement,
    membership,
    experience,
    shares,
    signer,
    genesis,
    clock,
    logger: logger.child({ room: 'market' }),
    metrics,
    // Credits have no price: each task says what it gives.
    options: genesis.genesis.currency === 'credits' ? { ...init.market, price: null } : init.market,
    random,
  });
  await network.start();
  stops.push(() => network.stop());
  await settlement.start();
  stops.push(() => settlement.stop());
  await membership.start();
  stops.push(() => membership.stop());
  const { admin, membership: kind } = genesis.genesis;
  // In an open network nobody vouches for anybody: ten keys of one person would be ten members.
  const isPromoting = init.committee === 'auto' && admin === identity.peer && kind === 'invited';
  const promoter = isPromoting
    ? new Promoter({ network, db, clock, logger: ledgerLogger, membership, settlement })
    : undefined;
  await promoter?.start();
  stops.push(async () => promoter?.stop());
  const [started] = await executorStarted;
  if (started.status === 'rejected') throw started.reason;
  await market.start();
  stops.push(() => market.stop());
  return {
    identity,
    genesis,
    network,
    settlement,
    membership,
    invitations,
    promoter,
    shares,
    blobs,
    executor,
    market,
    db,
    witness,
    stop: () => stopAll(stops, logger),
  };
}

/** In reverse order; one part that fails to stop does not keep the others running. */
async function stopAll(stops: Stop[], logger: Logger): Promise<void> {
  for (const stop of stops.splice(0).reverse()) {
    try {
      await stop();
    } catch (error) {
      const facts = error instanceof CodedError ? error.type : {};
      logger.error({ ...facts, error: messageOf(error) }, 'a part did not stop cleanly');
    }
  }
}
