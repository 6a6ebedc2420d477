import type { Database } from '../db/index.ts';
import type { Membership, Settlement } from '../ledger/index.ts';
import type { Network } from '../network/index.ts';
import type { ShareBook } from '../reputation/index.ts';
import type { BlobStore } from '../storage/index.ts';
import type { Clock, Logger, Metrics } from '../util/index.ts';
import type { GenesisInfo, Signer } from '../wire/index.ts';
import type { MarketOptions } from './options.ts';

/** What both sides of the market are made of. */
export interface SharedParts {
  readonly network: Network;
  readonly db: Database;
  readonly blobs: BlobStore;
  readonly settlement: Settlement;
  /** Whom unpaid work is done for. */
  readonly membership: Pick<Membership, 'has'>;
  readonly shares: ShareBook;
  readonly signer: Signer;
  readonly genesis: GenesisInfo;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly options: MarketOptions;
}
