import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultMarketOptions } from '../../src/market/index.ts';
import { Acquaintances } from '../../src/market/requester/acquaintances.ts';
import { AuctionHouse } from '../../src/market/requester/auction.ts';
import type { RequesterComponents } from '../../src/market/requester/interface.ts';
import { LiveTask } from '../../src/market/requester/task-store.ts';
import { NO_EXPERIENCE } from '../../src/reputation/index.ts';
import { noMetrics, silentLogger, systemClock } from '../../src/util/index.ts';
import {
  type Bid,
  type Offer,
  type Opened,
  offerAnswerMessage,
  offerKind,
  open,
  orderKind,
  type Signer,
  seal,
  signerFromSeed,
  type TaskRecord,
  taskIdOf,
} from '../../src/wire/index.ts';
import { bidOf } from '../fixtures/bids.ts';
import { taskRequest } from '../fixtures/nodes.ts';
import { randomOf } from '../fixtures/random.ts';

const test = suite('market: auction');

const net = new Uint8Array(32).fill(1);
const other = new Uint8Array(32).fill(9);
const [requester, bidder, stranger] = [11, 12, 13].map(fill =>
  signerFromSeed(new Uint8Array(32).fill(fill)),
) as [Signer, Signer, Signer];
const request = taskRequest({ payment: 100n, maxTotal: 200n });
const order = seal(
  orderKind,
  { net, requester: requester.peer, nonce: other, saltedSpecHash: other },
  requester,
);

function houseOn(network: Record<string, unknown>): AuctionHouse {
  return new AuctionHouse(
    {
      network,
      signer: requester,
      genesis: { net, genesis: { minAmount: 10n } },
      // a window that keeps the process alive
      clock: {
        ...systemClock,
        after: (ms: number, fn: () => void) => clearTimeout.bind(null, setTimeout(fn, ms)),
      },
      metrics: noMetrics,
      logger: silentLogger,
      settlement: { funds: () => null },
      experience: { of: () => NO_EXPERIENCE, isDoubtful: () => false },
      random: () => 0.5,
      options: defaultMarketOptions,
    } as unknown as RequesterComponents,
    () => 1,
  );
}

const taskWith = (record: Partial<TaskRecord>) =>
  new LiveTask({
    taskId: taskIdOf(order),
    policy: request.policy,
    attempts: [],
    ...record,
  } as unknown as TaskRecord);

/** One auction in which `bidder` is asked, stays silent, and sends `answer` as if it had heard the gossip. */
async function auction(
  answer: (offer: Opened<Offer>) => Uint8Array,
  record: Partial<TaskRecord> = { failedWorkers: [] },
) {
  const reports: string[] = [];
  const house = houseOn({
    peers: () => [{ peer: bidder.peer }],
    rtt: () => 0,
    call: () => new Promise(() => undefined),
    report: (peer: string) => reports.push(peer),
    publish: async (_topic: string, bytes: Uint8Array) =>
      house.answer(answer(open(offerKind, bytes)), bidder.peer),
  });
  const init = { attempt: 1, selfOnly: false, round: 0 };
  const { bids } = await house.run(taskWith(record), request.spec, init);
  return { bids: bids.map(({ bid }) => bid.body.worker), reports };
}

function bidOn(offer: Opened<Offer>, change: Partial<Bid> = {}, signer = bidder): Uint8Array {
  const bid = bidOf(offer, signer, { worker: bidder.peer, ...change });
  return offerAnswerMessage.encode({ type: 'bid', bid: bid.bytes });
}

test('a sound bid is taken', async () => {
  assert.equal(await auction(offer => bidOn(offer)), { bids: [bidder.peer], reports: [] });
});

const failed = (...classes: ('network' | 'worker')[]): Partial<TaskRecord> => ({
  failedWorkers: [bidder.peer],
  attempts: classes.map(of => ({
    worker: bidder.peer,
    failure: { class: of, code: 'X', message: '' },
  })) as unknown as TaskRecord['attempts'],
});

test('who lost a stream is asked again where there is no other; who failed at the task is not', async () => {
  const bid = (offer: Opened<Offer>) => bidOn(offer);
  assert.equal((await auction(bid, failed('network'))).bids, [bidder.peer]);
  assert.equal((await auction(bid, failed('network', 'worker'))).bids, []);
});

test('a bid on an earlier offer of the same attempt is late: not taken, and nobody’s fault', async () => {
  assert.equal(await auction(offer => bidOn(offer, { offerHash: other })), { bids: [], reports: [] });
});

const wrong: [string, Partial<Bid>, Signer?][] = [
  ['above the price', { ask: 101n }],
  ['below what can be locked', { ask: 9n }],
  ['of another network', { net: other }],
  ['of another name', { worker: stranger.peer }],
  ['signed by another', {}, stranger],
];

for (const [what, change, signer] of wrong)
  test(`a bid ${what} is not taken, and costs its sender`, async () => {
    assert.equal(await auction(offer => bidOn(offer, change, signer)), { bids: [], reports: [bidder.peer] });
  });

test('an offer for named peers alone is not gossiped while all of them are connected', async () => {
  const published: string[] = [];
  const house = houseOn({
    peers: () => [{ peer: bidder.peer }],
    rtt: () => 0,
    call: () => Promise.reject(new Error('away')),
    publish: async (topic: string) => void published.push(topic),
  });
  const offered = async (...requirePeers: string[]) => {
    const policy = { ...request.policy, requirePeers };
    const init = { attempt: 1, selfOnly: false, round: 0 };
    await house.run(taskWith({ failedWorkers: [], policy }), request.spec, init);
    return published.splice(0);
  };
  assert.equal(await offered(), ['offer/all']);
  assert.equal(await offered(bidder.peer), []);
  assert.equal(await offered(bidder.peer, stranger.peer), ['offer/all']);
});

test('with more than 64 peers an offer goes to eight of those that are known, and to all once two rounds found nobody', async () => {
  const peers = Array.from({ length: 70 }, (_, i) => `peer ${i}`);
  const refusal = { code: 'BUSY', reason: 'the queue is full', permanent: false };
  const heard: string[] = [];
  let published = 0;
  const house = houseOn({
    self: requester.peer,
    peers: () => peers.map(peer => ({ peer })),
    walk: async () => ['far away', requester.peer],
    rtt: () => 0,
    call: async (peer: string) => {
      heard.push(peer);
      const ref = { taskId: taskIdOf(order), replica: 0, attempt: 1 };
      return offerAnswerMessage.encode({ type: 'refusal', ...ref, refusal });
    },
    publish: async () => {
      published++;
    },
  });
  const failed = peers.slice(0, 3);
  const counts = [];
  for (const round of [0, 1, 2]) {
    heard.length = 0;
    const init = { attempt: 1, selfOnly: false, round };
    const { asked, views } = await house.run(taskWith({ failedWorkers: failed }), request.spec, init);
    assert.is(asked.length, 67, 'who was not asked may take it yet');
    assert.is(new Set(heard).size, views.length);
    assert.not(heard.some(peer => failed.includes(peer)));
    counts.push([heard.length, published]);
  }
  assert.equal(counts, [
    [8, 0],
    [8, 0],
    [67, 1],
  ]);
});

test('who is met on a walk, bids or is named by a bid is asked; who is silent twice is not', async () => {
  const connected = Array.from({ length: 64 }, (_, i) => `peer ${i}`);
  const strangers = ['one', 'two'].map(
    name => signerFromSeed(new Uint8Array(32).fill(name.length + 20)).peer,
  );
  let walks = 0;
  const view = new Acquaintances({
    clock: systemClock,
    logger: silentLogger,
    random: randomOf(5),
    network: {
      self: requester.peer,
      walk: async () => {
        walks++;
        return [...strangers, requester.peer];
      },
    },
  });
  const sample = (inFlight: number) => view.sample(connected.slice(0, 40), inFlight, () => true);
  assert.is(sample(1).length, 8);
  await new Promise(resolve => setImmediate(resolve));
  assert.is(walks, 1);
  view.learn([{ worker: bidder.peer, hints: [stranger.peer] }]);
  const seen = () => new Set(Array.from({ length: 200 }, () => sample(40)).flat());
  const all = seen();
  for (const peer of [...strangers, bidder.peer, stranger.peer]) assert.ok(all.has(peer));
  assert.not(all.has(requester.peer), 'never itself');
  view.silent([bidder.peer]);
  view.answered(bidder.peer);
  view.silent([bidder.peer, stranger.peer]);
  view.silent([stranger.peer]);
  const left = seen();
  assert.equal([left.has(bidder.peer), left.has(stranger.peer)], [true, false]);
});

test.run();
