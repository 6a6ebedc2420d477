import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import * as z from 'zod';

/**
 * RFC 7914 parameters as OWASP's password storage cheat sheet has them for the strongest setting: 128 MiB and some 0.4 s for
 * each guess.
 */
const N = 2 ** 17;
const R = 8;
const P = 1;
/** A file that asks for more than 512 MiB is none of ours. */
const MAX_N = 2 ** 19;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const base64 = (bytes: number) =>
  z
    .string()
    .max(Math.ceil(bytes / 3) * 4)
    .transform(text => new Uint8Array(Buffer.from(text, 'base64')));

const sealedSchema = z.strictObject({
  format: z.literal('duxnode-key/1'),
  peer: z.string().max(60),
  kdf: z.strictObject({
    name: z.literal('scrypt'),
    n: z
      .int()
      .min(2 ** 14)
      .max(MAX_N)
      .refine(n => Number.isInteger(Math.log2(n)), 'must be a power of 2'),
    r: z.literal(R),
    p: z.literal(P),
    salt: base64(32).refine(salt => salt.length === 32, 'not 32 bytes'),
  }),
  cipher: z.strictObject({
    name: z.literal('aes-256-gcm'),
    nonce: base64(NONCE_BYTES).refine(nonce => nonce.length === NONCE_BYTES, 'not 12 bytes'),
    tag: base64(TAG_BYTES).refine(tag => tag.length === TAG_BYTES, 'not 16 bytes'),
  }),
  data: base64(256),
});

export type SealedKey = z.output<typeof sealedSchema>;

function derive(passphrase: string, salt: Uint8Array, n: number): Promise<Buffer> {
  // of two keyboards that write one character in two ways, both are right (RFC 8265)
  const text = passphrase.normalize('NFC');
  const options = { N: n, r: R, p: P, maxmem: 160 * n * R };
  return new Promise((resolve, reject) =>
    scrypt(text, salt, KEY_BYTES, options, (error, key) => (error ? reject(error) : resolve(key))),
  );
}

/** Whatever the file says in clear is part of what the passphrase vouches for. */
function clearPart(peer: string, n: number): Buffer {
  return Buffer.from(`duxnode-key/1 ${peer} scrypt ${n} ${R} ${P} aes-256-gcm`);
}

/** A private key as the text of a file that only `passphrase` opens. */
export async function sealKey(key: Uint8Array, peer: string, passphrase: string): Promise<string> {
  const salt = randomBytes(32);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', await derive(passphrase, salt, N), nonce);
  cipher.setAAD(clearPart(peer, N));
  const data = Buffer.concat([cipher.update(key), cipher.final()]);
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const sealed = {
    format: 'duxnode-key/1',
    peer,
    kdf: { name: 'scrypt', n: N, r: R, p: P, salt: text(salt) },
    cipher: { name: 'aes-256-gcm', nonce: text(nonce), tag: text(cipher.getAuthTag()) },
    data: text(data),
  };
  return `${JSON.stringify(sealed, null, 2)}\n`;
}

/** A plain key is a protobuf, which never begins like this. */
export function isSealed(bytes: Uint8Array): boolean {
  return bytes[0] === '{'.charCodeAt(0);
}

/** @throws Error for bytes that are no sealed key. */
export function parseSealed(bytes: Uint8Array): SealedKey {
  return sealedSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
}

/** The private key; undefined for a wrong passphrase or a changed file, which nobody can tell apart. */
export async function unsealKey(
  { peer, kdf, cipher, data }: SealedKey,
  passphrase: string,
): Promise<Uint8Array | undefined> {
  const key = await derive(passphrase, kdf.salt, kdf.n);
  const decipher = createDecipheriv('aes-256-gcm', key, cipher.nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(clearPart(peer, kdf.n));
  decipher.setAuthTag(cipher.tag);
  try {
    return new Uint8Array(Buffer.concat([decipher.update(data), decipher.final()]));
  } catch {
    return undefined;
  }
}
