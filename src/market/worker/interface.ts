import type { Database, Repository } from '../../db/index.ts';
import type { Committee, Settlement } from '../../ledger/index.ts';
import type { Network } from '../../network/index.ts';
import type { Executor } from '../../sandbox/index.ts';
import type { BlobStore } from '../../storage/index.ts';
import type { Clock, Logger, Metrics } from '../../util/index.ts';
import type { GenesisInfo, LeaseRecord, leaseChainMessage, Signer } from '../../wire/index.ts';
import type { MarketOptions } from '../options.ts';

export interface WorkerComponents {
  readonly network: Network;
  readonly db: Database;
  readonly leases: Repository<LeaseRecord>;
  readonly chain: Repository<ReturnType<typeof leaseChainMessage.decode>>;
  readonly blobs: BlobStore;
  readonly executor: Executor;
  readonly settlement: Settlement;
  readonly signer: Signer;
  readonly genesis: GenesisInfo;
  readonly committee: Committee;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly options: MarketOptions;
}
