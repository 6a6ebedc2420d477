import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ended, FLOP, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { paidEscrows, withNet } from './support.ts';

const test = suite('market: load');

const TASKS_EACH = 40;

test(`${TASKS_EACH} paid tasks from each of three nodes at once all complete, and each is paid once`, () =>
  withNet(
    // enough silence for 120 tasks, three nodes and a ledger on one thread
    [1, 2, 3].map(() => ({ market: { heartbeatMs: 1_000, suspectMs: 10_000, deadMs: 20_000 } })),
    async net => {
      const ids = await Promise.all(
        net.nodes.map(node =>
          Promise.all(
            Array.from(
              { length: TASKS_EACH },
              async () => (await node.market.tasks.submit(taskRequest())).taskId,
            ),
          ),
        ),
      );
      for (const [i, node] of net.nodes.entries()) {
        const views = await Promise.all(ids[i]!.map(taskId => ended(node, taskId, 200_000)));
        assert.equal([...new Set(views.map(({ state }) => state))], ['completed']);
        assert.ok(views.every(({ payment }) => payment?.state === 'released'));
        assert.is(node.market.tasks.stats().completed, TASKS_EACH);
      }
      assert.is(await paidEscrows(net.nodes[0]!), 3 * TASKS_EACH);
      await waitFor(
        () => net.nodes.every(({ settlement }) => settlement.balance().incoming === 0n),
        'workers to know that they are paid',
        30_000,
      );
      await Promise.all(net.nodes.map(({ settlement }) => settlement.sync()));
      const all = net.nodes.reduce((sum, { settlement }) => sum + settlement.balance().free, 0n);
      assert.is(all, 1_000_000n * FLOP);
    },
  ));

test.run();
