import type { Database, Repository } from '../../db/index.ts';
import type { Committee, Settlement } from '../../ledger/index.ts';
import type { Network } from '../../network/index.ts';
import type { ExperienceBook } from '../../reputation/index.ts';
import type { BlobStore } from '../../storage/index.ts';
import type { Clock, Logger, Metrics } from '../../util/index.ts';
import type { GenesisInfo, idempotencyMessage, Signer, TaskOrder, TaskRecord } from '../../wire/index.ts';
import type { MarketOptions } from '../options.ts';
import type { Worker } from '../worker/worker.ts';

export interface RequesterComponents {
  readonly network: Network;
  readonly db: Database;
  readonly tasks: Repository<TaskRecord>;
  readonly orders: Repository<TaskOrder>;
  readonly receipts: Repository<Uint8Array>;
  readonly idempotency: Repository<ReturnType<typeof idempotencyMessage.decode>>;
  readonly blobs: BlobStore;
  readonly settlement: Settlement;
  readonly experience: ExperienceBook;
  /** The own node as a candidate. */
  readonly worker: Worker;
  readonly signer: Signer;
  readonly genesis: GenesisInfo;
  readonly committee: Committee;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly options: MarketOptions;
  /** [0, 1): ties, exploration and jitter. */
  readonly random: () => number;
}
