import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { reportEvidence } from '../../src/api/index.ts';
import { readGenesis } from '../../src/wire/index.ts';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import { withLyingBuild } from '../fixtures/lying/build.ts';
import {
  command,
  completed,
  FAST_LEASES,
  historyOf,
  submit,
  taskBody,
  withDevnet,
} from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { withEquivocator } from './equivocator.ts';

const test = suite('faults: notaries, killed');

/** How often the notaries have changed, as each daemon knows. */
const epochsOf = (daemons: readonly DaemonProcess[]) =>
  Promise.all(daemons.map(async ({ client }) => (await client.listNotaries()).body.epoch));

/** The notaries change from four to five and back while tasks are paid: none of them fails. */
async function changeUnderLoad(
  daemons: readonly DaemonProcess[],
  paid: (text: string) => Promise<string | null>,
): Promise<void> {
  const first = daemons[0]!;
  const fifth = await daemons[4]!.peer();
  const before = [paid('before'), paid('before')];
  await Promise.race(before);
  const during = [paid('during'), paid('during')];
  const added = await first.client.addNotary({ params: { peer_id: fifth } });
  assert.is(added.body.notaries.length, 5);
  during.push(paid('during'), paid('during'));
  await waitFor(async () => (await epochsOf(daemons)).every(epoch => epoch === 1), 'all to follow', 30_000);
  await Promise.race(during.slice(2));
  const removed = await command(['notary', 'remove', fifth, '--data', first.dataDir]);
  assert.is(removed.code, 0, removed.stderr);
  assert.match(removed.stdout, /3 of 4 decide; 1 may be away, 1 may lie \(epoch 2\)/);
  const after = [paid('after'), paid('after')];
  const all = new Set(await Promise.all([...before, ...during, ...after]));
  assert.equal(all, new Set(['before\n', 'during\n', 'after\n']));
  assert.ok((await epochsOf(daemons)).every(epoch => epoch === 2));
}

/** A task of now and the account's whole trail are checked offline, by the genesis and the changes that they carry. */
async function assertProven(requester: DaemonProcess, taskId: string): Promise<void> {
  const folder = ['--data', requester.dataDir];
  for (const [name, argv] of [
    ['receipt', ['receipt', taskId]],
    ['wallet', ['wallet', 'export']],
  ] as const) {
    const file = join(requester.dataDir, `${name}.proof`);
    assert.is((await command([...argv, '-o', file, ...folder])).code, 0, name);
    const verified = await command([name, 'verify', file]);
    assert.is(verified.code, 0, verified.stderr + verified.stdout);
  }
}

/** Of two orders with one number at most one went through, and every notary says the same of all balances. */
async function cheat(daemons: readonly DaemonProcess[]): Promise<void> {
  const [first, , , liar, requester] = daemons as [
    DaemonProcess,
    DaemonProcess,
    DaemonProcess,
    DaemonProcess,
    DaemonProcess,
  ];
  const honest = daemons.slice(0, 3);
  const evidenceAt = async ({ client }: DaemonProcess) => (await client.getEvidence()).body;
  const genesis = readGenesis(new Uint8Array(Buffer.from((await evidenceAt(first)).genesis, 'base64')));
  const addresses = await Promise.all(daemons.slice(0, 4).map(daemon => daemon.address()));
  const [lying, admin, payee] = await Promise.all([liar, first, requester].map(daemon => daemon.peer()));
  await withEquivocator(genesis, addresses, async equivocator => {
    assert.ok((await equivocator.orderTwice(payee!, admin!)) <= 1);
    await equivocator.sendAll(payee!);
    for (const account of [equivocator.account, payee!])
      await waitFor(
        async () => new Set(await equivocator.balances(account)).size === 1,
        'the notaries to agree',
        30_000,
      );
    assert.is((await equivocator.balances(equivocator.account))[0], 0n);
    const found = async () => {
      const all = await Promise.all(honest.map(evidenceAt));
      return all.map(({ evidence }) => evidence.map(({ signer, role, rule }) => `${signer} ${role} ${rule}`));
    };
    await waitFor(
      async () => (await found()).every(proofs => proofs.includes(`${lying} notary voted-twice`)),
      'the proof against the liar at every honest notary',
      30_000,
    );
    // That against an account is told to nobody: those have it who saw both orders.
    await waitFor(
      async () => (await found()).flat().includes(`${equivocator.account} account ordered-twice`),
      'the proof against the account',
      30_000,
    );
  });
  const evidence = await evidenceAt(first);
  assert.is(reportEvidence(JSON.stringify(evidence)).error, null);
  assert.not.ok(
    evidence.evidence.some(({ signer }) => signer === admin),
    'nobody honest is accused',
  );
  assert.match(
    (await first.client.getHealth()).body.ledger.detail ?? '',
    new RegExp(`${lying} contradicted`),
  );
  assert.match(first.output, /"rule":"voted-twice"/);
}

test('four notaries, one of which lies: two votes of it are found out; five and four again under load; one killed, work goes on; two killed, it halts without loss and goes on', () =>
  withLyingBuild(lyingBundle =>
    withDevnet(
      5,
      async (_net, daemons) => {
        const [first, second, third, fourth, requester] = daemons as [
          DaemonProcess,
          DaemonProcess,
          DaemonProcess,
          DaemonProcess,
          DaemonProcess,
        ];
        assert.is((await requester.client.getWallet()).body.note, null, 'four notaries survive a lie');
        await cheat(daemons);
        const body = { payment_amount: '1', require: [await second.peer()] };
        const work = (text: string) => submit(requester, taskBody(`print("${text}")`, body));
        await changeUnderLoad(daemons, async text => (await completed(requester, await work(text))).stdout);
        const four = await work('four');
        assert.is((await completed(requester, four)).stdout, 'four\n');
        await assertProven(requester, four);

        await fourth.kill();
        assert.is((await completed(requester, await work('three'))).stdout, 'three\n');

        await third.kill();
        const halted = await work('two');
        const status = async () => (await requester.client.getHealth()).body;
        await waitFor(
          async () => JSON.stringify(await status()).includes('fewer than 3 of the 4 notaries answer'),
          'the status to say that notaries are missing',
          60_000,
        );
        const waiting = await requester.client.getTaskStatus({ params: { task_id: halted } });
        assert.is(waiting.body.ended_at, null);

        const address = [await first.address()];
        await third.start(address);
        assert.is((await completed(requester, halted)).stdout, 'two\n');
        await fourth.start(address);
        const kinds = await historyOf(requester, halted);
        assert.is(kinds.filter(kind => kind === 'paid').length, 1);
      },
      index => ({ settings: FAST_LEASES, ...(index === 3 ? { bundle: lyingBundle } : {}) }),
      4,
    ),
  ));

test.run();
