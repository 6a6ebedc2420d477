import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadOrCreateIdentity } from '../../src/network/index.ts';
import { type How, runCli, withDir } from './support.ts';

const test = suite('cli: the key at rest');

const words = 'ten or more';

async function withKey(
  fn: (parts: {
    dir: string;
    file: string;
    peer: string;
    run(verb: 'encrypt' | 'decrypt', how?: How & { file?: string }): Promise<[number, string]>;
  }) => Promise<void>,
): Promise<void> {
  await withDir(async dir => {
    const file = join(dir, 'identity.key');
    const { peer } = await loadOrCreateIdentity(file);
    await fn({
      dir,
      file,
      peer,
      async run(verb, how = {}) {
        const flags = how.file === undefined ? [] : ['--passphrase-file', how.file];
        const { code, out, err } = await runCli(['identity', verb, '--data', dir, ...flags], how);
        return [code, `${out}${err}`];
      },
    });
  });
}

test('by a file, by the environment, by asking: there and back', () =>
  withKey(async ({ dir, file, peer, run }) => {
    const clear = await readFile(file);
    const passphraseFile = join(dir, 'words');
    await writeFile(passphraseFile, `${words}\n`, { mode: 0o600 });
    const ways: readonly (readonly [How & { file?: string }, How & { file?: string }])[] = [
      [{ file: passphraseFile }, { env: { DUXNODE_PASSPHRASE: words } }],
      [{ env: { DUXNODE_PASSPHRASE_FILE: passphraseFile } }, { secrets: [words] }],
      [{ secrets: [words, words] }, { file: passphraseFile }],
    ];
    for (const [there, back] of ways) {
      const [code, said] = await run('encrypt', there);
      assert.is(code, 0, said);
      assert.match(said, `the key of ${peer} is encrypted`);
      assert.is((await run('encrypt', there))[0], 2, 'it is encrypted already');
      const end = await run('decrypt', back);
      assert.is(end[0], 0, end[1]);
      assert.equal(await readFile(file), clear);
      assert.is((await run('decrypt', back))[0], 2, 'it is in clear already');
    }
  }));

test('it is the same key that is encrypted, and other words do not open it', () =>
  withKey(async ({ file, peer, run }) => {
    assert.is((await run('encrypt', { secrets: [words, words] }))[0], 0);
    assert.is((await loadOrCreateIdentity(file, { given: words })).peer, peer);
    const [code, said] = await run('decrypt', { secrets: ['some other words'] });
    assert.is(code, 2);
    assert.match(said, /does not open/);
  }));

test('what is refused changes nothing', () =>
  withKey(async ({ dir, file, run }) => {
    const clear = await readFile(file);
    const open = join(dir, 'open');
    await writeFile(open, words);
    await chmod(open, 0o644);
    const empty = join(dir, 'empty');
    await writeFile(empty, '\n', { mode: 0o600 });
    const table: readonly (readonly [How & { file?: string }, RegExp])[] = [
      [{}, /give --passphrase-file/],
      [{ secrets: ['short', 'short'] }, /at least 10 characters/],
      [{ secrets: [words, `${words}!`] }, /not the same/],
      [{ file: open }, /open to other users/],
      [{ file: empty }, /is empty/],
      [{ file: join(dir, 'none') }, /cannot be read/],
    ];
    for (const [how, expected] of table) {
      const [code, said] = await run('encrypt', how);
      assert.is(code, 2, said);
      assert.match(said, expected);
    }
    assert.equal(await readFile(file), clear);
  }));

test.run();
