import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadOrCreateIdentity } from '../../network/index.ts';
import { EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { json } from '../print.ts';
import { dataDirOf, type TargetOptions } from '../target.ts';

/** The peer id of a data directory, whose key is made where there is none: what a founder names its notaries by. */
export async function identity(
  io: Io,
  _: readonly string[],
  options: TargetOptions & { readonly json?: boolean },
): Promise<number> {
  const dataDir = dataDirOf(io, options);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const { peer } = await loadOrCreateIdentity(join(dataDir, 'identity.key'));
  await io.out(options.json ? json({ peer_id: peer }) : peer);
  return EXIT.done;
}
