import type { Repository } from '../../db/index.ts';
import type { Executor } from '../../sandbox/index.ts';
import type { LeaseRecord, leaseChainMessage } from '../../wire/index.ts';
import type { SharedParts } from '../parts.ts';

export interface WorkerComponents extends SharedParts {
  readonly leases: Repository<LeaseRecord>;
  readonly chain: Repository<ReturnType<typeof leaseChainMessage.decode>>;
  readonly executor: Executor;
}
