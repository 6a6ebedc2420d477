import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { reportReceipt } from '../../src/api/index.ts';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import {
  completed,
  FAST_LEASES,
  followEvents,
  historyOf,
  submit,
  taskBody,
  withDevnet,
} from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('faults: the requester is killed');

/** When to kill: as soon as the task is taken, or at the first event of a phase. */
const MOMENTS = ['taken', 'offering', 'awarding', 'executing', 'verifying', 'settling'] as const;

async function killAt(
  requester: DaemonProcess,
  moment: (typeof MOMENTS)[number],
  joins: readonly string[],
): Promise<string> {
  const events = await followEvents(requester);
  const code = `import time\ntime.sleep(0.5)\nprint("${moment}")`;
  const taskId = await submit(requester, taskBody(code, { payment_amount: '1', avoid: ['self'] }));
  if (moment !== 'taken')
    await events.first(event => event.task_id === taskId && event.phase === moment, moment);
  await requester.kill();
  events.stop();
  await requester.start(joins);
  return taskId;
}

const ELEMENTS = 100;

/** An array goes on where its bundles are: each element is run to its end, and each bundle paid for once. */
async function killInArray(requester: DaemonProcess, joins: readonly string[]): Promise<void> {
  const events = await followEvents(requester);
  const code = 'import time\ntime.sleep(0.02)\nprint(1)';
  const array = { count: ELEMENTS };
  const id = await submit(requester, taskBody(code, { array, payment_amount: '0.01', avoid: ['self'] }));
  await events.first(event => event.task_id === id && (event.array?.completed ?? 0) > 2, 'some to be done');
  await requester.kill();
  events.stop();
  await requester.start(joins);
  const result = await completed(requester, id);
  assert.equal(
    [result.array?.completed, result.array?.failed, result.array?.paid],
    [ELEMENTS, 0, '1'],
    'an element costs what it is to cost',
  );
  const params = { task_id: id };
  const { body } = await requester.client.listElements({ params, query: { limit: String(ELEMENTS) } });
  for (const bundle of new Set(body.elements.map(element => element.bundle as string))) {
    const kinds = await historyOf(requester, bundle);
    assert.is(kinds.filter(kind => kind === 'paid').length, 1, bundle);
  }
}

test('at each moment: after its restart the result is there, paid once, with a receipt', () =>
  withDevnet(
    2,
    async (_net, daemons) => {
      const [worker, requester] = daemons as [DaemonProcess, DaemonProcess];
      const joins = [await worker.address()];
      for (const moment of MOMENTS) {
        const taskId = await killAt(requester, moment, joins);
        const result = await completed(requester, taskId);
        assert.is(result.stdout, `${moment}\n`);
        assert.is(result.worker, await worker.peer());
        assert.is(result.payment?.state, 'released');
        const { body } = await requester.client.getTaskReceipt({ params: { task_id: taskId } });
        assert.is(reportReceipt(body).receipt?.settlement, 'paid');
        const count = async (daemon: DaemonProcess, kind: string) =>
          (await historyOf(daemon, taskId)).filter(found => found === kind).length;
        assert.is(await count(requester, 'paid'), 1, moment);
        await waitFor(async () => (await count(worker, 'paid')) === 1, 'the worker to see its pay');
        // a lock of an attempt that nobody took up is given back
        const open = async () => (await count(requester, 'lock')) - (await count(requester, 'refunded')) - 1;
        await waitFor(async () => (await open()) === 0, `no second lock to stay open (${moment})`, 30_000);
      }
      await killInArray(requester, joins);
    },
    { settings: FAST_LEASES },
  ));

test.run();
