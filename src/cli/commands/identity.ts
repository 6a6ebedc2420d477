import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  isIdentitySealed,
  loadIdentity,
  loadOrCreateIdentity,
  replaceIdentity,
} from '../../network/index.ts';
import { EXIT, usage } from '../exit.ts';
import type { Io } from '../io.ts';
import { newPassphrase, type PassphraseOptions, passphraseOf } from '../passphrase.ts';
import { json } from '../print.ts';
import { dataDirOf, type TargetOptions } from '../target.ts';

type IdentityOptions = TargetOptions & PassphraseOptions;

const fileOf = (io: Io, options: IdentityOptions) => join(dataDirOf(io, options), 'identity.key');

/** The peer id of a data directory, whose key is made where there is none: what a founder names its notaries by. */
export async function identity(
  io: Io,
  _: readonly string[],
  options: IdentityOptions & { readonly json?: boolean },
): Promise<number> {
  await mkdir(dataDirOf(io, options), { recursive: true, mode: 0o700 });
  const { peer } = await loadOrCreateIdentity(fileOf(io, options), await passphraseOf(io, options));
  await io.out(options.json ? json({ peer_id: peer }) : `${peer}\n`);
  return EXIT.done;
}

/** Encrypts the node's key at rest. A daemon that runs goes on; its next start asks for the passphrase. */
export async function encrypt(io: Io, _: readonly string[], options: IdentityOptions): Promise<number> {
  const file = fileOf(io, options);
  if (await isIdentitySealed(file))
    throw usage(`${file} is encrypted already: to change the passphrase, decrypt it first`);
  const held = await loadIdentity(file, {});
  await replaceIdentity(file, held, await newPassphrase(io, options));
  await io.out(`${file}: the key of ${held.peer} is encrypted\n`);
  await io.err('Keep the passphrase: without it the key, its name and its money are lost.\n');
  return EXIT.done;
}

/** Puts the key in clear again. */
export async function decrypt(io: Io, _: readonly string[], options: IdentityOptions): Promise<number> {
  const file = fileOf(io, options);
  if (!(await isIdentitySealed(file))) throw usage(`${file} is not encrypted`);
  const held = await loadIdentity(file, await passphraseOf(io, options));
  await replaceIdentity(file, held, undefined);
  await io.out(`${file}: the key of ${held.peer} is in clear\n`);
  return EXIT.done;
}
