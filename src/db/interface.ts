import type { Clock, Logger } from '../util/index.ts';
import type { Bucket } from './buckets.ts';
import type { Codec } from './codec.ts';
import type { BatchOp, RecordStore } from './record-store.ts';
import type { Repository } from './repository.ts';

export interface WriteOptions {
  /** Resolve only when the disk has it. Without it a crash of the machine (not of the process) may lose the write. */
  readonly sync?: boolean;
}

export interface Database extends RecordStore {
  /** The records of one kind. Cheap: holds nothing but its arguments. */
  repository<T>(bucket: Bucket, codec: Codec<T>): Repository<T>;
  /**
   * Carries out all of `ops` or none of them, across repositories. Writes take effect in the order of the calls; those
   * that come while another is in flight share one batch, and one sync, with their neighbours.
   * @throws DatabaseError `DB_WRITE_FAILED` (then every later write fails too, until a restart), `DB_BUSY`, `DB_CLOSED`.
   */
  write(ops: readonly BatchOp[], options?: WriteOptions): Promise<void>;
  /** Why no write succeeds any more; undefined while all is well. */
  readonly failure: Error | undefined;
  /** Lets writes under way finish, then frees the directory. */
  close(): Promise<void>;
}

export interface DatabaseComponents {
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface DatabaseInit {
  /** The data directory; the database is `db` in it. Made (0700) if missing. */
  readonly dir: string;
}
