import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Capacity, type Share } from '../../src/market/capacity.ts';
import { localChannels, receiveWithin } from '../../src/market/channel.ts';
import { backoffMs, WaitingRoom } from '../../src/market/requester/waiting-room.ts';
import { type Clock, deferred, systemClock } from '../../src/util/index.ts';
import { codeThrown } from './support.ts';

const test = suite('market: parts');

const total = { slots: 3, milliCpus: 100, memoryBytes: 100, diskBytes: 100, gpus: { count: 3 } };
const share = (milliCpus: number) => ({ milliCpus, memoryBytes: 1, diskBytes: 1, gpus: null });
const never = new AbortController().signal;
const turn = () => new Promise(resolve => setImmediate(resolve));

test('capacity is never given out twice, and what is given back can be had again', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          milliCpus: fc.integer({ min: 1, max: 100 }),
          memoryBytes: fc.integer({ min: 1, max: 100 }),
          diskBytes: fc.integer({ min: 1, max: 100 }),
          gpus: fc.constantFrom(null, { count: 1 }, { count: 3 }),
          priority: fc.integer({ min: 1, max: 10 }),
          action: fc.constantFrom('release', 'abort', 'none'),
        }),
        { maxLength: 30 },
      ),
      async asked => {
        const capacity = new Capacity(total, systemClock);
        const held = new Map<number, Share>();
        const releases = new Map<number, () => void>();
        const stops = asked.map(() => new AbortController());
        const check = () => {
          const sum = (key: 'milliCpus' | 'memoryBytes' | 'diskBytes') =>
            [...held.values()].reduce((all, other) => all + other[key], 0);
          assert.ok(held.size <= total.slots);
          for (const key of ['milliCpus', 'memoryBytes', 'diskBytes'] as const)
            assert.ok(sum(key) <= total[key]);
          const gpus = [...held.values()].reduce((all, other) => all + (other.gpus?.count ?? 0), 0);
          assert.ok(gpus <= total.gpus.count);
          assert.is(capacity.free.gpus?.count, total.gpus.count - gpus);
          assert.is(capacity.running, held.size);
        };
        const waiting = asked.map((want, i) =>
          capacity.acquire(want, want.priority, { signal: stops[i]!.signal }).then(
            release => {
              held.set(i, want);
              releases.set(i, release);
            },
            () => undefined,
          ),
        );
        const release = (i: number) => {
          held.delete(i);
          releases.get(i)?.();
          releases.get(i)?.(); // twice is once
          releases.delete(i);
        };
        for (const [i, { action }] of asked.entries()) {
          await turn();
          check();
          if (action === 'abort') stops[i]!.abort(new Error('gone'));
          if (action === 'release' && releases.has(i)) release(i);
        }
        await turn();
        while (releases.size > 0) {
          for (const i of [...releases.keys()]) release(i);
          await turn();
          check();
        }
        await Promise.all(waiting);
        assert.is(capacity.queued, 0);
        assert.equal(capacity.free, total);
      },
    ),
    { numRuns: 300 },
  ));

test('the first in line is not starved by smaller ones behind it', async () => {
  const capacity = new Capacity(total, systemClock);
  const first = await capacity.acquire(share(60), 5, { signal: never });
  const order: string[] = [];
  const enter = async (name: string, milliCpus: number) => {
    await capacity.acquire(share(milliCpus), 5, { signal: never });
    order.push(name);
  };
  const large = enter('large', 80);
  const small = enter('small', 10);
  assert.not(capacity.fitsNow(share(10)));
  await turn();
  assert.equal(order, []);
  first();
  await Promise.all([large, small]);
  assert.equal(order, ['large', 'small']);
});

test('a higher priority goes first, until a lower one has waited long enough', async () => {
  let now = 0;
  const capacity = new Capacity({ ...total, slots: 1 }, { monotonic: () => now });
  const order: string[] = [];
  const ask = (name: string, priority: number) =>
    capacity.acquire(share(1), priority, { signal: never }).then(release => {
      order.push(name);
      release();
    });
  const release = await capacity.acquire(share(1), 5, { signal: never });
  const all = [ask('old and low', 1), ask('second', 5), ask('high', 10)];
  now = 10 * 60_000;
  all.push(ask('late and high', 10));
  release();
  await Promise.all(all);
  assert.equal(order, ['high', 'second', 'old and low', 'late and high']);
});

test('who stops waiting lets the next through', async () => {
  const capacity = new Capacity(total, systemClock);
  const release = await capacity.acquire(share(60), 5, { signal: never });
  const stop = new AbortController();
  const large = codeThrown(capacity.acquire(share(80), 9, { signal: stop.signal }));
  const small = capacity.acquire(share(10), 5, { signal: never });
  stop.abort(Object.assign(new Error('gone'), { code: 'GONE' }));
  assert.is(await large, 'GONE');
  (await small)();
  release();
  const late = capacity.acquire(share(1), 5, { signal: stop.signal });
  assert.is(await codeThrown(late), 'GONE');
  assert.equal(capacity.free, total);
});

test('a message that comes at the moment of an abort is not lost', async () => {
  const { requester, worker } = localChannels('self');
  const stop = new AbortController();
  const reading = receiveWithin(requester, 10_000, { signal: stop.signal, clock: systemClock }).catch(
    () => 'lost',
  );
  void worker.send({ type: 'heartbeat' });
  stop.abort(new Error('now'));
  const first = await reading;
  const message = first === 'lost' ? await requester.receive() : first;
  assert.equal(message, { type: 'heartbeat' });
  void worker.send({ type: 'unknown' });
  const aborted = receiveWithin(requester, 10_000, { signal: stop.signal, clock: systemClock }).catch(
    () => 'lost',
  );
  const second = await aborted;
  assert.equal(second === 'lost' ? await requester.receive() : second, { type: 'unknown' });
});

test('silence for too long is a timeout', async () => {
  const { requester } = localChannels('self');
  const clock: Clock = {
    ...systemClock,
    after(_ms, fn) {
      setImmediate(fn);
      return () => undefined;
    },
  };
  assert.is(await codeThrown(receiveWithin(requester, 1, { clock })), 'TIMEOUT');
});

test('no more than the limit are inside, by priority, and who leaves the line costs no place', async () => {
  const room = new WaitingRoom(systemClock, 2);
  let inside = 0;
  let most = 0;
  const order: number[] = [];
  const doors = Array.from({ length: 8 }, () => deferred<void>());
  const stops = doors.map(() => new AbortController());
  const visits = doors.map((door, i) =>
    room
      .enter(i, stops[i]!.signal, async () => {
        order.push(i);
        most = Math.max(most, ++inside);
        await door.promise;
        inside--;
      })
      .catch(() => undefined),
  );
  await turn();
  stops[7]!.abort(new Error('waits no longer'));
  doors[0]!.resolve();
  stops[6]!.abort(new Error('just when it was its turn'));
  await turn();
  for (const door of doors) {
    door.resolve();
    await turn();
  }
  await Promise.all(visits);
  assert.is(most, 2);
  assert.equal(order, [0, 1, 5, 4, 3, 2]);
  await room.enter(1, never, async () => undefined);
});

test('those who rest are woken by time, by a place, or by the money they need', async () => {
  const timers: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    after(_ms, fn) {
      timers.push(fn);
      return () => undefined;
    },
  };
  const room = new WaitingRoom(clock, 1);
  const woken: string[] = [];
  const rest = (name: string, priority: number, needs?: bigint) =>
    room
      .rest(1_000, needs === undefined ? { priority } : { priority, needs }, never)
      .then(() => woken.push(name));
  const all = [
    rest('low', 1),
    rest('high', 9),
    rest('dear', 9, 100n),
    rest('cheap', 1, 5n),
    rest('timed', 1),
  ];
  room.wakeOne();
  await turn();
  assert.equal(woken, ['high']);
  room.wakeFunded(50n);
  await turn();
  assert.equal(woken, ['high', 'cheap']);
  timers[4]!();
  await turn();
  assert.equal(woken, ['high', 'cheap', 'timed']);
  room.wakeAll();
  await Promise.all(all);
  assert.equal(woken.slice(3).sort(), ['dear', 'low']);
});

test('the pause grows to its limit, at random', () => {
  assert.is(
    backoffMs(0, () => 1),
    500,
  );
  assert.is(
    backoffMs(3, () => 0.5),
    2_000,
  );
  assert.is(
    backoffMs(1_000, () => 1),
    60_000,
  );
  assert.is(
    backoffMs(5, () => 0),
    0,
  );
});

test.run();
