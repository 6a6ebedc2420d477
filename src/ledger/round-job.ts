import type { BallotContext, Intent } from './ballots.ts';
import type { Notary } from './notary.ts';
import type { StoredSlot } from './records.ts';
import type { Stated } from './statement.ts';

/** One step of one slot: what it is about, and the rule to run once that was read. */
export interface Job {
  readonly values: readonly Stated[];
  readonly slots: readonly string[];
  readonly reported: readonly string[];
  run(context: BallotContext, quietMs: (slot: string) => number): Intent;
}

/** What a job came to, and the decision that its slot holds where there is one. */
export interface JobResult {
  readonly intent: Intent;
  readonly stored: StoredSlot | undefined;
}

/** What the desk of several notaries needs of its own. */
export interface RoundNotary
  extends Pick<Notary, 'committee' | 'signer' | 'store' | 'witness' | 'now' | 'certify'> {
  /** Entries in the log, and decisions that wait for others. */
  readonly counts: { readonly log: number; readonly parked: number };
  /** @throws CodedError `QUEUE_FULL`, `LEDGER_STOPPED`, and what the job's rule throws. */
  do(job: Job): Promise<JobResult>;
}
