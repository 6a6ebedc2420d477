import type { Invitations, Membership, Promoter, Settlement, Witness } from '../ledger/index.ts';
import type { TaskMarket } from '../market/index.ts';
import type { Network } from '../network/index.ts';
import type { ShareBook } from '../reputation/index.ts';
import type { Executor } from '../sandbox/index.ts';
import type { BlobStore } from '../storage/index.ts';
import type { Clock, Logger } from '../util/index.ts';
import type { PrometheusMetrics } from './metrics.ts';
import type { HealthReply } from './node-replies.ts';
import type { SpendingStore } from './spending.ts';

export type PartHealth = HealthReply['db'];

/** What the control port asks of the process that it is part of. */
export interface NodePort {
  facts(): {
    /** The network's name and its id (CID of the genesis). */
    readonly network: string;
    readonly networkId: string;
    /** As it was signed. */
    readonly genesis: Uint8Array;
    readonly membership: 'invited' | 'open';
    readonly admin: string;
    /** What its money is called. */
    readonly currency: 'FLOP' | 'credits';
    readonly version: string;
    /** Wall-clock milliseconds. */
    readonly startedAt: number;
    readonly workerEnabled: boolean;
  };
  /** How the database is. */
  storage(): PartHealth;
  /** Begins a clean end of the whole daemon, and returns at once. */
  requestStop(): void;
}

export interface ApiComponents {
  readonly market: TaskMarket;
  readonly blobs: Pick<BlobStore, 'create' | 'read' | 'sizeOf'>;
  readonly settlement: Pick<
    Settlement,
    | 'account'
    | 'status'
    | 'balance'
    | 'spending'
    | 'history'
    | 'sync'
    | 'transfer'
    | 'trail'
    | 'certificate'
    | 'committee'
    | 'changeNotaries'
  >;
  readonly membership: Pick<Membership, 'isOpen' | 'has' | 'list' | 'sync' | 'redeem'>;
  readonly invitations: Pick<Invitations, 'create' | 'list' | 'revoke' | 'remove'>;
  /** Where this node names notaries by itself. */
  readonly promoter?: Pick<Promoter, 'outlook'> | undefined;
  readonly shares: Pick<ShareBook, 'list'>;
  readonly witness: Pick<Witness, 'proofs'>;
  readonly network: Pick<Network, 'self' | 'addresses' | 'peers'>;
  /** Null where this node runs nothing itself. */
  readonly executor: Pick<Executor, 'runtime' | 'status' | 'prune'> | null;
  readonly node: NodePort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: PrometheusMetrics;
  /** Keeps the day's tokenless spending across restarts; without it the sum lives as long as the process. */
  readonly spending?: SpendingStore | undefined;
}

/** The HTTP control port. */
export interface Api {
  /** Listens. Throws what `listen` throws: EADDRINUSE, EACCES. */
  start(): Promise<void>;
  /** Ends streams and waits for answers under way, a short time at most. */
  stop(): Promise<void>;
  address(): { readonly host: string; readonly port: number };
  /** Where a client on this machine reaches it. */
  url(): string;
}
