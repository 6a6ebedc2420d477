import { randomUUID } from 'node:crypto';
import { link, mkdir, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import { codeOf, messageOf } from '../util/index.ts';
import { NetworkError } from './errors.ts';
import { createIdentity, type Identity, identityOf } from './identity.ts';
import { isSealed, parseSealed, sealKey, unsealKey } from './sealed-key.ts';

/** Where the passphrase of an encrypted key comes from. */
export interface Passphrase {
  /** Said before: a new key is encrypted with it. */
  readonly given?: string | undefined;
  /** Asked for where it is needed, and not given. */
  readonly ask?: (() => Promise<string>) | undefined;
}

export interface LoadedIdentity extends Identity {
  /** Its file needs a passphrase. */
  readonly isSealed: boolean;
}

/** Group and others. */
const OTHERS = 0o077;
/** A plain key has 68 bytes, an encrypted one some 500; nothing near this size is one. */
const MAX_KEY_FILE_BYTES = 2048;

function unreadable(file: string, why: string, cause?: unknown): NetworkError {
  return new NetworkError({ code: 'IDENTITY_UNREADABLE', file }, `${file} ${why}`, { cause });
}

async function read(file: string): Promise<Uint8Array | undefined> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw unreadable(file, `cannot be read: ${error.message}`, error);
  });
  if (!handle) return undefined;
  try {
    const { mode, size } = await handle.stat();
    if (process.platform !== 'win32' && (mode & OTHERS) !== 0)
      throw unreadable(file, `is open to other users; run: chmod 600 ${file}`);
    if (size > MAX_KEY_FILE_BYTES) throw unreadable(file, 'is too large for a key');
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

async function load(file: string, passphrase: Passphrase): Promise<LoadedIdentity | undefined> {
  const bytes = await read(file);
  if (!bytes) return undefined;
  const sealed = isSealed(bytes);
  const key = sealed ? await unseal(file, bytes, passphrase) : bytes;
  return { ...parse(file, key), isSealed: sealed };
}

async function unseal(file: string, bytes: Uint8Array, { given, ask }: Passphrase): Promise<Uint8Array> {
  const sealed = inFile(file, () => parseSealed(bytes));
  const passphrase = given ?? (await ask?.());
  if (passphrase === undefined)
    throw new NetworkError(
      { code: 'PASSPHRASE_REQUIRED', file },
      `${file} is encrypted: name a file with its passphrase by --passphrase-file or DUXNODE_PASSPHRASE_FILE, or start on a terminal`,
    );
  const key = await unsealKey(sealed, passphrase);
  if (!key)
    throw new NetworkError(
      { code: 'PASSPHRASE_WRONG', file },
      `the passphrase does not open ${file}: it is another one, or the file was changed`,
    );
  return key;
}

function inFile<T>(file: string, fn: () => T): T {
  try {
    return fn();
  } catch (cause) {
    throw unreadable(
      file,
      `is not an Ed25519 key (${messageOf(cause)}): restore it from a backup, or move it away to begin with a new identity`,
      cause,
    );
  }
}

function parse(file: string, bytes: Uint8Array): Identity {
  return inFile(file, () => {
    const key = privateKeyFromProtobuf(bytes);
    if (key.type !== 'Ed25519') throw new Error(`the key is ${key.type}`);
    return identityOf(key);
  });
}

/** Synced under another name, which `place` then makes the file's own: it appears complete or not at all. */
async function write(
  file: string,
  content: Uint8Array | string,
  place: (draft: string) => Promise<void>,
): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomUUID()}`;
  const handle = await open(draft, 'wx', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
    await place(draft);
  } finally {
    await handle.close();
    await unlink(draft).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}

async function contentOf(identity: Identity, passphrase: string | undefined): Promise<Uint8Array | string> {
  const key = privateKeyToProtobuf(identity.privateKey);
  return passphrase === undefined ? key : sealKey(key, identity.peer, passphrase);
}

/**
 * The node's key from `file`, made there (mode 0600, directory 0700) when there is none: encrypted where a passphrase is given.
 * @throws NetworkError `IDENTITY_UNREADABLE` when the file is damaged, of another kind, or open to other users;
 * `PASSPHRASE_REQUIRED`, `PASSPHRASE_WRONG`.
 */
export async function loadOrCreateIdentity(
  file: string,
  passphrase: Passphrase = {},
): Promise<LoadedIdentity> {
  const known = await load(file, passphrase);
  if (known) return known;
  const identity = await createIdentity();
  try {
    const content = await contentOf(identity, passphrase.given);
    // a file that is there is left alone
    await write(file, content, draft => link(draft, file));
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw unreadable(file, `cannot be written: ${messageOf(error)}`, error);
    const other = await load(file, passphrase);
    if (!other) throw unreadable(file, 'vanished while it was read', error);
    return other;
  }
  return { ...identity, isSealed: passphrase.given !== undefined };
}

/** The key of a node that is there. Errors as `loadOrCreateIdentity`. */
export async function loadIdentity(file: string, passphrase: Passphrase): Promise<LoadedIdentity> {
  const identity = await load(file, passphrase);
  if (!identity) throw unreadable(file, 'is not there: the first start of a node makes it');
  return identity;
}

/** Whether the key in `file` is encrypted. @throws NetworkError `IDENTITY_UNREADABLE`. */
export async function isIdentitySealed(file: string): Promise<boolean> {
  const bytes = await read(file);
  if (!bytes) throw unreadable(file, 'is not there: the first start of a node makes it');
  return isSealed(bytes);
}

/** Writes a key to another file that is not there yet, encrypted: as such it may be the `identity.key` of another directory. */
export async function writeSealedKey(file: string, identity: Identity, passphrase: string): Promise<void> {
  try {
    await write(file, await contentOf(identity, passphrase), draft => link(draft, file));
  } catch (error) {
    throw unreadable(file, `cannot be written: ${messageOf(error)}`, error);
  }
}

/** Puts a key in the place of the one in `file`: encrypted by `passphrase`, or in clear without one. */
export async function replaceIdentity(
  file: string,
  identity: Identity,
  passphrase: string | undefined,
): Promise<void> {
  await write(file, await contentOf(identity, passphrase), draft => rename(draft, file));
  const directory = await open(dirname(file), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
