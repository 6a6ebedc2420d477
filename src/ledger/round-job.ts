import type { Checkpoint, ShownLock } from '../wire/index.ts';
import type { BallotContext, Intent } from './ballots.ts';
import type { Notary } from './notary.ts';
import type { StoredSlot } from './records.ts';
import type { Stated } from './statement.ts';

/** One step of one slot: what it is about, and the rule to run once that was read. */
export interface Job {
  readonly values: readonly Stated[];
  readonly slots: readonly string[];
  readonly reported: readonly string[];
  /** It is about every slot that something is kept of. */
  readonly isWhole?: boolean;
  run(context: BallotContext, quietMs: (slot: string) => number): Intent;
}

/** What a job came to, and the decision that its slot holds where there is one. */
export interface JobResult {
  readonly intent: Intent;
  readonly stored: StoredSlot | undefined;
}

/** What the desk of several notaries needs of its own. */
export interface RoundNotary
  extends Pick<
    Notary,
    'committees' | 'committee' | 'signer' | 'store' | 'checkpoints' | 'witness' | 'now' | 'certify'
  > {
  /** Entries in the log, and decisions that wait for others. */
  readonly counts: { readonly log: number; readonly parked: number };
  /** What it had committed to in undecided slots after `after`, in their order. */
  locks(after: string | null): AsyncIterable<ShownLock>;
  isParked(slot: string): boolean;
  /** It is a notary of the last epoch, and has not taken over yet. */
  readonly isWaiting: boolean;
  /** Where its ledger stands now. @throws CodedError `LEDGER_STOPPED`. */
  standing(at: number): Checkpoint;
  /** @throws CodedError `QUEUE_FULL`, `LEDGER_STOPPED`, and what the job's rule throws. */
  do(job: Job): Promise<JobResult>;
}
