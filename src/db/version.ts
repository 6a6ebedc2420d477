import { cborCodec } from './codec.ts';
import { DatabaseError, damaged } from './errors.ts';
import type { LevelStore } from './level-store.ts';
import { Repository } from './repository.ts';

/** Goes up when older code could not read what newer code writes. */
export const DATABASE_VERSION = 3;

const VERSION_KEY = 'version';

const versionCodec = cborCodec(raw => {
  if (typeof raw !== 'number' || !Number.isSafeInteger(raw)) throw new Error('not a version');
  return raw;
});

/**
 * Compares the database's version with ours; a new database gets ours.
 * @throws DatabaseError `DB_VERSION`; `DB_DAMAGED` when there are records but no readable version.
 */
export async function checkVersion(store: LevelStore): Promise<void> {
  const meta = new Repository(store, 'meta', versionCodec);
  const found = await meta.get(VERSION_KEY);
  if (found === DATABASE_VERSION) return;
  if (found !== undefined) throw versionError(store.dir, found);
  if (!(await isEmpty(store))) throw damaged(store.dir);
  await store.batch([meta.putOp(VERSION_KEY, DATABASE_VERSION)], true);
}

async function isEmpty(store: LevelStore): Promise<boolean> {
  const all = { lt: Uint8Array.of(0xff), reverse: false, limit: 1 };
  for await (const _record of store.iterate(all)) return false;
  return true;
}

function versionError(dir: string, found: number): DatabaseError {
  const remedy =
    found > DATABASE_VERSION
      ? 'it was written by a newer duxnode: upgrade this one'
      : 'it was written by an older duxnode, and there is no way up: run that release';
  return new DatabaseError(
    { code: 'DB_VERSION', dir, found, expected: DATABASE_VERSION },
    `the database in ${dir} has version ${found}, this duxnode reads ${DATABASE_VERSION}; ${remedy}, or choose another directory with --data`,
  );
}
