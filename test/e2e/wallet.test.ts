import { existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { signerFromSeed, writeInvite } from '../../src/wire/index.ts';
import { type DaemonProcess, Devnet } from '../fixtures/daemons.ts';
import { auditAndStop, type CommandEnd, command, completed } from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('e2e: the wallet on the command line');

function assertCode(end: CommandEnd, code: number): CommandEnd {
  assert.is(end.code, code, `${end.stdout}\n${end.stderr}`);
  return end;
}

interface Person {
  readonly peer: string;
  readonly daemon: DaemonProcess;
  on(...argv: string[]): Promise<CommandEnd>;
  json<T = Record<string, string>>(...argv: string[]): Promise<T>;
}

async function personOf(daemon: DaemonProcess): Promise<Person> {
  const on = (...argv: string[]) => command(argv, { DUXNODE_DATA: daemon.dataDir });
  return {
    peer: await daemon.peer(),
    daemon,
    on,
    json: async (...argv: string[]) => JSON.parse(assertCode(await on(...argv, '--json'), 0).stdout),
  };
}

async function sends(payer: Person, other: Person): Promise<void> {
  const { balance: before } = (await payer.daemon.client.getWallet()).body;
  const end = assertCode(await payer.on('wallet', 'send', other.peer, '1.5'), 0);
  assert.is(end.stdout, `sent 1.5 FLOP to ${other.peer} (A/${payer.peer}/0)\n`);
  assert.match(assertCode(await payer.on('wallet', 'send', other.peer, '1.5'), 4).stderr, /say "again"/);
  assertCode(await payer.on('wallet', 'send', other.peer, '1.5', '--again'), 0);
  const once = ['wallet', 'send', other.peer, '2', '--key', 'rent-may'];
  const [first, second] = await Promise.all([payer.json(...once), payer.json(...once)]);
  assert.equal(first, second);
  assert.match(
    assertCode(await payer.on('wallet', 'send', other.peer, '3', '--key', 'rent-may'), 1).stderr,
    /another transfer/,
  );
  for (const [to, amount, code, words] of [
    [payer.peer, '1', 1, /the node itself/],
    [other.peer, '0', 2, /more than 0/],
    [other.peer, '1e3', 2, /without an exponent/],
    ['nobody', '1', 2, /peer id/],
    [other.peer, '60', 4, /ledger\.max_per_day/],
  ] as const)
    assert.match(assertCode(await payer.on('wallet', 'send', to, amount), code).stderr, words);
  const wallet = await payer.json<{ balance: string; limits: object }>('wallet');
  assert.is(Number(wallet.balance), Number(before) - 5);
  assert.equal(wallet.limits, { per_task: '20', per_day: '50', spent_today: '5' });
  const tokenless = await fetch(`${payer.daemon.url}/wallet/send`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ to: other.peer, amount: 1 }),
  });
  assert.is(tokenless.status, 401);
}

async function limitsTasks({ on }: Person): Promise<void> {
  const run = (...flags: string[]) =>
    on('run', '--avoid', 'self', ...flags, '--', 'python3', '-c', 'print(1)');
  assert.match(assertCode(await run('--pay', '21'), 4).stderr, /ledger\.max_per_task/);
  assert.match(assertCode(await run('--pay', '15', '--max-total', '40'), 4).stderr, /ledger\.max_per_task/);
  assertCode(await run('--pay', '15'), 0);
}

async function exportsAndVerifies(dir: string, person: Person, formats: readonly string[]): Promise<void> {
  const { balance, locked, incoming } = (await person.daemon.client.getWallet()).body;
  for (const format of formats) {
    const file = join(dir, `${person.peer}.${format}`);
    assertCode(await person.on('wallet', 'export', '--format', format, '-o', file), 0);
    assert.is((await stat(file)).mode & 0o777, 0o600);
    const end = assertCode(await command(['wallet', 'verify', file, '--json']), 0);
    const { trail } = JSON.parse(end.stdout);
    assert.equal(
      [trail.account, trail.balance, trail.locked, trail.incoming],
      [person.peer, balance, locked, incoming],
    );
    const bytes = await readFile(file);
    const at = Math.floor(bytes.length / 3);
    bytes[at]! ^= 1;
    await writeFile(file, bytes);
    assert.match(assertCode(await command(['wallet', 'verify', file]), 1).stdout, /^INVALID: line \d+/);
  }
  const piped = assertCode(await person.on('wallet', 'export'), 0).stdout;
  assert.is(JSON.parse(piped).account, person.peer);
}

async function showsLinesAndShares(payer: Person, worker: Person): Promise<void> {
  const { entries } = await payer.json<{
    entries: { kind: string; counterpart: string; task_id: string; slot: string }[];
  }>('wallet', 'history', '--limit', '2');
  assert.equal(
    entries.map(({ kind, counterpart }) => [kind, counterpart]),
    [
      ['paid', worker.peer],
      ['lock', worker.peer],
    ],
  );
  assert.match(entries[0]!.task_id, /^baf/);
  const { body } = await payer.daemon.client.getCertificate({ params: { slot: entries[0]!.slot } });
  assert.is(body.slot, entries[0]!.slot);
  const sharesOf = (person: Person) =>
    person.json<{
      shares: {
        peer_id: string;
        lent: { tasks: number; amount: string };
        used: { tasks: number; amount: string };
      }[];
    }>('wallet', 'shares');
  const used = (await sharesOf(payer)).shares;
  assert.equal(
    used.map(({ peer_id, used: { tasks, amount } }) => [peer_id, tasks, amount]),
    [[worker.peer, 1, '15']],
  );
  const isPaid = async () => (await worker.daemon.client.getShares()).body.shares.length === 1;
  await waitFor(isPaid, 'the worker’s share');
  const [lent] = (await sharesOf(worker)).shares;
  assert.equal([lent?.peer_id, lent?.lent.tasks, lent?.lent.amount], [payer.peer, 1, '14.7']);
  assert.match((await payer.on('wallet', 'shares')).stdout, /^PEER +LENT TO IT/);
}

/** On another machine: the network's genesis comes with the invite, the membership and the grant at the first start. */
async function joinsBy(text: string, dataDir: string, env: Record<string, string>): Promise<void> {
  const end = assertCode(await command(['join', '-', '--data', dataDir], env, text), 0);
  assert.match(end.stdout, /^ready to join lab/);
  assert.is((await stat(join(dataDir, 'invite'))).mode & 0o777, 0o600);
}

/** Joined by an address alone, it may pay, but nobody works for it unpaid until it has an invite. */
async function guestIsInvited(net: Devnet, admin: Person, member: Person): Promise<void> {
  const guest = await personOf(await net.add());
  const worker = (person: Person) => person.daemon.client.getMetrics().then(({ body }) => body);
  const submitted = await guest.daemon.client.submitTask({ body: { code: 'print(1)', avoid: ['self'] } });
  const { task_id } = submitted.body;
  for (const person of [admin, member])
    await waitFor(async () => /NOT_A_MEMBER/.test(await worker(person)), 'the refusal', 20_000);
  assert.match(assertCode(await guest.on('status'), 0).stdout, /network +lab .*, guest/);
  const { invite } = await admin.json('invite', '--grant', '3', '--expires', '1h');
  for (let again = 0; again < 2; again++)
    assert.match(assertCode(await guest.on('join', invite!), 0).stdout, /a member of lab, with 3 granted/);
  assert.is((await guest.daemon.client.getWallet()).body.balance, '3');
  await completed(guest.daemon, task_id);
  const membersOf = async ({ daemon: { client } }: Person) =>
    (await client.listMembers()).body.members.map(({ peer_id }) => peer_id);
  assert.equal((await membersOf(member)).sort(), [admin.peer, member.peer, guest.peer].sort());
  assertCode(await admin.on('members', 'remove', guest.peer), 0);
  assert.not((await membersOf(admin)).includes(guest.peer));
}

async function refusesAnotherNetwork(dataDir: string, env: Record<string, string>): Promise<void> {
  const terms = { net: new Uint8Array(32), grant: 0n, uses: 1, expires: Date.now() + 60_000 };
  const stranger = signerFromSeed(new Uint8Array(32).fill(2));
  const { text } = writeInvite(terms, new Uint8Array(32).fill(1), stranger, ['/ip4/127.0.0.1/tcp/1']);
  const end = await command(['start', '--data', dataDir, '--api-port', '0', '--join', text], env);
  assert.match(assertCode(end, 1).stderr, /is of network baf.*, not of baf.*: use another --data directory/);
}

test('a network by invitation: send, limits, history, shares, export and its check, with a key that is encrypted', async () => {
  const init = (dataDir: string) =>
    command(['init', '--network', 'lab', '--data', dataDir]).then(end => {
      assert.match(assertCode(end, 0).stdout, /membership +invited\ncurrency +FLOP/);
    });
  const net = await Devnet.start(1, { prepare: init });
  try {
    const words = 'some words by chance';
    const admin = await personOf(net.daemons[0] as DaemonProcess);
    const [first] = assertCode(await admin.on('invite', '--grant', '1000'), 0).stdout.split('\n');
    const payerDaemon = await net.add({
      prepare: dataDir => joinsBy(first!, dataDir, { DUXNODE_PASSPHRASE: words }),
      settings: { 'ledger.max_per_task': '20', 'ledger.max_per_day': '50' },
      env: { DUXNODE_PASSPHRASE: words },
    });
    await net.ready();
    assert.not(existsSync(join(payerDaemon.dataDir, 'invite')), 'it was redeemed');
    const payer = await personOf(payerDaemon);
    const key = await readFile(join(payerDaemon.dataDir, 'identity.key'), 'utf8');
    assert.is(JSON.parse(key).format, 'duxnode-key/1', 'it was never in clear');
    await sends(payer, admin);
    await limitsTasks(payer);
    await showsLinesAndShares(payer, admin);
    await exportsAndVerifies(net.dir, payer, ['json', 'csv']);
    await exportsAndVerifies(net.dir, admin, ['json']);

    await payerDaemon.stop();
    const start = (env: Record<string, string>) =>
      command(['start', '--data', payerDaemon.dataDir, '--api-port', '0'], env);
    assert.match(assertCode(await start({}), 2).stderr, /--passphrase-file/);
    assert.match(assertCode(await start({ DUXNODE_PASSPHRASE: 'others' }), 2).stderr, /does not open/);
    await refusesAnotherNetwork(payerDaemon.dataDir, { DUXNODE_PASSPHRASE: words });
    await payerDaemon.start();
    assert.is(await payerDaemon.peer(), payer.peer);
    const again = await payer.json('wallet', 'send', admin.peer, '2', '--key', 'rent-may');
    assert.is(again.slot, `A/${payer.peer}/2`);
    assert.match((await admin.on('notary')).stdout, /\nby itself: 3 notaries, once 2 more members/);
    await guestIsInvited(net, admin, payer);
    await auditAndStop(net);
  } finally {
    await net.stop();
  }
});

test.run();
