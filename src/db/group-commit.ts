import { type Deferred, deferred } from '../util/index.ts';
import { closed, DatabaseError } from './errors.ts';
import type { BatchOp } from './record-store.ts';

/** One LevelDB batch is held in memory twice (ours and LevelDB's): some MiB keep both the copy and the wait small. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** Past some hundreds the shared sync is no longer what a write costs. */
const MAX_BATCH_WRITES = 1_000;
/** What waits for a disk that has stopped: enough for seconds of full load, far below the daemon's memory target. */
const MAX_PENDING_BYTES = 32 * 1024 * 1024;
const MAX_PENDING_WRITES = 10_000;

interface PendingWrite {
  readonly ops: readonly BatchOp[];
  readonly bytes: number;
  readonly sync: boolean;
  readonly done: Deferred<void>;
}

/** Carries out one batch: all of `ops` or none. Rejects with the error that callers are to see. */
export type CommitBatch = (ops: BatchOp[], sync: boolean) => Promise<void>;

/**
 * Group commit: one batch in flight, and what comes meanwhile is gathered into the next, so that many small synced
 * writes share few syncs. Order is kept. A failed batch is the last: a log that LevelDB could not append to is in
 * doubt, and a later write must not stand on one that is missing.
 */
export class GroupCommit {
  readonly #commit: CommitBatch;
  #pending: PendingWrite[] = [];
  #pendingBytes = 0;
  #running: Promise<void> | undefined;
  #closed = false;
  #failure: Error | undefined;

  constructor(commit: CommitBatch) {
    this.#commit = commit;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  async write(ops: readonly BatchOp[], sync: boolean): Promise<void> {
    if (this.#closed) throw closed();
    if (this.#failure) throw this.#failure;
    const bytes = sizeOf(ops);
    if (this.#pending.length >= MAX_PENDING_WRITES || this.#pendingBytes + bytes > MAX_PENDING_BYTES)
      throw new DatabaseError(
        { code: 'DB_BUSY', writes: this.#pending.length, bytes: this.#pendingBytes + bytes },
        'the disk does not keep up with the writes: try again, or check the disk',
      );
    const done = deferred<void>();
    this.#pending.push({ ops, bytes, sync, done });
    this.#pendingBytes += bytes;
    this.#running ??= this.#run();
    return done.promise;
  }

  /** Refuses new writes and waits for those under way, whatever becomes of them. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  /** Never rejects: each outcome goes to the writes of its batch. */
  async #run(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#failure ? this.#pending.splice(0) : this.#nextBatch();
      try {
        if (this.#failure) throw this.#failure;
        await this.#commit(
          batch.flatMap(write => write.ops),
          batch.some(write => write.sync),
        );
        for (const write of batch) write.done.resolve();
      } catch (error) {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
        for (const write of batch) write.done.reject(this.#failure);
      }
    }
    this.#running = undefined;
  }

  #nextBatch(): PendingWrite[] {
    let count = 0;
    let bytes = 0;
    for (const write of this.#pending) {
      if (count > 0 && (count >= MAX_BATCH_WRITES || bytes + write.bytes > MAX_BATCH_BYTES)) break;
      count += 1;
      bytes += write.bytes;
    }
    this.#pendingBytes -= bytes;
    return this.#pending.splice(0, count);
  }
}

function sizeOf(ops: readonly BatchOp[]): number {
  return ops.reduce((sum, op) => sum + op.key.length + (op.type === 'put' ? op.value.length : 0), 0);
}
