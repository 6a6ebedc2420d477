import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DuxNode } from '../../src/node/node.ts';
import {
  requesterMessage,
  statusAnswerMessage,
  statusRequestMessage,
  taskOrderMessage,
  taskRecordMessage,
  workerMessage,
} from '../../src/wire/index.ts';
import { ended, type TestNet, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { codeThrown, gate, seen, withNet } from './support.ts';

const test = suite('market: hostile peers');

const notary = { market: { workerEnabled: false } };

const scoreOf = (node: DuxNode, peer: string) =>
  node.network.peers().find(other => other.peer === peer)?.score ?? 0;

/** The hostile peer's standing falls with the honest node, and the honest node still does its work. */
async function costs(
  net: TestNet,
  honest: DuxNode,
  hostile: DuxNode,
  act: () => Promise<unknown>,
): Promise<void> {
  const before = scoreOf(honest, hostile.identity.peer);
  await act();
  await waitFor(() => scoreOf(honest, hostile.identity.peer) < before, 'the score to fall');
  const { taskId } = await net.nodes[0]!.market.tasks.submit(taskRequest());
  assert.is((await ended(net.nodes[0]!, taskId)).state, 'completed');
}

for (const protocol of ['offer', 'bid', 'place', 'claim', 'quote', 'status', 'verdict'])
  test(`garbage as ${protocol} is refused and costs its sender`, () =>
    withNet([notary, {}, notary], async net => {
      const [, honest, hostile] = net.nodes;
      await costs(net, honest!, hostile!, async () => {
        const call = hostile!.network.call(honest!.identity.peer, protocol, Buffer.from('nonsense'));
        assert.is(await codeThrown(call), 'REMOTE');
      });
    }));

test('garbage and a wrong beginning on a task stream are refused and cost their sender', () =>
  withNet([notary, {}, notary], async net => {
    const [, honest, hostile] = net.nodes;
    for (const bytes of [Buffer.from('nonsense'), requesterMessage.encode({ type: 'heartbeat' })])
      await costs(net, honest!, hostile!, async () => {
        const stream = await hostile!.network.open(honest!.identity.peer, 'task');
        await stream.send(bytes);
        assert.is(await codeThrown(stream.receive()), 'STREAM_BROKEN');
      });
  }));

test('an offer in another’s name is refused', () =>
  withNet([notary, {}, notary], async net => {
    const [victim, honest, hostile] = net.nodes;
    const node = victim!;
    const { taskId } = await node.market.tasks.submit(taskRequest());
    await ended(node, taskId);
    const record = await firstAttempt(node, taskId);
    await costs(net, honest!, hostile!, async () => {
      const call = hostile!.network.call(honest!.identity.peer, 'offer', record.offer);
      assert.is(await codeThrown(call), 'REMOTE');
    });
  }));

test('a repeated offer gets the same bid, byte for byte; a stale one costs its sender a little', () =>
  withNet([notary, {}, notary], async net => {
    const [node, worker] = net.nodes;
    const { taskId } = await node!.market.tasks.submit(taskRequest());
    await ended(node!, taskId);
    const { offer } = await firstAttempt(node!, taskId);
    const ask = () => node!.network.call(worker!.identity.peer, 'offer', offer);
    const answers = [await ask(), await ask()];
    assert.equal(answers[0], answers[1]);
    assert.is(scoreOf(worker!, node!.identity.peer), 100);
    net.clock.jump(180_000);
    assert.is(await codeThrown(ask()), 'REMOTE');
    await waitFor(() => scoreOf(worker!, node!.identity.peer) < 100, 'the score to fall');
    assert.ok(scoreOf(worker!, node!.identity.peer) > 98);
  }));

test('a lease cannot be called settled while it runs', async () => {
  const door = gate();
  await withNet([notary, { run: door.run }], async net => {
    const [node, worker] = net.nodes;
    const { taskId } = await node!.market.tasks.submit(taskRequest({ payment: 0n, maxTotal: 0n }));
    await door.entered;
    const stream = await node!.network.open(worker!.identity.peer, 'task');
    const ref = { taskId, replica: 0, attempt: 1, stdoutFrom: 0, stderrFrom: 0, filesDone: 0, fileFrom: 0 };
    await stream.send(requesterMessage.encode({ type: 'attach', ...ref }));
    await stream.send(requesterMessage.encode({ type: 'settled', accept: null, close: null }));
    await waitFor(() => scoreOf(worker!, node!.identity.peer) < 100, 'the score to fall');
    door.open();
    assert.is((await ended(node!, taskId)).state, 'completed');
  });
});

test('a replayed award starts nothing, from its own requester or from another', async () => {
  await withNet([notary, {}, notary], async net => {
    const [node, worker, hostile] = net.nodes;
    const { taskId } = await node!.market.tasks.submit(taskRequest());
    await ended(node!, taskId);
    const { award, offer } = await firstAttempt(node!, taskId);
    const order = await orderOf(node!, taskId);
    const parts = { award: award as Uint8Array, offer, ...order, atOnce: false };
    const message = requesterMessage.encode({ type: 'award', ...parts });
    const executed = () => worker!.market.tasks.stats().worker.executed;
    assert.is(executed(), 1);
    // its own requester again: the same answer, the kept result, no execution
    const stream = await node!.network.open(worker!.identity.peer, 'task');
    await stream.send(message);
    assert.is(workerMessage.decode((await stream.receive()) as Uint8Array).type, 'accepted');
    await stream.close();
    await costs(net, worker!, hostile!, async () => {
      const stolen = await hostile!.network.open(worker!.identity.peer, 'task');
      await stolen.send(message);
      assert.is(await codeThrown(stolen.receive()), 'STREAM_BROKEN');
    });
    assert.is(executed(), 2, 'the first, and the one of the check');
  });
});

test('a settled lease tells its result again for an hour, from the disk, and then nothing', async () => {
  await withNet([notary, {}], async net => {
    const [node, worker] = net.nodes;
    const { taskId } = await node!.market.tasks.submit(taskRequest());
    await ended(node!, taskId);
    const asked = statusRequestMessage.encode({ taskId, replica: 0, attempt: 1 });
    const state = async () =>
      statusAnswerMessage.decode(await node!.network.call(worker!.identity.peer, 'status', asked)).state;
    await waitFor(async () => (await state()) === 'settled', 'the worker to be told');
    await worker!.stop();
    await net.restart(1);
    await net.ready();
    const ref = { taskId, replica: 0, attempt: 1, stdoutFrom: 0, stderrFrom: 0, filesDone: 0, fileFrom: 0 };
    const told = async () => {
      const stream = await node!.network.open(worker!.identity.peer, 'task');
      await stream.send(requesterMessage.encode({ type: 'attach', ...ref }));
      const { type } = workerMessage.decode((await stream.receive()) as Uint8Array);
      await stream.close();
      return type;
    };
    assert.is(await told(), 'result');
    net.clock.jump(3_601_000);
    await waitFor(async () => (await told()) === 'unknown', 'the lease to be forgotten');
  });
});

test('a stranger cannot attach to a lease, nor learn of it', async () => {
  const door = gate();
  await withNet([notary, { run: door.run }, notary], async net => {
    const [node, worker, hostile] = net.nodes;
    const { taskId } = await node!.market.tasks.submit(taskRequest());
    await seen(node!, taskId, 'executing', ({ phase }) => phase === 'executing');
    const stream = await hostile!.network.open(worker!.identity.peer, 'task');
    const ref = { taskId, replica: 0, attempt: 1 };
    await stream.send(
      requesterMessage.encode({
        type: 'attach',
        ...ref,
        stdoutFrom: 0,
        stderrFrom: 0,
        filesDone: 0,
        fileFrom: 0,
      }),
    );
    assert.is(workerMessage.decode((await stream.receive()) as Uint8Array).type, 'unknown');
    await stream.close();
    door.open();
    assert.is((await ended(node!, taskId)).state, 'completed');
  });
});

async function firstAttempt(node: DuxNode, taskId: string) {
  const record = await node.db.repository('tasks', taskRecordMessage).get(taskId);
  return record!.attempts[0]!;
}

async function orderOf(node: DuxNode, taskId: string) {
  return (await node.db.repository('task-orders', taskOrderMessage).get(taskId))!;
}

test.run();
