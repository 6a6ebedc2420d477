import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Capacity } from '../../src/market/capacity.ts';
import type { TaskView } from '../../src/market/index.ts';
import { PLACE_MS } from '../../src/market/options.ts';
import type { ScoredBid } from '../../src/market/requester/auction.ts';
import { Claims } from '../../src/market/requester/claims.ts';
import { factsOf } from '../../src/market/score.ts';
import { type Place, PlaceDesk } from '../../src/market/worker/places.ts';
import { Reservations } from '../../src/market/worker/reservations.ts';
import type { DuxNode } from '../../src/node/node.ts';
import { NO_EXPERIENCE } from '../../src/reputation/index.ts';
import { CodedError, deferred, silentLogger, systemClock } from '../../src/util/index.ts';
import {
  type Bid,
  bidKind,
  claimAnswerMessage,
  claimMessage,
  type Opened,
  offerKind,
  open,
  placeAnswerMessage,
  placeRequestMessage,
  refKey,
  type Signer,
  sameBytes,
  seal,
} from '../../src/wire/index.ts';
import { bidOf } from '../fixtures/bids.ts';
import { ended, taskRequest } from '../fixtures/nodes.ts';
import { alice, asked, bob, carol, hashOf, net, ref, signerOf } from '../wire/samples.ts';
import { codeThrown, type Gate, gate, indexOf, seen, withNet } from './support.ts';

const test = suite('market: late binding');

const notary = { market: { workerEnabled: false } };
/** On a disk that others use, each write may take seconds; and a place is kept for half a minute. */
const LIMIT_MS = 60_000;
const oneSlot = (door: Gate) => ({ run: door.run, market: { slots: 1 } });

/** Both workers run a task each. */
async function busyWorkers(node: DuxNode, doors: readonly Gate[]): Promise<string[]> {
  const ids = await Promise.all(
    doors.map(async () => (await node.market.tasks.submit(taskRequest())).taskId),
  );
  await Promise.all(doors.map(({ entered }) => entered));
  return ids;
}

/** A task that has places at both busy workers: on a busy machine bids may be late, and then it is another task. */
async function waiting(node: DuxNode): Promise<string> {
  for (;;) {
    const { taskId } = await node.market.tasks.submit(taskRequest());
    const rests = ({ waiting }: TaskView) => waiting === 'worker_busy' || waiting === 'no_bids';
    const { attempts } = await seen(node, taskId, 'waiting', rests, LIMIT_MS);
    const bids = attempts.at(-1)?.bids.filter(({ score }) => score !== null);
    if (bids?.length === 2) return taskId;
    await node.market.tasks.cancel(taskId);
  }
}

async function completed(node: DuxNode, ids: readonly string[]): Promise<void> {
  for (const taskId of ids) {
    const { state, failure } = await ended(node, taskId, LIMIT_MS);
    assert.equal([state, failure], ['completed', null]);
  }
}

test('where all are busy, a task goes to the first that has a slot, and its other places are given up', async () => {
  const doors = [gate(), gate()];
  await withNet([notary, ...doors.map(oneSlot)], async net => {
    const node = net.nodes[0]!;
    const running = await busyWorkers(node, doors);
    const taskId = await waiting(node);
    const attempt = (await node.market.tasks.get(taskId)).attempts.at(-1);
    assert.equal([attempt?.worker, attempt?.bids.length], [null, 2], 'it is nobody’s yet');
    doors[1]!.open();
    const view = await ended(node, taskId, LIMIT_MS);
    assert.equal([view.state, indexOf(net, view.worker)], ['completed', 2]);
    assert.is(view.attempts.length, 1);
    assert.is(view.attempts[0]!.choice, 'first_free');
    doors[0]!.open();
    await completed(node, running);
    assert.is(doors[0]!.count(), 1, 'no place is left there');
  });
});

test('a requester that restarts while its task has places loses nothing, and holds up nobody', async () => {
  const doors = [gate(), gate()];
  await withNet([notary, ...doors.map(oneSlot), notary], async net => {
    const other = net.nodes[0]!;
    const running = await busyWorkers(other, doors);
    const taskId = await waiting(net.nodes[3]!);
    await net.nodes[3]!.stop();
    const later = await waiting(other);
    doors[0]!.open();
    assert.is(
      (await ended(other, later, LIMIT_MS)).state,
      'completed',
      'the slot is not kept for who is away',
    );
    const node = await net.restart(3);
    // it may know the busy one alone when it asks again
    doors[1]!.open();
    assert.is((await ended(node, taskId, LIMIT_MS)).state, 'completed');
    await completed(other, running);
  });
});

test('a worker that goes away with a task’s place: the other one gets the task', async () => {
  const doors = [gate(), gate()];
  await withNet([notary, ...doors.map(oneSlot)], async net => {
    const node = net.nodes[0]!;
    const running = await busyWorkers(node, doors);
    const taskId = await waiting(node);
    await net.nodes[2]!.stop();
    doors[0]!.open();
    const view = await ended(node, taskId, LIMIT_MS);
    assert.equal([view.state, indexOf(net, view.worker)], ['completed', 1]);
    doors[1]!.open();
    await net.restart(2);
    await completed(node, running);
  });
});

const GIB = 2 ** 30;
const [requester, worker, stranger] = [alice, bob, carol];
const offer = seal(
  offerKind,
  { ...asked, net, ...ref, requester: requester.peer, bidWindowMs: 50, issuedAt: Date.now() },
  requester,
);
const key = refKey(ref);

const bidBy = (signer: Signer, change: Partial<Bid> = {}) =>
  bidOf(offer, signer, { queuePosition: 1, queueMs: 100, ...change });

/** A clock whose timers fire when told. */
function manualClock() {
  const timers: (() => void)[] = [];
  const after = (_ms: number, fn: () => void) => {
    timers.push(fn);
    return () => undefined;
  };
  const fire = () => {
    for (const fn of timers.splice(0)) fn();
  };
  return { clock: { ...systemClock, after }, fire };
}

const turn = () => new Promise(resolve => setImmediate(resolve));

/** A worker with one slot, which is taken, and a requester that answers claims as told. */
function deskWith(answer: () => Promise<Uint8Array>) {
  const total = { slots: 1, milliCpus: 64_000, memoryBytes: 64 * GIB, diskBytes: 64 * GIB, gpus: null };
  const { clock, fire } = manualClock();
  const capacity = new Capacity(total, { peer: 'nobody', slots: 0 }, clock);
  const line = new Reservations<Place>(capacity, clock);
  const bid = bidBy(worker);
  const reports: string[] = [];
  const claims: Bid[] = [];
  const desk = new PlaceDesk(
    {
      clock,
      logger: silentLogger,
      network: { report: (_peer, reason) => reports.push(reason) },
      claim: (_peer, bytes) => {
        claims.push(open(bidKind, claimMessage.decode(bytes).bid).body);
        return answer();
      },
    },
    line,
    {
      offerOf: (at, hash) => (at === key && sameBytes(hash, bid.digest) ? offer : undefined),
      wouldRefuse: () => undefined,
      bidAgain: () => bidBy(worker, { queuePosition: 0, queueMs: 0 }),
    },
  );
  capacity.onRoom = () => desk.next();
  const release = capacity.take(offer.body.needs, 'x')!;
  const place = (from: string, bidHash = bid.digest) => {
    const request = placeRequestMessage.encode({ type: 'reserve', ...ref, bidHash });
    return placeAnswerMessage.decode(desk.place(request, from)).placed;
  };
  return { desk, line, capacity, release, place, reports, claims, fire };
}

const answers = (answer: 'grant' | 'cancel') => async () => claimAnswerMessage.encode({ answer });

test('a place is for who offered the task, and for a bid that was made', async () => {
  const { place, line, desk, claims, release } = deskWith(answers('cancel'));
  assert.not(place(stranger.peer), 'another’s offer');
  assert.not(place(requester.peer, hashOf('no bid')));
  assert.ok(place(requester.peer));
  desk.place(placeRequestMessage.encode({ type: 'cancel', ...ref }), stranger.peer);
  assert.is(line.size, 1);
  desk.place(placeRequestMessage.encode({ type: 'cancel', ...ref }), requester.peer);
  release();
  await turn();
  assert.equal([line.size, claims.length], [0, 0]);
});

test('a slot is held from the claim to the award, which may come before the grant; nobody else takes it', async () => {
  const granted = deferred<Uint8Array>();
  const { place, desk, capacity, release, fire, reports, claims } = deskWith(() => granted.promise);
  assert.ok(place(requester.peer));
  release();
  assert.equal([claims.length, claims[0]!.queuePosition, capacity.running], [1, 0, 1]);
  assert.is(desk.take(key, stranger.peer), undefined);
  const give = desk.take(key, requester.peer)!;
  assert.is(desk.take(key, requester.peer), undefined, 'once');
  granted.resolve(claimAnswerMessage.encode({ answer: 'grant' }));
  await turn();
  fire();
  assert.equal([capacity.running, reports], [1, []]);
  give();
  assert.is(capacity.running, 0);
});

test('a slot that is not wanted, not answered for or not used is free for others, and costs who wasted it', async () => {
  for (const [answer, cost] of [
    [answers('cancel'), []],
    [answers('grant'), ['grant_unused']],
    [async () => Buffer.from('nonsense'), ['claim_unanswered']],
    [() => new Promise<Uint8Array>(() => undefined), ['claim_unanswered']],
  ] as const) {
    const { place, capacity, release, fire, reports } = deskWith(answer);
    assert.ok(place(requester.peer));
    release();
    await turn();
    fire();
    await turn();
    assert.equal([capacity.running, reports], [0, cost]);
  }
});

/** A requester whose bidders answer requests for places as told. */
function claimsWith(answer: () => Promise<Uint8Array>) {
  const { clock, fire } = manualClock();
  const sent: string[] = [];
  const claims = new Claims({
    signer: requester,
    clock,
    logger: silentLogger,
    worker: { place: () => placeAnswerMessage.encode({ placed: false }) },
    genesis: { net, genesis: { minAmount: 1n } },
    network: {
      call: (peer, _protocol, request) => {
        sent.push(`${placeRequestMessage.decode(request).type} ${peer}`);
        return answer();
      },
    },
  });
  const claim = (bid: Opened<Bid>, from = bid.body.worker) =>
    claimAnswerMessage.decode(claims.answer(claimMessage.encode({ bid: bid.bytes }), from)).answer;
  return { claims, claim, sent, fire };
}

const scored = (bid: Opened<Bid>): ScoredBid => {
  const facts = factsOf(bid.body, NO_EXPERIENCE, { isSelf: false, secondValue: 0n });
  return { bid, facts, score: 1, isDoubtful: false };
};
const placed = async () => placeAnswerMessage.encode({ placed: true });
const never = new AbortController().signal;

test('one claim is granted: of a worker that was asked, on this offer, at no higher price', async () => {
  const { claims, claim, sent } = claimsWith(placed);
  const other = signerOf('another worker');
  assert.is(claim(bidBy(worker)), 'cancel', 'no such task waits');
  const bids = [worker, other].map(signer => scored(bidBy(signer, { ask: asked.maxPrice - 1n })));
  const wait = claims.open(offer, bids, PLACE_MS);
  assert.is(claim(bidBy(stranger)), 'cancel', 'it was not asked');
  assert.is(claim(bidBy(worker, { offerHash: hashOf('earlier') })), 'cancel');
  assert.is(claim(bidBy(worker, { attempt: 2 })), 'cancel');
  assert.throws(
    () => claim(bidBy(worker), stranger.peer),
    (error: CodedError) => error.code === 'BID_INVALID',
  );
  assert.is(claim(bidBy(other)), 'cancel', 'it has raised its price');
  const fair = bidBy(worker, { ask: asked.maxPrice - 2n, queuePosition: 0 });
  assert.is(claim(fair), 'grant');
  assert.is(claim(fair), 'grant', 'the same again');
  assert.equal((await wait.next(never))?.bid.digest, fair.digest);
  wait.refused(worker.peer);
  assert.is(claim(fair), 'cancel', 'a grant is not good twice');
  assert.is(await wait.next(never), undefined);
  assert.not(wait.isLate);
  wait.close();
  assert.is(claim(fair), 'cancel');
  assert.equal(sent, [`reserve ${worker.peer}`, `reserve ${other.peer}`]);
});

test('who waits is told when its time is over, when nobody keeps a place, and when it is cancelled', async () => {
  const late = claimsWith(placed);
  const wait = late.claims.open(offer, [scored(bidBy(worker)), scored(bidBy(stranger))], PLACE_MS);
  const next = wait.next(never);
  late.claims.peerDown(stranger.peer);
  late.fire();
  assert.is(await next, undefined);
  assert.ok(wait.isLate);
  wait.close();
  assert.is(late.sent.at(-1), `cancel ${worker.peer}`);
  for (const answer of [
    async () => placeAnswerMessage.encode({ placed: false }),
    async () => Buffer.from('nonsense'),
    () => Promise.reject(new CodedError({ code: 'PEER_UNREACHABLE' }, 'away')),
  ]) {
    const { claims } = claimsWith(answer);
    const refused = claims.open(offer, [scored(bidBy(worker)), scored(bidBy(requester))], PLACE_MS);
    assert.is(await refused.next(never), undefined);
    assert.not(refused.isLate);
    refused.close();
  }
  const { claims } = claimsWith(placed);
  const stop = new AbortController();
  const cancelled = claims.open(offer, [scored(bidBy(worker))], PLACE_MS).next(stop.signal);
  stop.abort(new CodedError({ code: 'CANCELLED' }, 'by its owner'));
  assert.is(await codeThrown(cancelled), 'CANCELLED');
});

test.run();
