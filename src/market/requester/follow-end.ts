import type { OutputEntry, WorkerMessage } from '../../wire/index.ts';
import type { FileInbox } from './file-inbox.ts';

/** What a worker delivered, before anybody has checked it. */
export interface Delivery {
  readonly message: Extract<WorkerMessage, { type: 'result' }>;
  readonly outputs: readonly OutputEntry[];
  /** Their bytes. */
  readonly files: FileInbox;
  readonly receivedAt: number;
}

export type FollowEnd =
  | { readonly kind: 'delivered'; readonly delivery: Delivery }
  | { readonly kind: 'failed'; readonly message: Extract<WorkerMessage, { type: 'failed' }> };

/** What another worker would meet too. */
export const OWN_FAULTS = ['STORAGE_FULL', 'STORAGE_FAILED', 'INPUT_GONE'] as const;
