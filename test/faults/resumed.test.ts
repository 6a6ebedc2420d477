import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import {
  completed,
  containersOf,
  FAST_LEASES,
  historyOf,
  submit,
  taskBody,
  withDevnet,
} from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('faults: a resumable task whose worker is killed');

const STEPS = 80;
const COUNT = `
import threading
for i in range(${STEPS}):
    print(i, flush=True)
    threading.Event().wait(0.05)
open('outputs/end', 'w').write('kept')`;

/** A resumable task counts while its worker is killed and started again: nobody sees that in what it says. */
async function goesOn(
  requester: DaemonProcess,
  worker: DaemonProcess,
  joins: readonly string[],
): Promise<void> {
  const peer = await worker.peer();
  const body = taskBody(COUNT, { resumable: true, require: [peer], payment_amount: '1' });
  const taskId = await submit(requester, body);
  const logs = await requester.client.getTaskLogs({ params: { task_id: taskId }, query: { follow: '1' } });
  let said = '';
  let before: string[] = [];
  for await (const { text, offset } of logs.body) {
    assert.is(offset, said.length);
    said += text;
    if (before.length > 0 || !said.includes('\n5\n')) continue;
    await worker.kill();
    before = await containersOf(peer);
    await worker.start(joins);
    const kept = async () => (await containersOf(peer)).filter(id => before.includes(id)).length;
    await waitFor(async () => (await kept()) <= 1, 'what waited for tasks to be removed');
  }
  const all = Array.from({ length: STEPS }, (_, i) => `${i}\n`).join('');
  const result = await completed(requester, taskId);
  assert.equal([said, result.stdout], [all, all]);
  assert.equal(
    result.outputs.map(({ path, size }) => [path, size]),
    [['end', 4]],
  );
  assert.ok((result.usage?.wall_ms ?? 0) >= STEPS * 50);
  const { body: task } = await requester.client.getTask({ params: { task_id: taskId } });
  assert.equal(
    task.attempts.map(({ worker, error }) => [worker, error]),
    [[peer, null]],
  );
  assert.match(worker.output, 'a task went on while the node was away');
  await waitFor(async () => (await historyOf(worker, taskId)).includes('paid'), 'the worker to be paid');
  assert.equal(await historyOf(requester, taskId), ['paid', 'lock']);
}

test('the worker is killed and started again, and its task goes on where it is', () =>
  withDevnet(
    2,
    async (net, [requester, worker]) => goesOn(requester!, worker!, [await net.daemons[0]!.address()]),
    // the requester waits for a worker that is started again on a busy machine
    { settings: { ...FAST_LEASES, 'market.dead_seconds': '30' } },
  ));

test.run();
