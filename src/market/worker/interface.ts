import type { Repository } from '../../db/index.ts';
import type { Executor } from '../../sandbox/index.ts';
import type { Abortable } from '../../util/index.ts';
import type { LeaseRecord, leaseChainMessage } from '../../wire/index.ts';
import type { SharedParts } from '../parts.ts';

export interface WorkerComponents extends SharedParts {
  readonly leases: Repository<LeaseRecord>;
  readonly chain: Repository<ReturnType<typeof leaseChainMessage.decode>>;
  readonly executor: Executor;
  /** [0, 1): which peers a bid names. */
  readonly random: () => number;
  /** Tells a requester, which may be this node, that a slot is free for a task of its own. */
  readonly claim: (requester: string, claim: Uint8Array, options: Abortable) => Promise<Uint8Array>;
}
