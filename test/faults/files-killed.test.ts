import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { rawCid } from '../../src/wire/index.ts';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import {
  completed,
  containersOf,
  FAST_LEASES,
  followEvents,
  historyOf,
  moneyOf,
  submit,
  taskBody,
  units,
  withDevnet,
} from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite(
  'faults: killed while large files are on their way, in mid-task, and in the middle of an array',
);

const SIZE = 32 * 2 ** 20;
const PIECE = 2 ** 20;

const COPY = `
import hashlib, shutil
shutil.copyfile('inputs/large.bin', 'outputs/copy.bin')
print(hashlib.sha256(open('outputs/copy.bin', 'rb').read()).hexdigest())`;

interface Upload {
  readonly cid: string;
  readonly digest: string;
}

async function upload({ client }: DaemonProcess, salt: string): Promise<Upload> {
  const hash = createHash('sha256');
  const piece = randomBytes(PIECE);
  async function* pieces() {
    for (let at = 0; at < SIZE; at += PIECE) {
      piece.write(`${salt} ${at} `);
      hash.update(piece);
      yield Buffer.from(piece);
    }
  }
  const { body } = await client.putBlob({ body: Readable.from(pieces()) });
  assert.is(body.size, SIZE);
  return { cid: body.cid, digest: hash.digest('hex') };
}

const copyTask = ({ cid }: Upload) =>
  taskBody(COPY, {
    inputs: [{ target: 'inputs/large.bin', cid }],
    memory_mb: 256,
    disk_mb: SIZE / 2 ** 20 + 8,
    payment_amount: '1',
    avoid: ['self'],
  });

/** The result, its one file as it was sent, and both under the names that their bytes have. */
async function checkCopy(requester: DaemonProcess, taskId: string, { cid, digest }: Upload): Promise<void> {
  const result = await completed(requester, taskId);
  assert.is(result.stdout, `${digest}\n`);
  assert.equal(result.outputs, [{ path: 'copy.bin', size: SIZE, cid }]);
  const { body } = await requester.client.getTaskOutput({ params: { task_id: taskId, path: 'copy.bin' } });
  const pieces: Uint8Array[] = [];
  for await (const piece of body.bytes) pieces.push(piece);
  assert.is(rawCid(Buffer.concat(pieces)), cid);
}

const ELEMENTS = 200;
/** Every tenth fails in its first run. */
const ELEMENT = `
import os, time
time.sleep(0.01)
print(int(os.environ['DUX_ARRAY_INDEX']) ** 2)
raise SystemExit(os.environ['DUX_ARRAY_RUN'] == '1' and int(os.environ['DUX_ARRAY_INDEX']) % 10 == 3)`;

/** A worker dies in the middle of a paid array: all elements complete, the failed ones alone run again, and each is paid for once. */
async function killInArray(requester: DaemonProcess, workers: readonly DaemonProcess[]): Promise<void> {
  const { client } = requester;
  // a lock of what the killed worker had attested stays until its claim
  const before = await moneyOf([requester]);
  const events = await followEvents(requester);
  const id = await submit(
    requester,
    taskBody(ELEMENT, {
      array: { count: ELEMENTS, retries: 1 },
      payment_amount: '0.01',
      avoid: ['self'],
    }),
  );
  const some = await events.first(
    event => event.task_id === id && (event.array?.completed ?? 0) > 2,
    'some to be done',
  );
  const running = await events.first(
    event => event.array_of === id && event.phase === 'executing' && event.at >= some.at,
    'another bundle to run',
  );
  const peers = await Promise.all(workers.map(worker => worker.peer()));
  const killed = workers[peers.indexOf(running.worker as string)];
  await killed?.kill();
  events.stop();
  const { array } = await completed(requester, id);
  assert.equal([array?.completed, array?.failed], [ELEMENTS, 0]);
  await killed?.start([await requester.address()]);
  const params = { task_id: id };
  const { body } = await client.listElements({ params, query: { limit: '1000' } });
  for (const { index, failures } of body.elements) assert.is(failures, index % 10 === 3 ? 1 : 0, `${index}`);
  for (const index of [0, 3, ELEMENTS - 1]) {
    const { body: result } = await client.getTaskResult({ params, query: { index: String(index) } });
    assert.is((result as { stdout?: string }).stdout, `${index ** 2}\n`);
  }
  const bundles = [...new Set(body.elements.map(({ bundle }) => bundle as string))];
  for (const bundle of bundles) {
    const paid = (await historyOf(requester, bundle)).filter(kind => kind === 'paid' || kind === 'split');
    assert.is(paid.length, 1, 'a bundle is paid once');
  }
  // a failed run earns a tenth of an element at least
  const paid = units(array?.paid ?? '0');
  const least = units('0.01') * BigInt(ELEMENTS) + (units('0.001') * BigInt(ELEMENTS)) / 10n;
  assert.ok(paid >= least - BigInt(ELEMENTS) && paid < least + units('0.01'), `${paid} of ${least}`);
  // the notary has its fees back; each is rounded
  const gone = before - (await moneyOf([requester]));
  const off = gone - (paid * 98n) / 100n;
  assert.ok(off <= bundles.length && off >= -bundles.length, `${gone} gone, ${paid} paid`);
}

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

test('files of 32 MiB, a running task and 200 elements survive whoever is killed in the middle', () =>
  withDevnet(
    3,
    async (_net, daemons) => {
      const [notary, requester, other] = daemons as [DaemonProcess, DaemonProcess, DaemonProcess];
      const joins = [await notary.address()];
      const quiet = await upload(requester, 'nobody');
      await checkCopy(requester, await submit(requester, copyTask(quiet)), quiet);

      for (const moment of ['staging', 'collecting'] as const) {
        const sent = await upload(requester, moment);
        const events = await followEvents(requester);
        const taskId = await submit(requester, copyTask(sent));
        await events.first(event => event.task_id === taskId && event.phase === moment, moment);
        await requester.kill();
        events.stop();
        await requester.start(joins);
        await checkCopy(requester, taskId, sent);
      }

      // the notary submits: its death would be another fault
      const sent = await upload(notary, 'worker');
      const events = await followEvents(notary);
      const taskId = await submit(notary, copyTask(sent));
      const staging = await events.first(
        event => event.task_id === taskId && event.phase === 'staging',
        'staging',
      );
      const killed = (await requester.peer()) === staging.worker ? requester : other;
      await killed.kill();
      events.stop();
      await checkCopy(notary, taskId, sent);
      await killed.start(joins);
      await goesOn(requester, other, joins);
      await killInArray(notary, [requester, other]);
    },
    // the second waits for a worker that is started again on a busy machine
    i => ({ settings: i === 1 ? { ...FAST_LEASES, 'market.dead_seconds': '30' } : FAST_LEASES }),
  ));

test.run();
