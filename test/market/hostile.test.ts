import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DuxNode } from '../../src/node/node.ts';
import {
  bidKind,
  offerAnswerMessage,
  offerKind,
  open,
  requesterMessage,
  seal,
  signerFromSeed,
  taskOrderMessage,
  taskRecordMessage,
  workerMessage,
} from '../../src/wire/index.ts';
import { ended, type TestNet, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { codeThrown, gate, openEscrows, seen, withNet } from './support.ts';

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

for (const protocol of ['offer', 'bid', 'status'])
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

test('a replayed award starts nothing, from its own requester or from another', async () => {
  await withNet([notary, {}, notary], async net => {
    const [node, worker, hostile] = net.nodes;
    const { taskId } = await node!.market.tasks.submit(taskRequest());
    await ended(node!, taskId);
    const { award, offer } = await firstAttempt(node!, taskId);
    const order = await orderOf(node!, taskId);
    const message = requesterMessage.encode({ type: 'award', award: award as Uint8Array, offer, ...order });
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

test('a stranger cannot attach to a lease, nor learn of it', async () => {
  const door = gate();
  await withNet([notary, { run: door.run }, notary], async net => {
    const [node, worker, hostile] = net.nodes;
    const { taskId } = await node!.market.tasks.submit(taskRequest());
    await seen(node!, taskId, 'executing', ({ phase }) => phase === 'executing');
    const stream = await hostile!.network.open(worker!.identity.peer, 'task');
    const ref = { taskId, replica: 0, attempt: 1 };
    await stream.send(requesterMessage.encode({ type: 'attach', ...ref, stdoutFrom: 0, stderrFrom: 0 }));
    assert.is(workerMessage.decode((await stream.receive()) as Uint8Array).type, 'unknown');
    await stream.close();
    door.open();
    assert.is((await ended(node!, taskId)).state, 'completed');
  });
});

test('bids of another’s name, above the price or on another offer are not taken', () =>
  withNet([notary, {}, { market: { workerEnabled: false } }], async net => {
    const [node, , hostile] = net.nodes;
    const signer = signerFromSeed(hostile!.identity.seed);
    const { taskId } = await node!.market.tasks.submit(
      taskRequest({ requirePeers: [hostile!.identity.peer] }),
    );
    const sent: Promise<unknown>[] = [];
    let wrong = 0;
    await waitFor(async () => {
      const attempt = (await node!.market.tasks.get(taskId)).attempts.at(-1);
      if (!attempt) return false;
      const { offer } = await firstAttempt(node!, taskId);
      const { body, digest } = open(offerKind, offer);
      const bid = seal(
        bidKind,
        {
          net: body.net,
          taskId,
          replica: 0,
          attempt: body.attempt,
          worker: signer.peer,
          offerHash: wrong % 2 ? digest : new Uint8Array(32),
          ask: body.maxPrice + 1n,
          queuePosition: 0,
          queueMs: 0,
          etaMs: 1,
          imageCached: true,
          bytesMissing: 0,
          reputationHash: null,
          awardSeq: 1,
          expires: Date.now() + 3_000,
        },
        signer,
      );
      wrong++;
      const answer = offerAnswerMessage.encode({ type: 'bid', bid: bid.bytes });
      sent.push(hostile!.network.call(node!.identity.peer, 'bid', answer));
      await Promise.all(sent);
      return wrong >= 4;
    }, 'four wrong bids');
    const view = await ended(node!, taskId);
    assert.is(view.failure?.code, 'NO_WORKER_FITS');
    assert.ok(view.attempts.every(({ worker }) => worker === null));
    assert.is(await openEscrows(node!), 0);
  }));

test('what is too large for a protocol breaks its stream, and costs', () =>
  withNet([notary, {}, notary], async net => {
    const [, honest, hostile] = net.nodes;
    const before = scoreOf(honest!, hostile!.identity.peer);
    const call = hostile!.network.call(honest!.identity.peer, 'offer', new Uint8Array(10_000));
    assert.is.not(await codeThrown(call), 'nothing was thrown');
    assert.ok(scoreOf(honest!, hostile!.identity.peer) <= before);
    const { taskId } = await net.nodes[0]!.market.tasks.submit(taskRequest());
    assert.is((await ended(net.nodes[0]!, taskId)).state, 'completed');
  }));

async function firstAttempt(node: DuxNode, taskId: string) {
  const record = await node.db.repository('tasks', taskRecordMessage).get(taskId);
  return record!.attempts[0]!;
}

async function orderOf(node: DuxNode, taskId: string) {
  return (await node.db.repository('task-orders', taskOrderMessage).get(taskId))!;
}

test.run();
