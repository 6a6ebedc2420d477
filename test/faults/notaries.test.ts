import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { reportEvidence } from '../../src/api/index.ts';
import { readGenesis } from '../../src/wire/index.ts';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import { withLyingBuild } from '../fixtures/lying/build.ts';
import { completed, FAST_LEASES, historyOf, submit, taskBody, withDevnet } from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { withEquivocator } from './equivocator.ts';

const test = suite('faults: notaries, killed');

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

test('four notaries, one of which lies: one killed, work goes on; two killed, it halts without loss and goes on; two votes of one are found out', () =>
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
        const body = { payment_amount: '1', require: [await second.peer()] };
        const work = (text: string) => submit(requester, taskBody(`print("${text}")`, body));
        assert.is((await completed(requester, await work('four'))).stdout, 'four\n');

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
        await cheat(daemons);
      },
      index => ({ settings: FAST_LEASES, ...(index === 3 ? { bundle: lyingBundle } : {}) }),
      4,
    ),
  ));

test.run();
