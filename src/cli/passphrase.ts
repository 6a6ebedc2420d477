import { open } from 'node:fs/promises';
import type { Passphrase } from '../network/index.ts';
import { usage } from './exit.ts';
import type { Io } from './io.ts';

export interface PassphraseOptions {
  readonly passphraseFile?: string | undefined;
}

/** Longer than anybody types, shorter than a file that was named by mistake. */
const MAX_BYTES = 1024;
/** Of a new one: fewer are found by trying, whatever each try costs. */
const MIN_CHARACTERS = 10;

async function fromFile(file: string): Promise<string> {
  const handle = await open(file, 'r').catch(error => {
    throw usage(`the passphrase file ${file} cannot be read: ${error.message}`);
  });
  try {
    const { mode, size } = await handle.stat();
    if (process.platform !== 'win32' && (mode & 0o077) !== 0)
      throw usage(`the passphrase file ${file} is open to other users; run: chmod 600 ${file}`);
    if (size > MAX_BYTES) throw usage(`the passphrase file ${file} has more than ${MAX_BYTES} bytes`);
    const text = (await handle.readFile('utf8')).replace(/\r?\n$/, '');
    if (text === '') throw usage(`the passphrase file ${file} is empty`);
    return text;
  } finally {
    await handle.close();
  }
}

async function given(io: Io, { passphraseFile }: PassphraseOptions): Promise<string | undefined> {
  const file = passphraseFile ?? io.env.DUXNODE_PASSPHRASE_FILE;
  if (file) return fromFile(file);
  return io.env.DUXNODE_PASSPHRASE || undefined;
}

/** By flag, environment, or on a terminal by asking. */
export async function passphraseOf(io: Io, options: PassphraseOptions): Promise<Passphrase> {
  const { askSecret } = io;
  const ask = askSecret ? () => askSecret('Passphrase of the node’s key: ') : undefined;
  return { given: await given(io, options), ask };
}

/** One that encrypts from now on; asked for twice. @throws CliError `USAGE`. */
export async function newPassphrase(io: Io, options: PassphraseOptions): Promise<string> {
  const said = await given(io, options);
  const passphrase = said ?? (await io.askSecret?.('New passphrase: '));
  if (passphrase === undefined) throw usage('give --passphrase-file, or run this on a terminal');
  if ([...passphrase].length < MIN_CHARACTERS)
    throw usage(`a passphrase has at least ${MIN_CHARACTERS} characters: take some words by chance`);
  if (said === undefined && (await io.askSecret?.('Once more: ')) !== passphrase)
    throw usage('the two are not the same: nothing was changed');
  return passphrase;
}
