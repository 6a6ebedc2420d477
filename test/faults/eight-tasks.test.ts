import { readdir } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createPrivateEngine, type PrivateEngine } from '../docker/private-engine.ts';
import type { DaemonProcess, Devnet } from '../fixtures/daemons.ts';
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
import { tracesOf, untraced } from '../fixtures/traces.ts';
import { waitFor } from '../fixtures/wait.ts';

const TASKS = 8;
const CODE = 'import time\nopen("outputs/x", "w").write("kept")\ntime.sleep(7)\nprint("done")';
/** So many on disks of their own, which are mounts of the machine. */
const OWN_DISKS = 3;
const BODIES = Array.from({ length: TASKS }, (_, i) =>
  taskBody(CODE, { payment_amount: '1', disk_mb: i < OWN_DISKS ? 512 : 16 }),
);

/** Eight tasks that start at once may keep two busy cores from anything else for some seconds. */
const LEASES = { ...FAST_LEASES, 'market.suspect_seconds': '3', 'market.dead_seconds': '6' };

const test = suite('faults: eight tasks at once');
/** A second engine, disks and control groups take root. */
const testAsRoot = process.getuid?.() === 0 ? test : test.skip;

/** What a node keeps beside its database and blobs while tasks run: disks, mounted inputs, boxes, pipes, proxies. */
async function temporaryFiles({ dataDir }: DaemonProcess): Promise<string[]> {
  const names = await readdir(dataDir, { recursive: true });
  return names.filter(name => /^(disks|inputs|egress|sandbox\/(boxes|pipes)|blobs\/incoming)\/./.test(name));
}

/** Eight paid tasks run on one worker when the engine below it is killed; another takes them over. */
async function eightTasks(engine: PrivateEngine): Promise<void> {
  const { docker } = engine;
  const words: string[] = [];
  await withDevnet(
    1,
    async (net, [requester]) => {
      if (!requester) throw new Error('one node was started');
      const [worker, other] = await addWorkers(net, { DOCKER_HOST: `unix://${engine.socketPath}` });
      const peer = await worker.peer();
      await other.client.stopEngine();
      const events = await followEvents(requester);
      const ids = await Promise.all(BODIES.map(body => submit(requester, body)));
      for (const id of ids)
        await events.first(event => event.task_id === id && event.phase === 'executing', 'executing');
      events.stop();
      const containers = await containersOf(peer, docker);
      words.push(net.dir, `duxnode/${peer}`, ...containers);
      assert.ok((await tracesOf(words)).length >= TASKS, 'they leave traces while they run');
      const files = await temporaryFiles(worker);
      assert.ok(files.length >= 2 * OWN_DISKS, 'an image and where it is mounted');

      await engine.crash();
      await other.client.startEngine();
      for (const id of ids) {
        const result = await completed(requester, id);
        assert.is(result.stdout, 'done\n');
        assert.is(result.worker, await other.peer());
        assert.equal(
          result.outputs.map(({ path }) => path),
          ['x'],
        );
        const { body: task } = await requester.client.getTask({ params: { task_id: id } });
        assert.is(task.attempts[0]?.worker, peer);
        assert.is(task.attempts[0]?.error?.class, 'worker');
      }
      const health = async () => (await worker.client.getHealth()).body.docker;
      const { status, detail } = await health();
      assert.is(status, 'degraded');
      assert.match(detail ?? '', 'Docker');
      await engine.start();
      await waitFor(async () => (await health()).status === 'ok', 'the node to see its engine', 30_000);
      const again = await submit(requester, taskBody('print(2)', { require: [peer] }));
      assert.is((await completed(requester, again)).worker, peer);
      for (const id of ids) {
        assert.not((await historyOf(worker, id)).includes('paid'));
        const kinds = async () => (await historyOf(requester, id)).sort();
        await waitFor(
          async () => (await kinds()).includes('refunded'),
          'the first lock to come back',
          60_000,
        );
        assert.equal(await kinds(), ['lock', 'lock', 'paid', 'refunded']);
      }
      const left = async () => (await containersOf(peer, docker)).filter(id => containers.includes(id));
      await waitFor(async () => (await left()).length === 0, 'the containers to be gone', 30_000);
      await untraced([`${worker.dataDir}/disks`, ...containers]);
      const remaining = async () => (await temporaryFiles(worker)).filter(name => files.includes(name));
      await waitFor(async () => (await remaining()).length === 0, 'temporary files to be gone', 30_000);
    },
    { settings: { ...LEASES, 'worker.enabled': 'false' } },
  );
  await untraced(words);
}

async function addWorkers(
  net: Devnet,
  env: Readonly<Record<string, string>>,
): Promise<[DaemonProcess, DaemonProcess]> {
  const worker = await net.add({ settings: LEASES, env });
  const other = await net.add({ settings: LEASES });
  await net.ready();
  return [worker, other];
}

testAsRoot('kill -9 of the Docker engine below them', async () => {
  const engine = await createPrivateEngine();
  try {
    await engine.start();
    await engine.loadBaseImage();
    await eightTasks(engine);
  } finally {
    await engine.close();
  }
});

test.run();
