import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { reportReceipt, type TaskEventReply } from '../../src/api/index.ts';
import { rawCid, taskPhaseSchema } from '../../src/wire/index.ts';
import { type Registry, withRegistry } from '../docker/registry.ts';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import {
  commandBody,
  completed,
  engine,
  FAST_LEASES,
  followEvents,
  submit,
  withDevnet,
} from '../fixtures/processes.ts';
import { killInArray } from './array-killed.ts';
import { auditTasks } from './audit.ts';

const test = suite('faults: kill -9 in each phase, and in the middle of an array');

/** Everything that a task goes through before it is done. */
const PHASES = taskPhaseSchema.exclude(['done']).options;
type Phase = (typeof PHASES)[number];

/** What is on its way in these phases takes so long that a kill comes in the middle of it. */
const LARGE: readonly Phase[] = ['staging', 'collecting'];
const LARGE_BYTES = 16 * 2 ** 20;
const BASE = 'duxnode/shell:base';
const COMMAND = 'cp inputs/data outputs/copy && sleep 0.3 && sha256sum < outputs/copy';

interface Sent {
  readonly taskId: string;
  readonly cid: string;
  readonly digest: string;
}

async function send(requester: DaemonProcess, phase: Phase, image: string): Promise<Sent> {
  const bytes = randomBytes(LARGE.includes(phase) ? LARGE_BYTES : 1000);
  const { body } = await requester.client.putBlob({ body: Readable.from([bytes]) });
  const taskId = await submit(
    requester,
    commandBody(COMMAND, {
      image,
      inputs: [{ target: 'inputs/data', cid: body.cid }],
      memory_mb: 128,
      // one of them on a disk of its own, which is a mount of the machine
      disk_mb: phase === 'executing' ? 512 : LARGE_BYTES / 2 ** 20 + 8,
      payment_amount: '1',
    }),
  );
  return { taskId, cid: body.cid, digest: createHash('sha256').update(bytes).digest('hex') };
}

/** The result, its one file as it was sent, and the receipt of its payment. */
async function check(requester: DaemonProcess, { taskId, cid, digest }: Sent): Promise<void> {
  const { stdout, outputs } = await completed(requester, taskId);
  assert.is(stdout, `${digest}  -\n`);
  assert.equal(
    outputs.map(({ path, cid }) => ({ path, cid })),
    [{ path: 'copy', cid }],
  );
  const file = await requester.client.getTaskOutput({ params: { task_id: taskId, path: 'copy' } });
  const pieces: Uint8Array[] = [];
  for await (const piece of file.body.bytes) pieces.push(piece);
  assert.is(rawCid(Buffer.concat(pieces)), cid);
  const { body } = await requester.client.getTaskReceipt({ params: { task_id: taskId } });
  assert.is(reportReceipt(body).receipt?.settlement, 'paid');
}

/** The files of a base image, as one layer. */
async function layerOf(image: string): Promise<Buffer> {
  const container = await engine.createContainer({ Image: image });
  try {
    const pieces: Buffer[] = [];
    for await (const piece of await container.export()) pieces.push(piece as Buffer);
    return Buffer.concat(pieces);
  } finally {
    await container.remove();
  }
}

test('the requester’s, then the worker’s: every task completes, paid once, with a receipt', async () => {
  const layer = await layerOf(BASE);
  // one for each round, with a small layer of its own, that is held while it is pulled
  const images = { 'shell:1': [layer, 100], 'shell:2': [layer, 100] };
  const round = async (
    registry: Registry,
    image: keyof typeof images,
    [notary, requester]: readonly DaemonProcess[],
    victim: (worker: string | null) => DaemonProcess,
    then: (sent: Sent) => unknown,
  ) => {
    const ref = `${registry.host}/${image}`;
    if (!notary || !requester) throw new Error('two nodes were started');
    try {
      for (const phase of PHASES) {
        const isPulling = phase === 'pulling';
        const events = await followEvents(requester);
        if (isPulling) registry.hold();
        const sent = await send(requester, phase, isPulling ? ref : BASE);
        const isIt = (event: TaskEventReply) => event.task_id === sent.taskId && event.phase === phase;
        const { worker } = await events.first(isIt, phase);
        const killed = victim(worker);
        await killed.kill();
        events.stop();
        registry.release();
        await killed.start([await notary.address()]);
        await then(sent);
      }
    } finally {
      await engine.getImage(ref).remove({ force: true });
    }
  };
  await withRegistry(
    registry =>
      withDevnet(
        4,
        async (_net, daemons) => {
          const requester = daemons[1] as DaemonProcess;
          const names = await Promise.all(daemons.map(daemon => daemon.peer()));
          // each next one is killed while what was killed before is still being taken up
          const sent: Sent[] = [];
          await round(
            registry,
            'shell:1',
            daemons,
            () => requester,
            one => sent.push(one),
          );
          for (const one of sent) await check(requester, one);
          const byName = (peer: string | null) => daemons[peer ? names.indexOf(peer) : 2] as DaemonProcess;
          await round(registry, 'shell:2', daemons, byName, one => check(requester, one));
          await auditTasks(daemons);
          const [notary, , ...workers] = daemons;
          // the notary submits: its death would be another fault
          await killInArray(notary as DaemonProcess, workers);
        },
        index => ({ settings: { ...FAST_LEASES, 'worker.enabled': String(index > 1) } }),
      ),
    images,
  );
});

test.run();
