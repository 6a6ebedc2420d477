import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  isIdentitySealed,
  loadIdentity,
  loadOrCreateIdentity,
  replaceIdentity,
} from '../../src/network/index.ts';
import { signerFromSeed, verifySignature } from '../../src/wire/index.ts';
import { bytes, codeOfRejection } from './harness.ts';

const test = suite<{ dir: string; file: string }>('network: identity');
test.before.each(async context => {
  context.dir = await mkdtemp(join(tmpdir(), 'duxnode-identity-'));
  context.file = join(context.dir, 'node', 'identity.key');
});
test.after.each(({ dir }) => rm(dir, { recursive: true }));

test('a key is made once, for this user alone, and signs as the peer it names', async ({ file }) => {
  const made = await loadOrCreateIdentity(file);
  assert.is((await stat(file)).mode & 0o777, 0o600);
  const again = await loadOrCreateIdentity(file);
  assert.is(again.peer, made.peer);
  assert.equal([...again.raw], [...made.raw]);
  const signer = signerFromSeed(made.seed);
  assert.is(signer.peer, made.peer);
  assert.ok(verifySignature(made.peer, bytes('text'), signer.sign(bytes('text'))));
});

test('two starts at once agree on one key', async ({ file }) => {
  const [one, other] = await Promise.all([loadOrCreateIdentity(file), loadOrCreateIdentity(file)]);
  assert.is(one.peer, other.peer);
  assert.is((await loadOrCreateIdentity(file)).peer, one.peer);
  assert.equal(await readdir(dirname(file)), ['identity.key']);
});

test('a key that others may read is refused', async ({ file }) => {
  await loadOrCreateIdentity(file);
  await chmod(file, 0o644);
  assert.is(await codeOfRejection(loadOrCreateIdentity(file)), 'IDENTITY_UNREADABLE');
});

test('a damaged key is refused and left as it is', async ({ file }) => {
  await loadOrCreateIdentity(file);
  const whole = await readFile(file);
  for (const damaged of [new Uint8Array(), whole.subarray(0, 40), Buffer.alloc(5000), bytes('not a key')]) {
    await writeFile(file, damaged);
    assert.is(await codeOfRejection(loadOrCreateIdentity(file)), 'IDENTITY_UNREADABLE');
    assert.equal(await readFile(file), Buffer.from(damaged));
  }
});

test('a key that is encrypted opens by its passphrase alone, and nothing in its file can be changed', async ({
  file,
}) => {
  const given = 'Zwölf kleine Wörter';
  const plain = await loadOrCreateIdentity(file);
  assert.not(plain.isSealed);
  const clear = await readFile(file);
  await replaceIdentity(file, plain, given);
  assert.equal(await readdir(dirname(file)), ['identity.key'], 'no draft is left');
  assert.is((await stat(file)).mode & 0o777, 0o600);
  assert.ok(await isIdentitySealed(file));
  const sealed = await readFile(file, 'utf8');
  assert.not(sealed.includes(Buffer.from(plain.seed).toString('base64')));
  assert.match(sealed, plain.peer);

  const opened = await loadOrCreateIdentity(file, { given: given.normalize('NFD') });
  assert.equal([opened.peer, [...opened.raw], opened.isSealed], [plain.peer, [...plain.raw], true]);
  assert.is((await loadIdentity(file, { ask: async () => given })).peer, plain.peer);
  assert.is(await codeOfRejection(loadOrCreateIdentity(file)), 'PASSPHRASE_REQUIRED');
  assert.is(
    await codeOfRejection(loadOrCreateIdentity(file, { given: 'zwölf kleine Wörter' })),
    'PASSPHRASE_WRONG',
  );
  assert.is(await readFile(file, 'utf8'), sealed, 'a wrong one changes nothing');

  const { kdf, cipher, data, ...rest } = JSON.parse(sealed);
  const other = (text: string) =>
    Buffer.from(Buffer.from(text, 'base64').map((byte, i) => (i === 0 ? byte ^ 1 : byte))).toString('base64');
  const changes: readonly (readonly [object, string])[] = [
    [{ ...rest, kdf, cipher, data: other(data) }, 'PASSPHRASE_WRONG'],
    [{ ...rest, kdf, cipher: { ...cipher, tag: other(cipher.tag) }, data }, 'PASSPHRASE_WRONG'],
    [{ ...rest, kdf: { ...kdf, salt: other(kdf.salt) }, cipher, data }, 'PASSPHRASE_WRONG'],
    [{ ...rest, peer: plain.peer.slice(0, -1), kdf, cipher, data }, 'PASSPHRASE_WRONG'],
    [{ ...rest, kdf: { ...kdf, n: 2 ** 30 }, cipher, data }, 'IDENTITY_UNREADABLE'],
    [{ ...rest, kdf: { ...kdf, n: 2 }, cipher, data }, 'IDENTITY_UNREADABLE'],
    [{ ...rest, kdf, cipher: { ...cipher, tag: 'AAAA' }, data }, 'IDENTITY_UNREADABLE'],
    [{ ...rest, kdf, cipher }, 'IDENTITY_UNREADABLE'],
  ];
  for (const [changed, code] of changes) {
    await writeFile(file, JSON.stringify(changed));
    assert.is(await codeOfRejection(loadOrCreateIdentity(file, { given })), code);
  }
  await replaceIdentity(file, opened, undefined);
  assert.equal(await readFile(file), clear);
});

test('a key that is made with a passphrase is never on disk in clear', async ({ file }) => {
  const made = await loadOrCreateIdentity(file, { given: 'ten letters' });
  assert.ok(made.isSealed && (await isIdentitySealed(file)));
  assert.is(await codeOfRejection(loadOrCreateIdentity(file)), 'PASSPHRASE_REQUIRED');
  const again = await loadOrCreateIdentity(file, { given: 'ten letters' });
  assert.is(again.peer, made.peer);
});

test.run();
