import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import {
  completed,
  containersOf,
  FAST_LEASES,
  followEvents,
  historyOf,
  submit,
  taskBody,
  withDevnet,
} from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('faults: the worker is killed in mid-task');

async function daemonOf(daemons: readonly DaemonProcess[], peer: string | null): Promise<DaemonProcess> {
  for (const daemon of daemons) if ((await daemon.peer()) === peer) return daemon;
  throw new Error(`nobody is ${peer}`);
}

test('another completes it, one is paid, the dead one’s money and container come back', () =>
  withDevnet(
    3,
    async (_net, daemons) => {
      // the notary submits: its death would be another fault
      const [requester] = daemons as [DaemonProcess];
      const events = await followEvents(requester);
      const code = 'import time\nprint("started", flush=True)\ntime.sleep(2)\nprint("done")';
      const taskId = await submit(requester, taskBody(code, { payment_amount: '1', avoid: ['self'] }));
      const running = await events.first(event => event.phase === 'executing', 'executing');
      const killed = await daemonOf(daemons, running.worker);
      await killed.kill();
      const dead = await containersOf(running.worker as string);
      assert.ok(dead.length > 0);

      const result = await completed(requester, taskId);
      assert.is(result.stdout, 'started\ndone\n');
      assert.is.not(result.worker, running.worker);
      events.stop();
      const other = await daemonOf(
        daemons.filter(daemon => daemon !== killed),
        result.worker,
      );

      await killed.start([await requester.address()]);
      assert.is(await killed.peer(), running.worker);
      const all = () => historyOf(requester, taskId);
      await waitFor(async () => (await all()).includes('refunded'), 'the first lock to come back', 40_000);
      assert.equal((await all()).sort(), ['lock', 'lock', 'paid', 'refunded']);
      const earned = async () => (await historyOf(other, taskId)).filter(kind => kind === 'paid').length;
      await waitFor(async () => (await earned()) === 1, 'the worker to see its pay');
      assert.not((await historyOf(killed, taskId)).includes('paid'));
      const left = async () => (await containersOf(running.worker as string)).filter(id => dead.includes(id));
      await waitFor(async () => (await left()).length === 0, 'the dead worker’s containers to be gone');
    },
    { settings: FAST_LEASES },
  ));

test.run();
