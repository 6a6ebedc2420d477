import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import {
  command,
  completed,
  FAST_LEASES,
  followEvents,
  historyOf,
  submit,
  taskBody,
  withDevnet,
} from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('faults: the only notary is away');

/** One payment; every other lock has come back. */
async function paidOnce(requester: DaemonProcess, worker: DaemonProcess, taskId: string): Promise<void> {
  const count = async (daemon: DaemonProcess, kind: string) =>
    (await historyOf(daemon, taskId)).filter(found => found === kind).length;
  assert.is(await count(requester, 'paid'), 1);
  await waitFor(async () => (await count(worker, 'paid')) === 1, 'the worker to see its pay', 40_000);
  const open = async () => (await count(requester, 'lock')) - (await count(requester, 'refunded')) - 1;
  await waitFor(async () => (await open()) === 0, 'unused locks to come back', 40_000);
}

test('frozen while a task is awarded, killed while one runs: nothing is lost, each is paid once it is back', () =>
  withDevnet(
    3,
    async (_net, daemons) => {
      const [notary, requester, worker] = daemons as [DaemonProcess, DaemonProcess, DaemonProcess];
      const body = { payment_amount: '1', require: [await worker.peer()] };
      const events = await followEvents(requester);

      notary.signal('SIGSTOP');
      const frozen = await submit(requester, taskBody('print("frozen")', body));
      const gaveUp = () => worker.output.includes('"code":"LOCK_MISSING"');
      await waitFor(gaveUp, 'the worker to give up waiting for the lock', 30_000);
      const waiting = (await requester.client.getTaskStatus({ params: { task_id: frozen } })).body;
      assert.is(waiting.error, null);
      assert.is(waiting.ended_at, null);
      notary.signal('SIGCONT');
      assert.is((await completed(requester, frozen)).stdout, 'frozen\n');
      await paidOnce(requester, worker, frozen);

      const code = 'import time\ntime.sleep(1)\nprint("killed")';
      const killed = await submit(requester, taskBody(code, body));
      const at = (phase: string) =>
        events.first(event => event.task_id === killed && event.phase === phase, phase);
      await at('executing');
      await notary.kill();
      await at('settling');
      const early = await requester.client.getTaskResult({ params: { task_id: killed } });
      assert.is(early.status, 200, 'the user has the result before the money is settled');
      await notary.start();
      assert.is((await completed(requester, killed)).stdout, 'killed\n');
      await paidOnce(requester, worker, killed);
      events.stop();

      // Without its ledger it would decide again on what it has decided: it does not start, until the ledger is back.
      await notary.stop();
      const [db, aside] = ['db', 'db-aside'].map(name => join(notary.dataDir, name)) as [string, string];
      await rename(db, aside);
      const refused = await command(['start', '--data', notary.dataDir, '--api-port', '0']);
      assert.is(refused.code, 1);
      assert.match(refused.stderr, /^duxnode: this notary has signed what its ledger knows nothing of.*\n$/m);
      await rm(db, { recursive: true });
      await rename(aside, db);
      await notary.start();
      assert.is((await notary.client.getHealth()).body.ledger.status, 'ok');
    },
    { settings: FAST_LEASES },
  ));

test.run();
