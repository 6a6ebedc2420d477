import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { ledgerLost, META_KEY, type Notary } from '../ledger/index.ts';
import { codeOf } from '../util/index.ts';
import { writePrivateFile } from './files.ts';

/** Beside the database, and not in it: it says that this node's key has signed as a notary. */
const MARK = 'notary';

/**
 * Starts a notary, unless its key has signed before and what it signed is gone: it would sign the contrary.
 * @throws CodedError `LEDGER_LOST`, and those of `Notary.start`.
 */
export async function startNotary(notary: Notary, dir: string): Promise<void> {
  const mark = join(dir, MARK);
  const hasMark = await access(mark).then(
    () => true,
    error => {
      // a mark that cannot be looked at may be there
      if (codeOf(error) !== 'ENOENT') throw error;
      return false;
    },
  );
  if (hasMark && !(await notary.store.meta.has(META_KEY))) throw ledgerLost();
  await notary.start();
  if (!hasMark) await writePrivateFile(mark, '');
}
