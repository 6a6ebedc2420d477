import type { SandboxUsage } from '../sandbox/index.ts';
import type { BlobReading } from '../storage/index.ts';
import type { Abortable } from '../util/index.ts';
import type {
  Elements,
  Finding,
  OutputEntry,
  Refusal,
  TaskFailure,
  TaskPhase,
  TaskPolicy,
  TaskSpec,
  TaskState,
} from '../wire/index.ts';
import type { BidFacts, Choice } from './score.ts';

export type { TaskFailure, TaskPhase, TaskPolicy, TaskState };

/** One program, run once for each element. */
export interface ArrayRequest {
  readonly elements: Elements;
  /** Runs of an element beyond the first, where its own code fails. */
  readonly retries: number;
}

export interface TaskRequest {
  readonly spec: TaskSpec;
  /** Of an array `payment` is for one run of one element, `maxTotal` for all together. */
  readonly policy: TaskPolicy;
  readonly array?: ArrayRequest | undefined;
}

/** One worker's answer to one offer. */
export interface BidView {
  readonly worker: string;
  readonly ask: bigint | null;
  readonly etaMs: number | null;
  readonly score: number | null;
  /** Of a bid too, where the award was refused. */
  readonly refusal: Refusal | null;
  /** What the score was made of; null without one, and in records of earlier versions. */
  readonly facts: BidFacts | null;
}

export interface PaymentView {
  readonly amount: bigint;
  readonly fee: bigint;
  readonly escrowId: string | null;
  /** `none`: unpaid. `locked`: in escrow. */
  readonly state: 'none' | 'locked' | 'released' | 'split' | 'refunded';
  readonly escrow: EscrowView | null;
}

/** An escrow with its deadlines, wall-clock milliseconds; `closedBy` names the evidence that ended it. */
export interface EscrowView {
  readonly state: 'open' | 'claimed' | 'disputed' | 'paid' | 'split' | 'refunded';
  readonly claimBy: number;
  readonly disputeBy: number;
  readonly verdictBy: number;
  readonly arbiters: readonly string[];
  readonly closedBy: string | null;
  /** What the arbiters' runs said of the result. */
  readonly finding: Finding | null;
}

export interface AttemptView {
  readonly attempt: number;
  readonly worker: string | null;
  readonly price: bigint | null;
  readonly awardedAt: number | null;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** In the order in which they were tried, then the refusals. */
  readonly bids: readonly BidView[];
  /** Who was waited for and did not answer. */
  readonly silent: readonly string[];
  /** Why the award went to its worker. */
  readonly choice: Choice | null;
  readonly failure: TaskFailure | null;
  readonly payment: PaymentView | null;
}

export interface TaskView {
  readonly taskId: string;
  readonly state: TaskState;
  readonly phase: TaskPhase;
  /** Per cent, where the phase knows it. */
  readonly progress: number | null;
  /** Why it waits, where it waits: `no_bids`, `funds_locked`, `awaiting_accept`, … */
  readonly waiting: string | null;
  readonly policy: TaskPolicy;
  readonly spec: TaskSpec;
  readonly submittedAt: number;
  readonly updatedAt: number;
  readonly endedAt: number | null;
  readonly worker: string | null;
  /** When each phase was first entered, wall-clock milliseconds. */
  readonly phases: Readonly<Partial<Record<TaskPhase, number>>>;
  readonly attempts: readonly AttemptView[];
  readonly failure: TaskFailure | null;
  readonly payment: PaymentView | null;
  readonly hasReceipt: boolean;
  /** Of an array: how far it is. */
  readonly array: ArrayView | null;
  /** Of a bundle: the array, and which of its elements. */
  readonly bundle: { readonly array: string; readonly elements: readonly number[] } | null;
}

export interface ArrayView {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  /** By bundles under way, and not under way yet; after the end: never run. */
  readonly running: number;
  readonly waiting: number;
  /** For what has been run so far. */
  readonly paid: bigint;
}

export type ElementState = 'waiting' | 'running' | 'completed' | 'failed';

/** One element of an array. */
export interface ElementView {
  readonly index: number;
  readonly state: ElementState;
  /** Of a matrix. */
  readonly values: Readonly<Record<string, string>>;
  /** Runs that failed by the element's own code, or as a whole. */
  readonly failures: number;
  /** The task that holds its newest result, or is about to. */
  readonly bundle: string | null;
}

export interface ResultView {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly exitCode: number;
  readonly outcome: 'exited' | 'timeout' | 'out_of_memory' | 'output_limit';
  readonly oomKilled: boolean;
  readonly truncated: { readonly stdout: boolean; readonly stderr: boolean; readonly outputs: boolean };
  readonly outputs: readonly OutputEntry[];
  readonly usage: SandboxUsage;
  readonly worker: string;
  readonly imageDigest: string;
  readonly runtime: string;
  /** The signed envelope. */
  readonly attestation: Uint8Array;
  readonly verification: {
    readonly mode: 'none' | 'check';
    readonly passed: boolean;
    readonly checks: readonly string[];
  };
}

export interface LogChunk {
  readonly stream: 'stdout' | 'stderr';
  /** Of the chunk's first byte in its stream. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface TaskEvent {
  /** Rising within one run of the node. */
  readonly seq: number;
  readonly at: number;
  readonly taskId: string;
  readonly state: TaskState;
  readonly phase: TaskPhase;
  readonly worker: string | null;
  /** Of the last attempt. */
  readonly escrow: EscrowView['state'] | null;
  /** Of an array: how many elements it has, and how far they are. */
  readonly elements: { readonly total: number; readonly completed: number; readonly failed: number } | null;
  /** Of a bundle: its array. */
  readonly array: string | null;
}

export interface EngineStats {
  readonly active: number;
  readonly pending: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Completed of all ended, 0 to 1; 1 while none ended. */
  readonly successRate: number;
  readonly worker: {
    readonly draining: boolean;
    readonly running: number;
    readonly queued: number;
    readonly executed: number;
    readonly slots: number;
    readonly freeMilliCpus: number;
    readonly freeMemoryBytes: number;
  };
}

/** What old tasks held. */
export interface PrunedTasks {
  /** Results whose bytes are no longer kept. */
  readonly results: number;
  /** Tasks that are no longer known. */
  readonly tasks: number;
  readonly bytes: number;
}

/**
 * Tasks as their owner sees them; the port that `api` serves. Coded errors: `TASK_NOT_FOUND`, `TASK_OVER` (it has ended or is being
 * paid), `TASK_NOT_WAITING` (nothing waits for accept or dispute), `DISPUTE_LATE`, `RESULT_NOT_READY`, `RESULT_EXPIRED`, `QUEUE_FULL`,
 * `TASK_NOT_ARRAY`, `ELEMENT_NOT_FOUND`, `NOTHING_TO_RETRY`, `FUNDS_INSUFFICIENT`, `TASK_LIMIT`, `DAY_LIMIT`, `BLOB_NOT_FOUND` (an input), `AFTER_UNKNOWN` (no task to come after), `IDEMPOTENCY_CONFLICT` (one key, two different tasks),
 * `RATE_LIMITED` (quotes).
 */
export interface TaskMarket {
  submit(request: TaskRequest, options?: { idempotencyKey?: string | undefined }): Promise<TaskView>;
  /**
   * What each connected node, this one among them, would do with the task now: bids from the best on, then refusals. Nothing is signed, kept, locked or
   * promised by anybody. Throws what `submit` would.
   */
  quote(request: TaskRequest, options?: Abortable): Promise<readonly BidView[]>;
  get(taskId: string): Promise<TaskView>;
  /** Newest first; `cursor` is the last task id of the page before. */
  list(query: {
    state?: TaskState | undefined;
    label?: readonly [string, string] | undefined;
    limit: number;
    cursor?: string | undefined;
  }): Promise<{ tasks: TaskView[]; cursor: string | null }>;
  /** Of an array: that of one element, or with none `RESULT_NOT_READY`. */
  result(taskId: string, index?: number): Promise<ResultView>;
  output(taskId: string, path: string, index?: number): Promise<BlobReading>;
  element(taskId: string, index: number): Promise<ElementView>;
  /** In the order of their indices; `cursor` is the index to go on from. */
  elements(
    taskId: string,
    query: { state?: ElementState | undefined; limit: number; cursor?: number | undefined },
  ): Promise<{ elements: ElementView[]; cursor: number | null }>;
  /** An array that has ended runs again: those elements that failed or were never run. */
  retry(taskId: string): Promise<TaskView>;
  cancel(taskId: string): Promise<TaskView>;
  accept(taskId: string): Promise<TaskView>;
  dispute(taskId: string, reason: string): Promise<TaskView>;
  /** Canonical dag-cbor of the receipt. */
  receipt(taskId: string): Promise<Uint8Array>;
  /** What was written so far from these offsets, and with `follow` what is written until the task's end. */
  logs(
    taskId: string,
    options: Abortable & { follow: boolean; stdoutFrom?: number; stderrFrom?: number },
  ): AsyncIterable<LogChunk>;
  stats(): EngineStats;
  /** Take work, or let running tasks end and take no more. */
  resume(): Promise<void>;
  drain(): Promise<void>;
  /** Removes now what is past its retention time; the same happens by itself every hour. */
  prune(): Promise<PrunedTasks>;
  onEvent(listener: (event: TaskEvent) => void): () => void;
}
