import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { localChannels, receiveWithin } from '../../src/market/channel.ts';
import { backoffMs, WaitingRoom } from '../../src/market/requester/waiting-room.ts';
import { type Clock, deferred, RecentMap, systemClock } from '../../src/util/index.ts';
import { movableClock } from '../fixtures/movable-clock.ts';
import { codeThrown } from './support.ts';

const test = suite('market: parts');

const never = new AbortController().signal;
const turn = () => new Promise(resolve => setImmediate(resolve));

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

test('what is recent is kept: within its age, and the newest of too many', () => {
  const clock = movableClock();
  const map = new RecentMap<number>({ limit: 2, ageMs: 1_000 }, clock);
  for (const [key, value] of [
    ['a', 1],
    ['b', 2],
    ['a', 3],
    ['c', 4],
  ] as const)
    map.set(key, value);
  assert.equal(
    ['a', 'b', 'c'].map(key => map.get(key)),
    [3, undefined, 4],
  );
  clock.jump(1_000);
  assert.equal(
    ['a', 'c'].map(key => map.get(key)),
    [undefined, undefined],
  );
  map.set('d', 5);
  assert.is(map.get('d'), 5);
});

test('no more than the limit are inside, by priority, and who leaves the line costs no place', async () => {
  const room = new WaitingRoom(systemClock, { value: 2 });
  let inside = 0;
  let most = 0;
  const order: number[] = [];
  const doors = Array.from({ length: 8 }, () => deferred<void>());
  const stops = doors.map(() => new AbortController());
  const visits = doors.map((door, i) =>
    room
      .enter({ priority: i, submittedAt: 0 }, stops[i]!.signal, async () => {
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
  await room.enter({ priority: 1, submittedAt: 0 }, never, async () => undefined);
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
  const room = new WaitingRoom(clock, { value: 1 });
  const woken: string[] = [];
  const rest = (name: string, priority: number, needs: bigint | null = null) =>
    room.rest(1_000, { priority, submittedAt: 0, needs }, never).then(() => woken.push(name));
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

test('who was submitted first goes first, and a step of priority is worth a minute', async () => {
  const room = new WaitingRoom(systemClock, { value: 1 });
  const order: string[] = [];
  const door = deferred<void>();
  const enter = (name: string, priority: number, submittedAt: number) =>
    room.enter({ priority, submittedAt }, never, async () => void order.push(name));
  const first = room.enter({ priority: 1, submittedAt: 0 }, never, () => door.promise);
  const all = [enter('late', 5, 9_000), enter('early', 5, 3_000), enter('old', 1, -300_000)];
  door.resolve();
  await Promise.all([first, ...all]);
  assert.equal(order, ['old', 'early', 'late']);
});

test('a limit that grows lets in those who wait', async () => {
  const limit = { value: 1 };
  const room = new WaitingRoom(systemClock, limit);
  const doors = Array.from({ length: 4 }, () => deferred<void>());
  let inside = 0;
  const visits = doors.map((door, i) =>
    room.enter({ priority: 5, submittedAt: i }, never, () => {
      inside++;
      return door.promise;
    }),
  );
  assert.is(inside, 1);
  limit.value = 3;
  doors[0]!.resolve();
  await turn();
  assert.is(inside, 4);
  for (const door of doors) door.resolve();
  await Promise.all(visits);
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
