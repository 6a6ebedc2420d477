import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Capacity, type Share } from '../../src/market/capacity.ts';
import { FairQueue, type Waiting } from '../../src/market/fair-queue.ts';
import { isWithin, parseHours, whyPaused } from '../../src/market/lending.ts';
import { AuctionLimit } from '../../src/market/requester/aimd.ts';
import { systemClock } from '../../src/util/index.ts';
import { codeThrown } from './support.ts';

const test = suite('market: queue');

const total = { slots: 3, milliCpus: 100, memoryBytes: 100, diskBytes: 100, gpus: { count: 3 } };
const owner = { peer: 'owner', slots: 1 };
const nobody = { peer: 'owner', slots: 0 };
const share = (milliCpus: number) => ({ milliCpus, memoryBytes: 1, diskBytes: 1, gpus: null });
const turnOf = (requester: string, priority = 5) => ({ requester, priority, deadline: 0 });
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
          requester: fc.constantFrom('owner', 'a', 'b'),
          action: fc.constantFrom('release', 'abort', 'none'),
        }),
        { maxLength: 30 },
      ),
      async asked => {
        const capacity = new Capacity(total, owner, systemClock);
        const held = new Map<number, Share>();
        const releases = new Map<number, () => void>();
        const stops = asked.map(() => new AbortController());
        const check = () => {
          const sum = (key: 'milliCpus' | 'memoryBytes' | 'diskBytes') =>
            [...held.values()].reduce((all, other) => all + other[key], 0);
          assert.ok(held.size <= total.slots);
          const others = [...held.keys()].filter(i => asked[i]?.requester !== owner.peer).length;
          assert.ok(others <= total.slots - owner.slots, 'a slot is kept for the owner');
          for (const key of ['milliCpus', 'memoryBytes', 'diskBytes'] as const)
            assert.ok(sum(key) <= total[key]);
          const gpus = [...held.values()].reduce((all, other) => all + (other.gpus?.count ?? 0), 0);
          assert.ok(gpus <= total.gpus.count);
          assert.is(capacity.free.gpus?.count, total.gpus.count - gpus);
          assert.is(capacity.running, held.size);
        };
        const waiting = asked.map((want, i) =>
          capacity.acquire(want, turnOf(want.requester, want.priority), { signal: stops[i]!.signal }).then(
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
  const capacity = new Capacity(total, owner, systemClock);
  const first = await capacity.acquire(share(60), turnOf('a'), { signal: never });
  const order: string[] = [];
  const enter = async (name: string, milliCpus: number) => {
    await capacity.acquire(share(milliCpus), turnOf('a'), { signal: never });
    order.push(name);
  };
  const large = enter('large', 80);
  const small = enter('small', 10);
  assert.not(capacity.fitsNow(share(10), 'a'));
  await turn();
  assert.equal(order, []);
  first();
  await Promise.all([large, small]);
  assert.equal(order, ['large', 'small']);
});

test('a higher priority goes first, until a lower one has waited long enough', async () => {
  let now = 0;
  const capacity = new Capacity({ ...total, slots: 1 }, nobody, { monotonic: () => now });
  const order: string[] = [];
  const ask = (name: string, priority: number) =>
    capacity.acquire(share(1), turnOf('a', priority), { signal: never }).then(release => {
      order.push(name);
      release();
    });
  const release = await capacity.acquire(share(1), turnOf('a'), { signal: never });
  const all = [ask('old and low', 1), ask('second', 5), ask('high', 10)];
  now = 10 * 60_000;
  all.push(ask('late and high', 10));
  release();
  await Promise.all(all);
  assert.equal(order, ['high', 'second', 'old and low', 'late and high']);
});

test('who stops waiting lets the next through', async () => {
  const capacity = new Capacity(total, owner, systemClock);
  const release = await capacity.acquire(share(60), turnOf('a'), { signal: never });
  const stop = new AbortController();
  const large = codeThrown(capacity.acquire(share(80), turnOf('a', 9), { signal: stop.signal }));
  const small = capacity.acquire(share(10), turnOf('a'), { signal: never });
  stop.abort(Object.assign(new Error('gone'), { code: 'GONE' }));
  assert.is(await large, 'GONE');
  (await small)();
  release();
  const late = capacity.acquire(share(1), turnOf('a'), { signal: stop.signal });
  assert.is(await codeThrown(late), 'GONE');
  assert.equal(capacity.free, total);
});

test('the owner’s next task takes the slot that is kept for it, and no more, past those who wait', async () => {
  const capacity = new Capacity({ ...total, slots: 2 }, owner, systemClock);
  const order: string[] = [];
  const ask = (name: string, requester: string) =>
    capacity.acquire(share(1), turnOf(requester), { signal: never }).then(release => {
      order.push(name);
      return release;
    });
  const first = ask('a1', 'a');
  const second = ask('a2', 'a');
  await turn();
  assert.equal(order, ['a1']);
  assert.not(capacity.fitsNow(share(1), 'a'));
  const own = ask('own1', 'owner');
  const more = ask('own2', 'owner');
  await turn();
  assert.equal(order, ['a1', 'own1']);
  (await first)();
  (await second)();
  await turn();
  assert.equal(order, ['a1', 'own1', 'a2', 'own2']);
  for (const release of [own, more]) (await release)();
  assert.ok(capacity.fitsNow(share(1), 'a'));
});

const none = () => 0;

/** Takes all, and says whose each was. */
function drained(queue: FairQueue<Waiting & { name?: string }>): string[] {
  const order: string[] = [];
  for (let next = queue.peek(none); next; next = queue.peek(none)) {
    assert.is(queue.peek(none), next, 'looking changes nothing');
    queue.take(next);
    order.push(next.name ?? next.requester);
  }
  assert.is(queue.size, 0);
  return order;
}

test('a thousand tasks of one requester do not hold up ten of another', () => {
  const queue = new FairQueue<Waiting>();
  for (let i = 0; i < 1_000; i++) queue.add({ ...turnOf('many', 10), cost: 1 }, 0);
  for (let i = 0; i < 10; i++) queue.add({ ...turnOf('few', 1), cost: 1 }, 0);
  const order = drained(queue);
  assert.ok(order.lastIndexOf('few') <= 21, 'one by one in turn, whatever their priorities');
});

test('what a requester gets is counted by what its tasks hold, not by their number', () =>
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ requester: fc.constantFrom('a', 'b', 'c'), cost: fc.integer({ min: 1, max: 8 }) }),
        {
          minLength: 1,
          maxLength: 60,
        },
      ),
      asked => {
        const queue = new FairQueue<Waiting>();
        for (const { requester, cost } of asked) queue.add({ ...turnOf(requester), cost }, 0);
        const got = new Map<string, number>();
        for (let next = queue.peek(none); next; next = queue.peek(none)) {
          queue.take(next);
          got.set(next.requester, (got.get(next.requester) ?? 0) + next.cost);
          const waiting = ['a', 'b', 'c'].filter(name => queue.sizeOf(name) > 0 && name !== next.requester);
          for (const name of waiting)
            assert.ok(
              (got.get(next.requester) ?? 0) - (got.get(name) ?? 0) <= 8 + 8,
              'within the largest of each',
            );
        }
      },
    ),
    { numRuns: 500 },
  ));

test('who holds less of the machine goes first, until both hold the same', async () => {
  const capacity = new Capacity({ ...total, slots: 4 }, nobody, systemClock);
  const order: string[] = [];
  const releases: (() => void)[] = [];
  const ask = (requester: string, count: number) => {
    for (let i = 0; i < count; i++)
      void capacity
        .acquire(share(1), turnOf(requester), { signal: new AbortController().signal })
        .then(release => {
          order.push(requester);
          releases.push(release);
        });
  };
  ask('many', 20);
  await turn();
  ask('few', 4);
  while (releases.length > 0) {
    releases.shift()?.();
    await turn();
  }
  assert.equal(order.slice(0, 4), ['many', 'many', 'many', 'many']);
  assert.equal(order.slice(4, 6), ['few', 'few'], 'the next two that are free');
  assert.ok(order.lastIndexOf('few') <= 9, order.join());
  assert.is(order.length, 24);
});

test('in one line: priority and age, then the earliest deadline, then arrival', () => {
  const queue = new FairQueue<Waiting & { name: string }>();
  const add = (name: string, priority: number, deadline: number, now: number) =>
    queue.add({ requester: 'a', priority, deadline, cost: 1, name }, now);
  add('late deadline', 5, 900, 0);
  add('early deadline', 5, 100, 1_000);
  add('same, came later', 5, 100, 2_000);
  add('high', 9, 5_000, 3_000);
  add('higher, but hours later', 10, 1, 3_600_000);
  assert.equal(drained(queue), [
    'high',
    'early deadline',
    'same, came later',
    'late deadline',
    'higher, but hours later',
  ]);
});

test('hours of the week are read, and nothing else is', () => {
  for (const text of [
    '',
    '25:00-06:00',
    '22:60-06:00',
    '22:00-22:00',
    '22-06',
    'tod 22:00-06:00',
    'mon- 01:00-02:00',
    'mon-tue-wed 01:00-02:00',
    '24:00-01:00',
  ])
    assert.is(parseHours(text), undefined, text);
  const at = (day: number, time: string) => new Date(`2026-11-0${day}T${time}:00`); // the first is a Sunday
  const within = (text: string, date: Date) => isWithin([parseHours(text)!], date);
  assert.ok(within('22:00-06:00', at(2, '23:00')));
  assert.ok(within('22:00-06:00', at(2, '05:59')));
  assert.not(within('22:00-06:00', at(2, '06:00')));
  assert.ok(within('fri-mon 18:00-08:00', at(3, '07:00')), 'Monday’s goes on into Tuesday');
  assert.not(within('fri-mon 18:00-08:00', at(3, '19:00')));
  assert.ok(within('sat,sun 00:00-24:00', at(1, '23:59')));
  assert.not(within('sat,sun 00:00-24:00', at(2, '00:00')));
});

test('others’ tasks wait for the hours, and while the owner uses the machine', () => {
  const noon = new Date('2026-11-02T12:00:00').getTime();
  const idle = { load: 0, cores: 2, heldMilliCpus: 0 };
  const night = [parseHours('22:00-06:00')!];
  assert.is(whyPaused({ hours: null, maxLoad: null }, noon, { ...idle, load: 99 }), null);
  assert.match(whyPaused({ hours: night, maxLoad: null }, noon, idle) ?? '', 'time of the week');
  const lending = { hours: null, maxLoad: 0.5 };
  assert.match(whyPaused(lending, noon, { ...idle, load: 1.5 }) ?? '', 'owner');
  assert.is(
    whyPaused(lending, noon, { ...idle, load: 1.5, heldMilliCpus: 1_000 }),
    null,
    'tasks are no owner',
  );
});

test('auctions at a time: half where most meet full workers, one more where not, within limits', () => {
  const limit = new AuctionLimit();
  const round = (crowded: number) => {
    const size = limit.value;
    for (let i = 0; i < size; i++) limit.note(i < crowded);
    return limit.value;
  };
  assert.equal([limit.value, round(9), round(4), round(0), round(6)], [16, 8, 9, 10, 5]);
  for (let i = 0; i < 100; i++) round(0);
  assert.is(limit.value, 64);
  for (let i = 0; i < 100; i++) round(64);
  assert.is(limit.value, 4);
});

test.run();
