import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import { completed, FAST_LEASES, historyOf, submit, taskBody, withDevnet } from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('faults: notaries, killed');

test('four notaries: one killed, work goes on; two killed, it halts without loss and goes on', () =>
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
    },
    { settings: FAST_LEASES },
    4,
  ));

test.run();
