import { join } from 'node:path';
import {
  createApi,
  createMetrics,
  DEFAULT_DISK_MB,
  ensureToken,
  removeEndpoint,
  writeEndpoint,
} from '../api/index.ts';
import type { Passphrase } from '../network/index.ts';
import { chooseExecutor, type DockerExecutorInit, imagesDirFrom, socketPathFrom } from '../sandbox/index.ts';
import { type Abortable, type Deferred, deferred, systemClock, VERSION } from '../util/index.ts';
import type { Gpus } from '../wire/index.ts';
import { type JoinSources, joinAddresses } from './bootstrap.ts';
import { newNetworkOf } from './founding.ts';
import { joinBy, pendingInvite } from './joining.ts';
import { disksOf, egressOf, gpusOf, lendingOf } from './lending.ts';
import { createLogger } from './logger.ts';
import { type DuxNode, type NodeInit, startNode } from './node.ts';
import type { Config } from './options.ts';
import { createSpendingStore } from './spending.ts';

export interface DaemonOptions extends JoinSources {
  readonly dataDir: string;
  /** Of the node's key, where it is encrypted. */
  readonly passphrase?: Passphrase | undefined;
}

/** What `start` prints. */
export interface StartReport {
  readonly peer: string;
  readonly network: string;
  readonly networkId: string;
  readonly isAdmin: boolean;
  readonly membership: 'invited' | 'open';
  readonly addresses: readonly string[];
  readonly apiUrl: string;
  readonly sandbox: {
    readonly runtime: string;
    readonly version: string | null;
    readonly reason: string | null;
  };
  readonly lends: { readonly cpus: number; readonly memoryMb: number; readonly slots: number } | null;
}

export interface Daemon {
  /** Starts every part; rejects with what the first failing one threw, having stopped the others. */
  start(options?: Abortable): Promise<StartReport>;
  stop(): Promise<void>;
  /** Resolves when somebody asked over the control port that the daemon end. */
  readonly stopRequested: Promise<void>;
}

/** A whole daemon: the node, its control port, and the files by which its own clients find it. */
export function createDaemon(options: DaemonOptions): Daemon {
  return new NodeDaemon(options);
}

const MIB = 2 ** 20;
/** A sandbox that waits holds about this much; together they hold at most this share of what is lent. */
const READY_BOX_MB = 11;
const READY_SHARE = 1 / 16;
/** More tasks than this at once find the engine busy anyway. */
const MAX_READY = 16;

class NodeDaemon implements Daemon {
  readonly #options: DaemonOptions;
  readonly #stopAsked: Deferred<void> = deferred();
  #stops: (() => Promise<void>)[] = [];

  constructor(options: DaemonOptions) {
    this.#options = options;
  }

  get stopRequested(): Promise<void> {
    return this.#stopAsked.promise;
  }

  async start({ signal }: Abortable = {}): Promise<StartReport> {
    const { config, dataDir } = this.#options;
    const logger = createLogger(config.telemetry);
    const metrics = createMetrics();
    const clock = systemClock;
    const startedAt = clock.now();
    const gpus = await gpusOf(config);
    const joining = await pendingInvite(this.#options);
    const joins = joining ? [...this.#options.join, joining.text] : this.#options.join;
    const node = await startNode(
      {
        logger,
        clock,
        metrics,
        random: Math.random,
        createExecutor: (owner, journal) =>
          chooseExecutor(
            {
              logger: logger.child({ room: 'sandbox' }),
              clock,
              metrics,
              journal,
              egress: egressOf(config, dataDir, { clock, metrics }),
              disks: disksOf(dataDir, { logger: logger.child({ room: 'sandbox' }) }),
            },
            {
              owner,
              wanted: config.sandbox.runtime === 'native' ? 'native' : 'docker',
              docker: {
                socketPath: socketPathFrom(process.env),
                inputsDir: join(dataDir, 'inputs'),
                imageMaxAgeMs: config.worker.image_days * 86_400_000,
                imageDiskShare: config.worker.image_disk_percent / 100,
                gpus,
                ...poolOptions(config),
              },
              native: {
                stateDir: join(dataDir, 'sandbox'),
                imagesDir: imagesDirFrom(process.env),
                ...poolOptions(config),
              },
            },
          ),
      },
      nodeInit(this.#options, await joinAddresses({ ...this.#options, join: joins }), gpus),
      { signal },
    );
    this.#stops.push(() => node.stop());
    if (joining) await this.#unlessItFails(() => joinBy({ ...node, clock, logger }, joining));
    const api = createApi(
      {
        market: node.market.tasks,
        blobs: node.blobs,
        settlement: node.settlement,
        membership: node.membership,
        invitations: node.invitations,
        promoter: node.promoter,
        shares: node.shares,
        witness: node.witness,
        network: node.network,
        executor: node.executor,
        node: {
          facts: () => ({
            network: node.genesis.genesis.name,
            membership: node.genesis.genesis.membership,
            admin: node.genesis.genesis.admin,
            currency: node.genesis.genesis.currency,
            networkId: node.genesis.networkId,
            genesis: node.genesis.bytes,
            version: VERSION,
            startedAt,
            workerEnabled: config.worker.enabled,
          }),
          storage: () => ({
            status: node.db.failure ? 'down' : 'ok',
            detail: node.db.failure?.message ?? null,
          }),
          requestStop: () => this.#stopAsked.resolve(),
        },
        clock,
        logger: logger.child({ room: 'api' }),
        metrics,
        spending: createSpendingStore(node.db),
      },
      { config: config.api, token: await ensureToken(dataDir), taskDefaults: taskDefaults(config, node) },
    );
    await this.#unlessItFails(() => api.start());
    this.#stops.push(() => api.stop());
    await writeEndpoint(dataDir, { url: api.url(), pid: process.pid });
    this.#stops.push(() => removeEndpoint(dataDir));
    return report(config, node, api.url());
  }

  /** What was started is stopped again where a later part fails. */
  async #unlessItFails(fn: () => Promise<void>): Promise<void> {
    try {
      await fn();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
  }
}

function nodeInit(
  { config, dataDir, passphrase }: DaemonOptions,
  addresses: readonly string[],
  gpus: Gpus | null,
): NodeInit {
  const { engine, worker, market, network, ledger, storage } = config;
  return {
    dataDir,
    listen: network.listen,
    joinAddresses: addresses,
    transport: 'tcp',
    passphrase,
    network: newNetworkOf(config),
    market: {
      slots: engine.max_concurrent_tasks,
      ownerSlots: worker.owner_slots,
      lending: lendingOf(worker),
      milliCpus: Math.round(worker.cpus * 1000),
      memoryBytes: worker.memory_mb * MIB,
      diskBytes: worker.disk_mb * MIB,
      gpus,
      workerEnabled: worker.enabled,
      price: worker.price,
      maxPerTask: ledger.max_per_task,
      secondValue: market.second_value,
      imagePolicy: { allowed: worker.allowed_images, requireDigest: worker.require_digest },
      sweepMs: engine.scheduling_interval * 1000,
      heartbeatMs: market.heartbeat_seconds * 1000,
      suspectMs: market.suspect_seconds * 1000,
      deadMs: market.dead_seconds * 1000,
      retentionMs: storage.retention_days * 86_400_000,
      windows: {
        queueMs: Math.round(market.queue_seconds * 1000),
        pullMs: Math.round(market.pull_seconds * 1000),
        stageMs: Math.round(market.stage_seconds * 1000),
        collectMs: Math.round(market.collect_seconds * 1000),
        marginMs: Math.round(market.claim_margin_seconds * 1000),
        disputeMs: Math.round(market.dispute_seconds * 1000),
        verdictMs: Math.round(market.verdict_seconds * 1000),
      },
      arbiters: market.arbiters,
    },
    maxPerDay: ledger.max_per_day,
    accountRate: ledger.account_rate,
    committee: ledger.committee,
    maxBlobBytes: storage.max_mb * MIB,
    agent: `duxnode/${VERSION}`,
  };
}

/** Sandboxes that are kept ready: for tasks that leave everything to the defaults, within what this machine lends. */
function poolOptions({
  sandbox,
  worker,
}: Config): Pick<DockerExecutorInit, 'startBoxes' | 'maxBoxes' | 'expected'> {
  const affordable = Math.floor((worker.memory_mb * READY_SHARE) / READY_BOX_MB);
  return {
    startBoxes: sandbox.ready,
    maxBoxes: sandbox.ready === 0 ? 0 : Math.min(MAX_READY, affordable),
    expected: {
      image: sandbox.base_image,
      limits: {
        milliCpus: Math.round(sandbox.cpu_limit * 1000),
        memoryBytes: sandbox.memory_limit_mb * MIB,
        diskBytes: DEFAULT_DISK_MB * MIB,
      },
    },
  };
}

function taskDefaults({ sandbox, engine, market, ledger }: Config, node: DuxNode) {
  return {
    image: sandbox.base_image,
    cpuCores: sandbox.cpu_limit,
    memoryMb: sandbox.memory_limit_mb,
    timeoutSeconds: sandbox.timeout_seconds,
    verification: engine.result_verification ? ('check' as const) : ('none' as const),
    automaticPayment: engine.automatic_payments,
    maxPerTask: ledger.max_per_task,
    arbiters: market.arbiters,
    self: node.identity.peer,
  };
}

function report({ worker, engine }: Config, node: DuxNode, apiUrl: string): StartReport {
  const { genesis, identity, network, executor } = node;
  const { version, reason } = executor.status();
  return {
    peer: identity.peer,
    network: genesis.genesis.name,
    networkId: genesis.networkId,
    isAdmin: genesis.genesis.admin === identity.peer,
    membership: genesis.genesis.membership,
    addresses: network.addresses(),
    apiUrl,
    sandbox: { runtime: executor.runtime, version, reason },
    lends: worker.enabled
      ? { cpus: worker.cpus, memoryMb: worker.memory_mb, slots: engine.max_concurrent_tasks }
      : null,
  };
}
