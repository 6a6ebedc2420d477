import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { nextStep } from '../../src/market/binding.ts';
import { CandidateView } from '../../src/market/candidates.ts';
import { Capacity } from '../../src/market/capacity.ts';
import { PLACE_MS } from '../../src/market/options.ts';
import { estimateSize, levelOf, wayOf } from '../../src/market/regime.ts';
import { Places } from '../../src/market/requester/places.ts';
import {
  answerChance,
  classesOf,
  classOf,
  shardOfTask,
  shardOfWorker,
  shardTopic,
  workerClasses,
} from '../../src/market/shards.ts';
import { bidWindowMs, hasEnough } from '../../src/market/window.ts';
import { type Claim, type Reservation, Reservations } from '../../src/market/worker/reservations.ts';
import { randomOf } from '../fixtures/random.ts';

const test = suite('market: scale');

const GIB = 2 ** 30;
const share = { milliCpus: 1_000, memoryBytes: GIB, diskBytes: GIB, gpus: null };

/** What a node sees whose 20th neighbour is this far away. */
const seeing = (kth: number, connected = 0) => ({
  distances: Array.from({ length: 20 }, (_, i) => (kth * (i + 1)) / 20),
  connected,
});
const sized = (size: number) => seeing(19 / (size - 1));

test('the size comes from the 20th neighbour, and is never less than what is connected', () => {
  assert.is(Math.round(estimateSize(seeing(19 / 1_000, 64))), 1_001);
  assert.is(estimateSize(seeing(0.5, 99)), 100);
  assert.is(estimateSize({ distances: [0.1, 0.2, 0.3], connected: 2 }), 4);
  assert.is(estimateSize({ distances: [], connected: 0 }), 1);
});

test('the size is right on average, with a deviation of a quarter', () => {
  const random = randomOf(1);
  for (const nodes of [100, 2_000]) {
    const ratios = Array.from({ length: 200 }, () => {
      const distances = Array.from({ length: nodes }, random).sort((a, b) => a - b);
      return estimateSize({ distances, connected: 0 }) / nodes;
    });
    const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
    const variance = ratios.reduce((sum, ratio) => sum + (ratio - mean) ** 2, 0) / ratios.length;
    assert.ok(Math.abs(mean - 1) < 0.06, `${mean} of ${nodes}`);
    assert.ok(Math.sqrt(variance) < 0.3);
  }
});

test('everyone is asked up to 64 nodes; an estimate that trembles changes nothing', () => {
  const level = (size: number, before: number) => levelOf(sized(size), before);
  assert.equal(
    [2, 64, 88, 92, 180, 190, 1_000_000].map(size => level(size, 0)),
    [0, 0, 0, 1, 2, 2, 14],
  );
  assert.equal(
    [22, 44, 46, 180, 190].map(size => level(size, 1)),
    [0, 0, 1, 1, 2],
  );
  assert.is(levelOf(seeing(0.9, 63)), 0);
  assert.is(levelOf(seeing(0.9, 64)), 1, 'those are there');
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 24 }), fc.integer({ min: 0, max: 20 }), (nodes, before) => {
      const now = level(nodes, before);
      assert.is(level(nodes, now), now, 'it rests');
      assert.ok(Math.abs(now - Math.max(0, Math.log2(nodes / 64))) <= 1.5, 'it is never far off');
      assert.is(
        level(Math.max(1, 64 * 2 ** (now - 0.5)), now),
        now,
        'in the middle of a level nothing moves',
      );
    }),
  );
  assert.equal(
    [0, 5].map(round => wayOf(0, round)),
    ['all', 'all'],
  );
  assert.equal(
    [0, 1, 2, 9].map(round => wayOf(3, round)),
    ['sample', 'sample', 'shard', 'shard'],
  );
});

test('workers and attempts spread evenly over the shards, and a larger level splits each in two', () => {
  const bits = 4;
  const counts = new Map<number, number>();
  for (let i = 0; i < 4_000; i++) {
    for (const shard of [shardOfWorker('cpu', bits, `peer${i}`), shardOfTask(`task${i}`, 1, bits)]) {
      assert.ok(shard >= 0 && shard < 2 ** bits);
      counts.set(shard, (counts.get(shard) ?? 0) + 1);
    }
    assert.is(shardOfWorker('cpu', bits + 1, `peer${i}`) >> 1, shardOfWorker('cpu', bits, `peer${i}`));
  }
  assert.is(counts.size, 2 ** bits);
  for (const count of counts.values()) assert.ok(count > 400 && count < 600);
  assert.is(shardOfTask('task', 1, 0), 0);
  assert.is.not(shardOfTask('task', 1, 32), shardOfTask('task', 2, 32));
  assert.is.not(shardOfWorker('cpu', 32, 'peer'), shardOfWorker('mem', 32, 'peer'));
  assert.is(shardTopic('gpu', 3, 5), 'offer/gpu/3/5');
  assert.equal([1, 16, 64].map(answerChance), [1, 1, 0.25]);
});

test('whoever can hold a task is in its class', () => {
  const memoryBytes = fc.integer({ min: 1, max: 64 }).map(gib => gib * GIB);
  const gpus = fc.constantFrom(null, { count: 0 }, { count: 2 });
  fc.assert(
    fc.property(memoryBytes, gpus, memoryBytes, fc.boolean(), (lent, lentGpus, needed, wantsGpu) => {
      const total = { ...share, slots: 1, memoryBytes: lent, diskBytes: GIB, gpus: lentGpus };
      const wanted = { ...share, memoryBytes: needed, gpus: wantsGpu ? { count: 1 } : null };
      const fits = new Capacity(total, nobody, stopped(0)).canHold(wanted);
      if (fits) assert.ok(classesOf(total).includes(classOf(wanted)));
    }),
  );
  assert.equal(classesOf({ memoryBytes: 64 * GIB, gpus: { count: 1 } }), [...workerClasses]);
});

test('the window follows the slow round trips, within its limits', () => {
  assert.equal([[], [1], [80, 90, 100], [9_000]].map(bidWindowMs), [50, 50, 200, 1_000]);
  const bids = (...positions: number[]) => positions.map(queuePosition => ({ queuePosition }));
  assert.not(hasEnough(bids(0, 1, 2, 0)));
  assert.ok(hasEnough(bids(0, 4, 0, 0)));
});

const viewSteps = fc.array(
  fc.oneof(
    fc.tuple(fc.constantFrom('add', 'answered', 'silent', 'drop'), fc.integer({ min: 0, max: 150 })),
    fc.tuple(fc.constant('fit'), fc.integer({ min: 0, max: 80 })),
    fc.tuple(fc.constant('renew'), fc.constant(0)),
    fc.tuple(fc.constant('sample'), fc.integer({ min: 0, max: 20 })),
  ),
  { maxLength: 300 },
);

test('a view keeps to its limit, draws different peers, and forgets who is silent twice', () => {
  fc.assert(
    fc.property(viewSteps, fc.integer(), (steps, seed) => {
      const view = new CandidateView<number>(randomOf(seed));
      const known = new Set<number>();
      const silences = new Map<number, number>();
      let limit = 64;
      for (const [step, value] of steps) {
        if (step === 'add') {
          const isNew = !known.has(value) && known.size < limit;
          assert.is(view.add(value), isNew);
          if (isNew) known.add(value);
        } else if (step === 'answered') {
          view.answered(value);
          silences.delete(value);
        } else if (step === 'silent' && known.has(value)) {
          view.silent(value);
          silences.set(value, (silences.get(value) ?? 0) + 1);
          if (silences.get(value) === 2) known.delete(value);
          if (!known.has(value)) silences.delete(value);
        } else if (step === 'drop') {
          view.drop(value);
          known.delete(value);
          silences.delete(value);
        } else if (step === 'fit' || step === 'renew') {
          if (step === 'fit') limit = Math.max(64, 2 * value);
          const before = known.size;
          if (step === 'fit') view.fitTo(value);
          else view.renew();
          const left = new Set(view.sample(999, () => true));
          assert.ok([...left].every(peer => known.has(peer)));
          assert.is(left.size, step === 'fit' ? Math.min(before, limit) : before - Math.floor(before / 8));
          for (const peer of known) if (!left.has(peer)) silences.delete(peer);
          for (const peer of [...known]) if (!left.has(peer)) known.delete(peer);
        } else if (step === 'sample') {
          const odd = view.sample(value, peer => peer % 2 === 1);
          assert.is(new Set(odd).size, odd.length);
          assert.ok(odd.every(peer => peer % 2 === 1 && known.has(peer)));
          assert.is(odd.length, Math.min(value, [...known].filter(peer => peer % 2 === 1).length));
        }
        assert.is(view.size, known.size);
        assert.is(view.room, limit - known.size);
      }
    }),
  );
});

test('samples are fair: everyone in the view comes up as often', () => {
  const view = new CandidateView<number>(randomOf(3));
  for (let peer = 0; peer < 64; peer++) assert.ok(view.add(peer));
  assert.not(view.add(64), 'nobody is pushed out');
  view.fitTo(33);
  assert.is(view.room, 2);
  const counts = new Array<number>(64).fill(0);
  for (let i = 0; i < 8_000; i++) for (const peer of view.sample(8, () => true)) counts[peer]!++;
  for (const count of counts) assert.ok(count > 800 && count < 1_200, String(count));
});

const nobody = { peer: 'nobody', slots: 0 };
const stopped = (nowMs: number) => ({ monotonic: () => nowMs });
const busy = (slots: number) =>
  new Capacity(
    { slots, milliCpus: 64_000, memoryBytes: 64 * GIB, diskBytes: 64 * GIB, gpus: null },
    nobody,
    stopped(0),
  );

test('a place is had by whoever comes first, and only while it is of use', () => {
  const places = new Places(['a', 'b', 'c'], 0);
  assert.is(places.claim('stranger', 1), 'cancel');
  assert.is(places.claim('b', 1), 'grant');
  assert.is(places.claim('b', 2), 'grant', 'the same again');
  assert.is(places.claim('a', 2), 'cancel');
  places.refused('b');
  assert.is(places.claim('b', 3), 'cancel');
  assert.is(places.claim('c', 3), 'grant');
  assert.not(places.isOver(PLACE_MS * 2), 'it has been granted');
  assert.equal(places.taken(), ['a']);
  const late = new Places(['a'], 0);
  assert.is(late.claim('a', PLACE_MS + 1), 'cancel');
  assert.ok(late.isOver(PLACE_MS + 1));
  const left = new Places(['a'], 0);
  left.refused('a');
  assert.ok(left.isOver(0), 'nobody is left');
});

test('a worker’s places: by turns, then by priority; no requester has more than half; none past its time', () => {
  let now = 0;
  const capacity = busy(1);
  const release = capacity.take(share, 'x')!;
  const places = new Reservations(capacity, { monotonic: () => now });
  const ask = (key: string, requester: string, priority: number) =>
    places.reserve({ key, requester, share, priority, deadline: 0 });
  assert.ok(ask('1', 'x', 5));
  assert.ok(ask('1', 'x', 5));
  assert.is(places.size, 1, 'one place for a task');
  assert.ok(ask('2', 'x', 9));
  assert.not(ask('3', 'x', 5), 'half of four');
  now = 1;
  assert.ok(ask('4', 'y', 5));
  assert.ok(ask('5', 'z', 10));
  assert.not(ask('6', 'w', 5), 'four a slot');
  assert.is(places.claim(), undefined, 'nothing is free');
  places.cancel('4', 'x');
  assert.is(places.size, 4, 'only its requester may cancel');
  places.cancel('4', 'y');
  const large = { ...share, milliCpus: 99_000 };
  assert.not(places.reserve({ key: '7', requester: 'v', share: large, priority: 5, deadline: 0 }));
  release();
  assert.not(places.fitsNow(share, 'newcomer'), 'who waits goes first');
  assert.is(places.take(share, 'newcomer'), undefined);
  const first = places.claim()!;
  assert.is(first.reservation.key, '5', 'the next requester: the other has had its turn');
  assert.is(places.claim(), undefined, 'the slot is held');
  assert.not(ask('5', 'z', 10), 'a task that has a slot is given no second one');
  first.release();
  assert.is(places.claim()?.reservation.key, '2', 'of one requester the higher priority');
  assert.is(places.queued, 1);
  now = PLACE_MS + 1;
  assert.equal([places.size, places.claim()], [0, undefined]);
});

test('a slot that is kept for the owner is claimed for the owner alone, past those who wait', () => {
  const total = { slots: 2, milliCpus: 64_000, memoryBytes: 64 * GIB, diskBytes: 64 * GIB, gpus: null };
  const capacity = new Capacity(total, { peer: 'owner', slots: 1 }, stopped(0));
  const release = capacity.take(share, 'x')!;
  const places = new Reservations(capacity, stopped(0));
  const ask = (key: string, requester: string) =>
    places.reserve({ key, requester, share, priority: 5, deadline: 0 });
  assert.ok(ask('1', 'x'));
  assert.is(places.claim(), undefined);
  assert.ok(places.fitsNow(share, 'owner'));
  assert.ok(ask('2', 'owner'));
  const own = places.claim()!;
  assert.is(own.reservation.key, '2');
  assert.not(places.fitsNow(share, 'owner'));
  own.release();
  release();
  assert.is(places.claim()?.reservation.key, '1');
});

const candidate = (score: number, isFree: boolean, isDoubtful = false) => ({ score, isFree, isDoubtful });
const worth = { secondValue: 100_000n, isOnly: false };

test('a free slot goes first, unless a busy one is cheaper by more than the wait may cost', () => {
  const [busyBest, free, dear] = [candidate(1, false), candidate(1.02, true), candidate(2, true)];
  assert.equal(nextStep([busyBest, free, dear], worth), { award: free, atOnce: true });
  assert.equal(nextStep([busyBest, dear], worth), { waitFor: [busyBest] });
  assert.equal(nextStep([dear, busyBest], worth), { award: dear, atOnce: true }, 'drawn to explore');
  assert.equal(nextStep([busyBest], { ...worth, isOnly: true }), { award: busyBest, atOnce: false });
  assert.equal(nextStep([busyBest], worth), { waitFor: [busyBest] });
  const liar = candidate(0, true, true);
  assert.equal(
    nextStep([busyBest, liar], worth),
    { waitFor: [busyBest] },
    'no slot is free but a doubtful one',
  );
  assert.equal(nextStep([dear, liar], worth), { award: dear, atOnce: true });
  assert.equal(nextStep([liar], worth), { award: liar, atOnce: true }, 'better than nobody');
  assert.is(nextStep([], worth), undefined);
  const many = Array.from({ length: 20 }, (_, i) => candidate(1 + i / 1_000, false));
  assert.equal(nextStep(many, worth), { waitFor: many.slice(0, 8) });
});

interface Letter {
  readonly to: 'worker' | 'requester';
  readonly what: 'reserve' | 'cancel' | 'grant' | 'claim';
  readonly task: number;
  readonly worker: number;
}

test('whatever is lost and late: no task is granted twice, no slot given twice, and nothing is held for ever', () => {
  const TASKS = 4;
  const WORKERS = 3;
  const step = fc.record({
    action: fc.constantFrom('deliver', 'deliver', 'deliver', 'lose', 'twice', 'free', 'refuse', 'wait'),
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), steps => {
      let now = 0;
      const letters: Letter[] = [];
      const granted = new Map<number, number>();
      const tasks = Array.from(
        { length: TASKS },
        () =>
          new Places(
            Array.from({ length: WORKERS }, (_, w) => w),
            0,
          ),
      );
      const workers = Array.from({ length: WORKERS }, () => {
        const capacity = busy(2);
        const running = [capacity.take(share, 'x')!, capacity.take(share, 'x')!];
        return {
          capacity,
          running,
          places: new Reservations(capacity, { monotonic: () => now }),
          claims: new Map<number, Claim<Reservation>>(),
        };
      });
      for (let task = 0; task < TASKS; task++)
        for (let worker = 0; worker < WORKERS; worker++)
          letters.push({ to: 'worker', what: 'reserve', task, worker });

      const claim = (worker: number) => {
        const { places, claims } = workers[worker]!;
        for (let next = places.claim(); next; next = places.claim()) {
          const task = Number(next.reservation.key);
          claims.set(task, next);
          letters.push({ to: 'requester', what: 'claim', task, worker });
        }
      };
      const give = (worker: number, task: number) => {
        workers[worker]!.claims.get(task)?.release();
        workers[worker]!.claims.delete(task);
        claim(worker);
      };
      const deliver = ({ to, what, task, worker }: Letter) => {
        const at = workers[worker]!;
        if (to === 'requester') {
          const answer = tasks[task]!.claim(worker, now);
          if (answer === 'grant') {
            assert.is(granted.get(task) ?? worker, worker, 'granted to two');
            granted.set(task, worker);
          }
          letters.push({ to: 'worker', what: answer, task, worker });
        } else if (what === 'reserve') {
          const reservation: Reservation = {
            key: String(task),
            requester: `peer ${task}`,
            share,
            priority: 5,
            deadline: 0,
          };
          at.places.reserve(reservation);
          claim(worker);
        } else if (what === 'grant') {
          const held = at.claims.get(task);
          if (held) at.running.push(held.release);
          at.claims.delete(task);
        } else give(worker, task);
      };
      for (const { action, pick } of steps) {
        const at = letters.length > 0 ? pick % letters.length : -1;
        const worker = pick % WORKERS;
        if (action === 'wait') now += PLACE_MS / 3;
        else if (action === 'free') {
          workers[worker]!.running.pop()?.();
          claim(worker);
        } else if (action === 'refuse') {
          const task = pick % TASKS;
          const refuser = granted.get(task);
          if (refuser === undefined || !workers[refuser]!.claims.has(task)) continue;
          granted.delete(task);
          tasks[task]!.refused(refuser);
          give(refuser, task);
        } else if (at >= 0) {
          const letter = letters[at]!;
          if (action !== 'twice') letters.splice(at, 1);
          if (action !== 'lose') deliver(letter);
        }
        for (const { capacity, running, claims, places } of workers) {
          assert.is(capacity.running, running.length + claims.size, 'every slot is accounted for');
          assert.ok(capacity.running <= 2);
          assert.ok(places.size <= 8);
        }
      }
      now += PLACE_MS + 1;
      for (const [worker, { capacity, running, claims, places }] of workers.entries()) {
        for (const release of running.splice(0)) release();
        for (const task of [...claims.keys()]) give(worker, task); // their answers were lost: the worker's limit on waiting
        assert.is(places.claim(), undefined);
        assert.equal([places.size, capacity.running], [0, 0]);
      }
      for (const [task, places] of tasks.entries()) assert.is(places.isOver(now), !granted.has(task));
    }),
  );
});

test.run();
