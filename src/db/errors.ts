import { CodedError } from '../util/index.ts';

export type DatabaseErrorType =
  | { code: 'DATA_DIR_LOCKED'; dir: string }
  | { code: 'DB_OPEN_FAILED'; dir: string }
  | { code: 'DB_VERSION'; dir: string; found: number; expected: number }
  | { code: 'DB_DAMAGED'; dir?: string; bucket?: string; key?: string }
  | { code: 'DB_WRITE_FAILED'; dir: string }
  | { code: 'DB_READ_FAILED'; dir: string }
  | { code: 'DB_BUSY'; writes: number; bytes: number }
  | { code: 'DB_KEY_INVALID'; bucket: string; bytes: number }
  | { code: 'DB_CLOSED' };

export class DatabaseError extends CodedError<DatabaseErrorType> {}

export function damaged(dir: string, cause?: unknown): DatabaseError {
  return new DatabaseError(
    { code: 'DB_DAMAGED', dir },
    `the database in ${dir} is damaged: put a backup back, or move it away to begin with an empty one (identity.key beside it stays)`,
    { cause },
  );
}

/** The most telling LevelDB code of an error: classic-level hides it in `cause`. */
function levelCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const inner = levelCode(error.cause);
  if (inner !== undefined) return inner;
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** What an error of LevelDB's `open` means for whoever starts the daemon. */
export function openError(dataDir: string, dbDir: string, cause: unknown): DatabaseError {
  switch (levelCode(cause)) {
    case 'LEVEL_LOCKED':
      return new DatabaseError(
        { code: 'DATA_DIR_LOCKED', dir: dataDir },
        `another duxnode runs on ${dataDir}: stop it, or choose another directory with --data`,
        { cause },
      );
    case 'LEVEL_CORRUPTION':
      return damaged(dbDir, cause);
    default:
      return new DatabaseError(
        { code: 'DB_OPEN_FAILED', dir: dbDir },
        `the database in ${dbDir} cannot be opened (${reason(cause)}): check its owner, its rights and the disk`,
        { cause },
      );
  }
}

/** What an error of a read means. */
export function readError(dbDir: string, cause: unknown): DatabaseError {
  switch (levelCode(cause)) {
    case 'LEVEL_DATABASE_NOT_OPEN':
    case 'LEVEL_ITERATOR_NOT_OPEN':
      return closed(cause);
    case 'LEVEL_CORRUPTION':
      return damaged(dbDir, cause);
    default:
      return new DatabaseError(
        { code: 'DB_READ_FAILED', dir: dbDir },
        `the database in ${dbDir} cannot be read (${reason(cause)}): check the disk`,
        { cause },
      );
  }
}

export function writeError(dbDir: string, cause: unknown): DatabaseError {
  return new DatabaseError(
    { code: 'DB_WRITE_FAILED', dir: dbDir },
    `the database in ${dbDir} cannot be written (${reason(cause)}): free or check the disk, then restart duxnode`,
    { cause },
  );
}

export function closed(cause?: unknown): DatabaseError {
  return new DatabaseError({ code: 'DB_CLOSED' }, 'the database is closed', { cause });
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
