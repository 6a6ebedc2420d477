import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lockFor } from '../../src/market/terms.ts';
import type { DuxNode } from '../../src/node/node.ts';
import { type Metrics, noMetrics } from '../../src/util/index.ts';
import {
  awardKind,
  bidKind,
  type Decided,
  encodeCbor,
  fundsKind,
  type Lock,
  ledgerAnswerMessage,
  ledgerOrderKind,
  ledgerRequestMessage,
  offerAnswerMessage,
  offerKind,
  open,
  orderKind,
  requesterMessage,
  type Signer,
  saltedSpecHash,
  seal,
  sha256,
  signerFromSeed,
  taskIdOf,
  taskOrderMessage,
  taskRecordMessage,
  taskSpecMessage,
  workerMessage,
} from '../../src/wire/index.ts';
import { ended, FLOP, type TestNet, taskRequest } from '../fixtures/nodes.ts';
import { codeThrown, gate, withNet } from './support.ts';

const test = suite('market: proof of funds, and locks');

const idle = { market: { workerEnabled: false } };
const NET = new Uint8Array(32);

/** A requester whose every message is made by hand, after one deal in good order. */
async function forger(net: TestNet) {
  const [founder, worker, payer] = net.nodes as [DuxNode, DuxNode, DuxNode];
  const signer = signerFromSeed(payer.identity.seed);
  const notary = signerFromSeed(founder.identity.seed);
  const { taskId } = await payer.market.tasks.submit(taskRequest());
  await ended(payer, taskId);
  const [attempt] = (await payer.db.repository('tasks', taskRecordMessage).get(taskId))!.attempts;
  const { salt, spec } = (await payer.db.repository('task-orders', taskOrderMessage).get(taskId))!;
  const offered = open(offerKind, attempt!.offer).body;
  const awarded = open(awardKind, attempt!.award as Uint8Array).body;
  let orders = 0;

  function statement(change: object = {}, by: Signer = notary): Uint8Array {
    const body = { net: offered.net, account: payer.identity.peer, balance: 5n * FLOP, member: true };
    return seal(fundsKind, { ...body, at: net.clock.now(), ...change }, by).bytes;
  }

  /** An offer of 5 FLOP for a new task, and what the worker says to it. */
  async function ask(funds: Uint8Array | null) {
    const nonce = sha256(encodeCbor(++orders));
    const hash = saltedSpecHash(salt, taskSpecMessage.decode(spec));
    const order = seal(
      orderKind,
      { net: offered.net, requester: signer.peer, nonce, saltedSpecHash: hash },
      signer,
    );
    const offer = seal(
      offerKind,
      { ...offered, taskId: taskIdOf(order), issuedAt: net.clock.now(), funds },
      signer,
    );
    const bytes = await payer.network.call(worker.identity.peer, 'offer', offer.bytes);
    return { order, offer, answer: offerAnswerMessage.decode(bytes) };
  }

  async function answerTo(funds: Uint8Array | null): Promise<string> {
    const { answer } = await ask(funds);
    return answer.type === 'bid' ? 'bid' : answer.refusal.code;
  }

  /** A deal up to the worker's acceptance, and the stream that it came on. */
  async function accepted() {
    const { order, offer, answer } = await ask(statement());
    const bid = open(bidKind, answer.type === 'bid' ? answer.bid : new Uint8Array());
    const { taskId } = offer.body;
    const hashes = { offerHash: offer.digest, bidHash: bid.digest };
    const award = seal(
      awardKind,
      {
        ...awarded,
        taskId,
        ...hashes,
        specHash: order.body.saltedSpecHash,
        price: bid.body.ask,
        awardedAt: net.clock.now(),
      },
      signer,
    );
    const stream = await payer.network.open(worker.identity.peer, 'task');
    const parts = { award: award.bytes, offer: offer.bytes, order: order.bytes, salt, spec };
    await stream.send(requesterMessage.encode({ type: 'award', atOnce: false, ...parts }));
    assert.is(workerMessage.decode((await stream.receive())!).type, 'accepted');
    const { replica, attempt } = award.body;
    const lock: Lock = { op: 'lock', taskId, replica, attempt, ...lockFor(award.body, offer.body.terms) };
    return { lock, stream };
  }

  /** Has a lock decided, as the next order of its signer. */
  async function certified(lock: Lock, by: Signer, seq: number): Promise<Decided> {
    const order = seal(ledgerOrderKind, { net: offered.net, account: by.peer, seq, ops: [lock] }, by);
    const request = ledgerRequestMessage.encode({ type: 'submit', values: [order.bytes] });
    const answer = ledgerAnswerMessage.decode(
      await payer.network.call(founder.identity.peer, 'ledger', request),
    );
    const [outcome] = answer.type === 'outcomes' ? answer.outcomes : [];
    if (!outcome?.ok) throw new Error(`the lock was refused: ${outcome?.code}`);
    return outcome.decided;
  }

  return { founder, worker, payer, signer, notary, statement, ask, answerTo, accepted, certified };
}

test('a paid offer needs a proof of funds that notaries signed for its requester, lately', () =>
  withNet([idle, {}, idle], async net => {
    const { founder, signer, statement, ask, answerTo } = await forger(net);
    const now = net.clock.now();
    for (const none of [
      null,
      statement({}, signer),
      statement({ account: founder.identity.peer }),
      statement({ net: NET }),
      statement({ at: now - 70_000 }),
      statement({ at: now + 70_000 }),
    ])
      assert.is(await answerTo(none), 'NO_FUNDS_PROOF');
    assert.is(await answerTo(statement({ balance: 5n * FLOP - 1n })), 'FUNDS');
    assert.is(await codeThrown(ask(Buffer.from('nonsense'))), 'REMOTE');
    assert.is(await answerTo(statement()), 'bid');
  }));

test('a worker starts on nothing but the certified lock of the terms that it signed', async () => {
  const door = gate();
  door.open();
  const breaches: string[] = [];
  const metrics: Metrics = {
    ...noMetrics,
    count(name, labels) {
      if (name === 'network_breaches_total') breaches.push(String(labels?.reason));
    },
  };
  await withNet(
    [idle, { run: door.run, metrics }, idle],
    async net => {
      const { worker, payer, signer, notary, statement, answerTo, accepted, certified } = await forger(net);
      const ran = door.count();
      const { lock, stream } = await accepted();
      assert.is(await answerTo(statement()), 'FUNDS', 'the same money proves nothing a second time');
      let seq = 1;
      const wrong = [
        await certified({ ...lock, amount: lock.amount - 1n }, signer, seq++),
        await certified({ ...lock, termsHash: NET }, signer, seq++),
        await certified({ ...lock, claimBy: lock.claimBy - 1 }, signer, seq++),
        await certified({ ...lock, attempt: lock.attempt + 1 }, signer, seq++),
        await certified(lock, notary, 0),
      ];
      const right = await certified(lock, signer, seq);
      const value = seal(
        ledgerOrderKind,
        { net: NET, account: signer.peer, seq: 9, ops: [lock] },
        signer,
      ).bytes;
      wrong.push({ ...right, value });
      const { taskId, replica, attempt } = lock;
      const from = { stdoutFrom: 0, stderrFrom: 0, filesDone: 0, fileFrom: 0 };
      const again = requesterMessage.encode({ type: 'attach', taskId, replica, attempt, ...from });
      let way = stream;
      for (const decided of wrong) {
        await way.send(requesterMessage.encode({ type: 'locked', lock: decided }));
        const broken = async () => {
          while (await way.receive());
        };
        assert.is(await codeThrown(broken()), 'STREAM_BROKEN');
        way = await payer.network.open(worker.identity.peer, 'task');
        await way.send(again);
      }
      assert.is(door.count(), ran);
      await way.send(requesterMessage.encode({ type: 'locked', lock: right }));
      for (let type = ''; type !== 'result'; ) type = workerMessage.decode((await way.receive())!).type;
      assert.is(door.count(), ran + 1);
      assert.equal(breaches, [
        ...['LOCK_DIFFERS', 'LOCK_DIFFERS', 'LOCK_DIFFERS', 'LOCK_NOT_FOUND', 'LOCK_DIFFERS'],
        'CERTIFICATE_INVALID',
      ]);
      assert.is(await answerTo(statement()), 'bid', 'what is locked is promised no more');
      await way.close();
    },
    { open: 6 },
  );
});

test.run();
