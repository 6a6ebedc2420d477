import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { rawCid } from '../../src/wire/index.ts';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import { completed, FAST_LEASES, followEvents, submit, taskBody, withDevnet } from '../fixtures/processes.ts';

const test = suite('faults: killed while large files are on their way');

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

test('32 MiB go to a worker and come back, whoever is killed in the middle', () =>
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
    },
    { settings: FAST_LEASES },
  ));

test.run();
