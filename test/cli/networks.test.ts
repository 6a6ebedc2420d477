import { copyFile, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadOrCreateIdentity } from '../../src/network/index.ts';
import { readGenesis, signerFromSeed, writeInvite } from '../../src/wire/index.ts';
import { runCli, withDir, withShell } from './support.ts';

const test = suite('cli: networks, members, invites');

const words = 'ten or more';

test('init founds a network as it is told, once for each directory', () =>
  withDir(async dir => {
    const run = (...argv: string[]) => runCli([...argv, '--data', dir]);
    assert.is((await run('init')).code, 2, 'without a name');
    const { peer } = await loadOrCreateIdentity(join(dir, 'other.key'));
    const flags = ['--currency', 'credits', '--supply', '500.5', '--fee', '0', '--notary', peer, '--json'];
    const made = await run('init', '--network', 'lab', ...flags);
    assert.is(made.code, 0, made.err);
    const { genesis, networkId, supply } = readGenesis(await readFile(join(dir, 'genesis.dag-cbor')));
    const { name, admin, notaries, currency, membership, feeBasisPoints, minAmount } = genesis;
    assert.equal(JSON.parse(made.out), {
      network: 'lab',
      network_id: networkId,
      admin,
      notaries: [admin, peer],
      membership: 'invited',
      currency: 'credits',
    });
    assert.equal(
      [name, notaries.length, feeBasisPoints, minAmount, supply],
      ['lab', 2, 0, 10_000n, 50_050_000_000n],
    );
    assert.is(currency, 'credits');
    assert.is(membership, 'invited');
    const again = await run('init', '--network', 'other');
    assert.is(again.code, 1);
    assert.match(again.err, /belongs to the network lab \(baf.*\): use another --data directory/);
    assert.is((await run('init', '--network', 'Not A Name')).code, 2);
  }));

test('join without a daemon: a wrong, an old and a foreign invite are refused with a sentence', () =>
  withDir(async dir => {
    const admin = signerFromSeed(new Uint8Array(32).fill(2));
    const inviteOf = (expires: number) =>
      writeInvite(
        { net: new Uint8Array(32), grant: 0n, uses: 1, expires },
        new Uint8Array(32).fill(1),
        admin,
        ['/ip4/127.0.0.1/tcp/1'],
      ).text;
    const run = (...argv: string[]) => runCli([...argv, '--data', dir]);
    assert.match((await run('join', 'dux1abc')).err, /no invite, or not the whole of one/);
    assert.match((await run('join', inviteOf(1000))).err, /ended at 1970-01-01T00:00:01.000Z/);
    assert.is((await run('init', '--network', 'lab')).code, 0);
    const end = await run('join', inviteOf(Date.now() + 60_000));
    assert.is(end.code, 1);
    assert.match(end.err, /is of network baf.*, not of baf.*: use another --data directory/);
  }));

test('the admin’s key goes into a file that its passphrase opens, and no other node’s does', () =>
  withDir(async dir => {
    const file = join(dir, 'copy');
    const run = (...argv: string[]) => runCli([...argv, '--data', dir], { secrets: [words, words] });
    assert.match((await run('admin', 'export', file)).err, /belongs to no network yet/);
    assert.is((await run('init', '--network', 'lab')).code, 0);
    const end = await run('admin', 'export', file);
    assert.is(end.code, 0, end.err);
    assert.is((await stat(file)).mode & 0o777, 0o600);
    const { peer } = await loadOrCreateIdentity(join(dir, 'identity.key'));
    assert.is((await loadOrCreateIdentity(file, { given: words })).peer, peer);
    assert.is((await run('admin', 'export', file)).code, 1, 'it is there');
    await withDir(async other => {
      await copyFile(join(dir, 'genesis.dag-cbor'), join(other, 'genesis.dag-cbor'));
      await loadOrCreateIdentity(join(other, 'identity.key'));
      const foreign = await runCli(['admin', 'export', join(other, 'copy'), '--data', other]);
      assert.match(foreign.err, new RegExp(`another node, ${peer}`));
    });
  }));

test('invites and members over the daemon', () =>
  withShell(async ({ run }) => {
    const made = await run(['invite', '--grant', '5', '--uses', '2', '--expires', '12h']);
    assert.equal([made.code, made.out], [0, 'dux1invite\n']);
    assert.match(made.err, /duxnode start --join INVITE/);
    assert.match((await run(['invite', 'list'])).out, /open +1 of 2 +5 /);
    const [id] = (await run(['invite', 'list', '-q'])).out.split('\n');
    assert.is((await run(['invite', 'revoke', id!])).out, 'revoked; 5 came back\n');
    assert.match((await run(['members'])).out, /genesis/);
    assert.match((await run(['members', 'remove', id!])).out, /is a guest now/);
    for (const wrong of [
      ['invite', '--expires', 'soon'],
      ['invite', '--uses', '0'],
      ['invite', '--grant', '-1'],
      ['join', 'dux1abc'],
    ])
      assert.is((await run(wrong)).code, 2, wrong.join(' '));
  }));

test.run();
