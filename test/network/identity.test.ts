import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadOrCreateIdentity } from '../../src/network/index.ts';
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

test.run();
