import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import { completed, submit, taskBody, withDevnet } from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('e2e: machines without Docker');

const NO_DOCKER = { DOCKER_HOST: 'unix:///nonexistent/docker.sock' };

test('with bubblewrap a task runs natively, and its receipt says so; with neither a node still submits', () =>
  withDevnet(
    1,
    async (net, [native]) => {
      // no bubblewrap is found either, nor anything but Node
      const bin = join(net.dir, 'bin');
      await mkdir(bin);
      await symlink(process.execPath, join(bin, 'node'));
      const bare = await net.add({ env: { ...NO_DOCKER, PATH: bin } });
      await net.ready();
      if (!native) throw new Error('one node was started');
      assert.is((await native.client.getNode()).body.sandbox.runtime, 'native');
      assert.match(native.output, 'no Docker engine answers: tasks run natively, in bubblewrap');

      const { sandbox } = (await bare.client.getNode()).body;
      assert.is(sandbox.available, false);
      assert.match(sandbox.reason ?? '', /start Docker .* or install bubblewrap/);
      assert.match(bare.output, 'this node takes no tasks, but it can submit');
      assert.is((await bare.client.getHealth()).body.docker.status, 'degraded');

      const paid = await submit(bare, taskBody('print("done")', { payment_amount: '1' }));
      const result = await completed(bare, paid);
      assert.is(result.worker, await native.peer());
      assert.is(result.stdout, 'done\n');
      assert.is(result.runtime, 'native');
      assert.is((await checked(bare, paid)).receipt?.runtime, 'native');

      const own = await submit(bare, taskBody('print(1)', { require: ['self'], timeout_seconds: 5 }));
      const refusals = async () =>
        (await bare.client.getTask({ params: { task_id: own } })).body.attempts[0]?.bids ?? [];
      await waitFor(async () => (await refusals()).length > 0, 'the node’s own refusal');
      const [{ refusal } = { refusal: null }] = await refusals();
      assert.is(refusal?.code, 'NO_SANDBOX');
      assert.match(refusal?.reason ?? '', /install bubblewrap/);
      await bare.client.cancelTask({ params: { task_id: own } });
    },
    { env: NO_DOCKER },
  ));

/** What the offline check says of a task's receipt. */
async function checked(daemon: DaemonProcess, taskId: string) {
  const { body: receipt } = await daemon.client.getTaskReceipt({ params: { task_id: taskId } });
  const { body: report } = await daemon.client.verifyReceipt({ body: receipt });
  assert.is(report.valid, true);
  return report;
}

test.run();
