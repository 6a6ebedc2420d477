import type { Repository } from '../../db/index.ts';
import type { ExperienceBook } from '../../reputation/index.ts';
import type { idempotencyMessage, TaskOrder, TaskRecord } from '../../wire/index.ts';
import type { SharedParts } from '../parts.ts';
import type { Worker } from '../worker/worker.ts';

export interface RequesterComponents extends SharedParts {
  readonly tasks: Repository<TaskRecord>;
  readonly orders: Repository<TaskOrder>;
  readonly receipts: Repository<Uint8Array>;
  readonly idempotency: Repository<ReturnType<typeof idempotencyMessage.decode>>;
  readonly experience: ExperienceBook;
  /** The own node as a candidate. */
  readonly worker: Worker;
  /** [0, 1): ties, exploration and jitter. */
  readonly random: () => number;
}
