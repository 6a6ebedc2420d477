import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, openDatabase } from '../../src/db/index.ts';
import { silentLogger, systemClock } from '../../src/util/index.ts';

/** Runs `fn` with a directory of its own, removed afterwards. */
export async function withTempDir(fn: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-db-'));
  try {
    await fn(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

export function open(dir: string): Promise<Database> {
  return openDatabase({ logger: silentLogger, clock: systemClock }, { dir });
}

/** Runs `fn` with a new database, closed and removed afterwards. */
export function withDatabase(fn: (database: Database) => Promise<void>): Promise<void> {
  return withTempDir(async dir => {
    const database = await open(dir);
    try {
      await fn(database);
    } finally {
      await database.close();
    }
  });
}

/** The code that `promise` rejects with; throws if it does not. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('expected a rejection');
}
