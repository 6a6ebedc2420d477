import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Follower } from '../../src/market/requester/follow.ts';
import type { RequesterComponents } from '../../src/market/requester/interface.ts';
import { LeaseLimits } from '../../src/market/requester/lease-limits.ts';
import type { LiveTask, TaskStore } from '../../src/market/requester/task-store.ts';
import { termsFor } from '../../src/market/terms.ts';
import { CodedError, silentLogger } from '../../src/util/index.ts';
import {
  awardKind,
  offerKind,
  orderKind,
  seal,
  signerFromSeed,
  taskIdOf,
  termsHash,
  type WorkerMessage,
  workerMessage,
} from '../../src/wire/index.ts';
import { movableClock } from '../fixtures/movable-clock.ts';
import { FLOP, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { codeThrown, quick } from './support.ts';

const test = suite('market: following a worker');

const bytes = (fill: number) => new Uint8Array(32).fill(fill);
const requester = signerFromSeed(bytes(11));
const worker = signerFromSeed(bytes(12));
const terms = termsFor(taskRequest().spec);
const order = { net: bytes(1), requester: requester.peer, nonce: bytes(4), saltedSpecHash: bytes(3) };
const TASK = taskIdOf(seal(orderKind, order, requester));
const never = new AbortController().signal;

/** A follower whose worker says `messages` on each stream, and then nothing any more. */
function following(say: (stream: number) => (WorkerMessage | Uint8Array)[]) {
  const clock = movableClock();
  const ref = { taskId: TASK, replica: 0, attempt: 1 };
  const net = bytes(1);
  const offer = seal(
    offerKind,
    {
      net,
      ...ref,
      requester: requester.peer,
      needs: {
        milliCpus: 1,
        memoryBytes: 1,
        diskBytes: 1,
        gpus: null,
        network: false,
        runtime: null,
        architecture: null,
        image: 'image',
        inputBytes: 1,
        outputBytes: 100,
      },
      terms,
      maxPrice: FLOP,
      priority: 5,
      bidWindowMs: 50,
      issuedAt: clock.now(),
      deadline: clock.now() + 60_000,
      verification: 'check',
      funds: null,
    },
    requester,
  );
  const body = { net, ...ref, requester: requester.peer, worker: worker.peer, price: FLOP };
  const hashes = { offerHash: offer.digest, bidHash: bytes(2), specHash: bytes(3) };
  const award = seal(
    awardKind,
    { ...body, ...hashes, termsHash: termsHash(terms), awardedAt: clock.now() },
    requester,
  );
  const live = { acceptance: bytes(5), failure: null, endedAt: null };
  const entry = { ...ref, ...live, award: award.bytes, offer: offer.bytes, lock: null, startedAt: null };
  const record = { taskId: TASK, state: 'scheduled', phase: 'awarding', inputs: [], attempts: [entry] };
  const task = { record, log: { size: () => 0 } };
  const peers: string[] = [worker.peer];
  const counts = { streams: 0, writes: 0, progress: 0, reports: 0, shown: 0 };
  const open = async () => {
    const queue = say(counts.streams++);
    return {
      peer: worker.peer,
      async send() {},
      async receive() {
        const next = queue.shift();
        if (next === undefined) throw new CodedError({ code: 'STREAM_BROKEN' }, 'the stream broke');
        return next instanceof Uint8Array ? next : workerMessage.encode(next);
      },
      async close() {},
      abort() {},
    };
  };
  const components = {
    clock,
    logger: silentLogger,
    options: quick,
    network: { open, report: () => counts.reports++, peers: () => peers },
    signer: requester,
  };
  const store = {
    async update(_task: unknown, change: (now: typeof record) => object) {
      counts.writes++;
      Object.assign(record, change(record));
    },
    progress(_task: unknown, progress: number, announced: boolean) {
      counts.shown = progress;
      if (announced) counts.progress++;
    },
  };
  const follower = new Follower(
    components as unknown as RequesterComponents,
    store as unknown as TaskStore,
    task as unknown as LiveTask,
    1,
    null,
  );
  return { follower, counts, record, clock, peers };
}

/** Follows to the end; the pauses of a follower alone do not keep a process alive. */
async function follow(follower: Follower) {
  const alive = setInterval(() => undefined, 1_000);
  try {
    return await follower.run({ signal: never });
  } finally {
    clearInterval(alive);
  }
}

const beat: WorkerMessage = { type: 'heartbeat' };

test('a result that cannot be read ends the attempt after three streams, and costs its worker once', async () => {
  const { follower, counts } = following(() => [beat, Buffer.from('nonsense')]);
  assert.is(await codeThrown(follow(follower)), 'RESULT_UNREADABLE');
  assert.equal([counts.streams, counts.reports], [3, 1]);
});

test('a worker that toggles its phase and floods progress causes one write for each phase', async () => {
  const flood = Array.from({ length: 500 }, (_, i): WorkerMessage[] => [
    { type: 'phase', phase: 'executing', progress: i % 100 },
    { type: 'phase', phase: 'pulling', progress: i % 100 },
    { type: 'phase', phase: 'queued', progress: null },
  ]).flat();
  const { follower, counts, record } = following(() => [
    ...flood,
    { type: 'failed', class: 'funds', code: 'ANY', message: '', evidence: null },
  ]);
  const end = await follow(follower);
  assert.is(end.kind, 'failed');
  assert.is(record.phase, 'executing');
  assert.is(counts.writes, 1);
  assert.ok(counts.progress >= 1 && counts.progress < 50, `${counts.progress} events`);
  assert.is(counts.shown, 99, 'what came last counts, though no event told of it');
});

test('a worker that only beats is let go when its claim is over, and before when one phase takes too long', async () => {
  for (const ms of [terms.claimMs + 1, terms.limits.queueMs + 60_001]) {
    const { follower, clock } = following(() => [beat, beat]);
    const run = follow(follower);
    clock.jump(ms);
    assert.is(await codeThrown(run), 'LEASE_OVERDUE');
  }
});

test('silence counts once somebody is heard: who hears nobody at all is away itself', async () => {
  const { follower, clock, counts, peers } = following(() => []);
  peers.pop();
  const run = codeThrown(follow(follower));
  clock.jump(quick.deadMs as number);
  await waitFor(() => counts.streams === 2, 'another try');
  peers.push(requester.peer);
  assert.is(await run, 'WORKER_DEAD');
});

test('each phase has a limit of its own; files on a slow line begin it anew', () => {
  const clock = movableClock();
  const award = { awardedAt: clock.now() } as ConstructorParameters<typeof LeaseLimits>[1];
  const limits = new LeaseLimits(clock, award, terms);
  assert.ok(limits.enter('pulling'));
  clock.jump(terms.limits.pullMs + 30_000);
  limits.check();
  assert.ok(limits.enter('collecting'));
  assert.not(limits.enter('executing'));
  clock.jump(terms.limits.collectMs + 30_000);
  limits.alive();
  clock.jump(terms.limits.collectMs + 30_000);
  limits.check();
  clock.jump(31_000);
  assert.throws(() => limits.check(), /collecting/);
});

test.run();
