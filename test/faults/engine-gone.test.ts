import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createPrivateEngine } from '../docker/private-engine.ts';
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

const test = suite('faults: the Docker engine goes away');

/** A second engine on this machine takes root. */
const testAsRoot = process.getuid?.() === 0 ? test : test.skip;

async function dockerHealth(daemon: DaemonProcess) {
  return (await daemon.client.getHealth()).body.docker;
}

testAsRoot(
  'the task is retried elsewhere, the node says so, and works again when its engine is back',
  async () => {
    const engine = await createPrivateEngine();
    try {
      await engine.start();
      await engine.loadBaseImage();
      await withDevnet(
        2,
        async (net, [requester, other]) => {
          if (!requester || !other) throw new Error('two nodes were started');
          const env = { DOCKER_HOST: `unix://${engine.socketPath}` };
          const fragile = await net.add({ settings: FAST_LEASES, env });
          await net.ready();
          const fragilePeer = await fragile.peer();
          assert.is((await dockerHealth(fragile)).status, 'ok');

          await other.client.stopEngine();
          const events = await followEvents(requester);
          const code = 'import time\ntime.sleep(1.5)\nprint("done")';
          const taskId = await submit(requester, taskBody(code, { payment_amount: '1', avoid: ['self'] }));
          const running = await events.first(event => event.phase === 'executing', 'executing');
          assert.is(running.worker, fragilePeer);
          await other.client.startEngine();
          const dead = await containersOf(fragilePeer, engine.docker);
          assert.ok(dead.length > 0);
          await engine.crash();

          const result = await completed(requester, taskId);
          assert.is(result.worker, await other.peer());
          assert.is(result.stdout, 'done\n');
          events.stop();
          const { body: task } = await requester.client.getTask({ params: { task_id: taskId } });
          assert.is(task.attempts[0]?.error?.class, 'worker');
          const health = await dockerHealth(fragile);
          assert.is(health.status, 'degraded');
          assert.match(health.detail ?? '', 'Docker');
          const kinds = async () => (await historyOf(requester, taskId)).sort();
          await waitFor(
            async () => (await kinds()).includes('refunded'),
            'the first lock to come back',
            30_000,
          );
          assert.equal(await kinds(), ['lock', 'lock', 'paid', 'refunded']);

          await engine.start();
          await waitFor(
            async () => (await dockerHealth(fragile)).status === 'ok',
            'the node to see its engine',
          );
          const again = await submit(requester, taskBody('print(2)', { require: [fragilePeer] }));
          assert.is((await completed(requester, again)).worker, fragilePeer);
          const left = async () =>
            (await containersOf(fragilePeer, engine.docker)).filter(id => dead.includes(id));
          await waitFor(async () => (await left()).length === 0, 'the containers of the crash to be gone');
        },
        { settings: FAST_LEASES },
      );
    } finally {
      await engine.close();
    }
  },
);

test.run();
