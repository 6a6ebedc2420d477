import { randomUUID } from 'node:crypto';
import { link, mkdir, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { codeOf, messageOf } from '../util/index.ts';
import { NetworkError } from './errors.ts';

export interface Identity {
  readonly peer: string;
  readonly privateKey: Ed25519PrivateKey;
  /** The 32-byte Ed25519 seed: what `signerFromSeed` takes. */
  readonly seed: Uint8Array;
  /** Seed and public key, 64 bytes. */
  readonly raw: Uint8Array;
}

/** Group and others. */
const OTHERS = 0o077;
/** A key file has 68 bytes; nothing near this size is one. */
const MAX_KEY_FILE_BYTES = 1024;

export function identityOf(privateKey: Ed25519PrivateKey): Identity {
  const raw = privateKey.raw.slice();
  return { peer: peerIdFromPrivateKey(privateKey).toString(), privateKey, seed: raw.slice(0, 32), raw };
}

export async function createIdentity(): Promise<Identity> {
  return identityOf(await generateKeyPair('Ed25519'));
}

function unreadable(file: string, why: string, cause?: unknown): NetworkError {
  return new NetworkError({ code: 'IDENTITY_UNREADABLE', file }, `${file} ${why}`, { cause });
}

async function load(file: string): Promise<Identity | undefined> {
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
    return parse(file, await handle.readFile());
  } finally {
    await handle.close();
  }
}

function parse(file: string, bytes: Uint8Array): Identity {
  const advice = 'restore it from a backup, or move it away to begin with a new identity';
  try {
    const key = privateKeyFromProtobuf(bytes);
    if (key.type !== 'Ed25519') throw new Error(`the key is ${key.type}`);
    return identityOf(key);
  } catch (cause) {
    throw unreadable(file, `is not an Ed25519 key (${messageOf(cause)}): ${advice}`, cause);
  }
}

/** Written whole and synced under another name first: the file appears complete or not at all, and one that is there is left alone. */
async function save(file: string, identity: Identity): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomUUID()}`;
  const handle = await open(draft, 'wx', 0o600);
  try {
    await handle.writeFile(privateKeyToProtobuf(identity.privateKey));
    await handle.sync();
    await link(draft, file);
  } finally {
    await handle.close();
    await unlink(draft);
  }
}

/**
 * The node's key from `file`, made there (mode 0600, directory 0700) when there is none.
 * @throws NetworkError `IDENTITY_UNREADABLE` when the file is damaged, of another kind, or open to other users.
 */
export async function loadOrCreateIdentity(file: string): Promise<Identity> {
  const known = await load(file);
  if (known) return known;
  const identity = await createIdentity();
  try {
    await save(file, identity);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw unreadable(file, `cannot be written: ${messageOf(error)}`, error);
    const other = await load(file);
    if (!other) throw unreadable(file, 'vanished while it was read', error);
    return other;
  }
  return identity;
}
