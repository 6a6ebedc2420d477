import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { reportReceipt } from '../../src/api/index.ts';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import { FAST_LEASES, followEvents, historyOf, submit, taskBody, withDevnet } from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('faults: money that waits for a time');

/** A claim's time is over 15 s and the task's timeout after the award, a dispute's 2 s later. */
const SHORT = {
  ...FAST_LEASES,
  'market.queue_seconds': '1',
  // the image is here, but a busy engine takes a second to say so
  'market.pull_seconds': '4',
  'market.stage_seconds': '4',
  'market.collect_seconds': '4',
  'market.claim_margin_seconds': '2',
  'market.dispute_seconds': '2',
  'market.verdict_seconds': '2',
  'engine.automatic_payments': 'false',
};
/** All windows, what notaries allow for clocks, and a busy machine. */
const OVER_MS = 60_000;

const body = (code: string, worker: string) =>
  taskBody(code, {
    // longer than a busy machine takes to kill all three
    timeout_seconds: 10,
    payment_amount: '1',
    max_output_mb: 0,
    retries: 0,
    require: [worker],
  });

async function paymentOf({ client }: DaemonProcess, taskId: string) {
  return (await client.getTaskStatus({ params: { task_id: taskId } })).body.payment;
}

test('kill -9 on all sides: who never accepts has paid when its time is over, who never delivers has given back', () =>
  withDevnet(
    4,
    async (_net, daemons) => {
      const [notary, requester, worker, lost] = daemons as [
        DaemonProcess,
        DaemonProcess,
        DaemonProcess,
        DaemonProcess,
      ];
      const events = await followEvents(requester);
      const begun = async (by: DaemonProcess, code: string, phase: string) => {
        const taskId = await submit(requester, body(code, await by.peer()));
        await events.first(event => event.task_id === taskId && event.phase === phase, phase);
        return taskId;
      };
      const [delivered, never] = await Promise.all([
        begun(worker, 'print(1)', 'settling'),
        begun(lost, 'import time\ntime.sleep(60)', 'executing'),
      ]);
      events.stop();
      await Promise.all([requester, worker, lost].map(daemon => daemon.kill()));
      const joins = [await notary.address()];
      await worker.start(joins);
      const count = async (daemon: DaemonProcess, taskId: string, kind: string) =>
        (await historyOf(daemon, taskId)).filter(found => found === kind).length;
      const isPaid = async () => (await count(worker, delivered, 'paid')) === 1;
      await waitFor(isPaid, 'the worker to be paid', OVER_MS);
      await requester.start(joins);
      const closed = async (taskId: string) => {
        const isClosed = async () => (await paymentOf(requester, taskId))?.state !== 'locked';
        await waitFor(isClosed, 'the escrow to be closed', OVER_MS);
        const payment = await paymentOf(requester, taskId);
        return [payment?.state, payment?.escrow?.state, payment?.escrow?.closed_by];
      };
      assert.equal(await closed(delivered), ['released', 'paid', 'timeout']);
      assert.equal(await closed(never), ['refunded', 'refunded', 'timeout']);
      assert.is(await count(requester, never, 'refunded'), 1);
      const { body: receipt } = await requester.client.getTaskReceipt({ params: { task_id: delivered } });
      assert.is(reportReceipt(receipt).receipt?.closed_by, 'timeout');
      await lost.start(joins);
    },
    { settings: SHORT },
  ));

test.run();
