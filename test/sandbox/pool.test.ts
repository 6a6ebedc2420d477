import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Awake } from '../../src/sandbox/box.ts';
import { Leases } from '../../src/sandbox/leases.ts';
import { type BoxClass, Pool } from '../../src/sandbox/pool.ts';
import {
  type Clock,
  codeOf,
  type Deferred,
  deferred,
  noMetrics,
  silentLogger,
} from '../../src/util/index.ts';
import { rejection } from './conformance.ts';

const test = suite('sandbox: pool and leases');

/** A clock that stands still until it is moved. */
function stoppedClock(): Clock & { move(ms: number): void } {
  let now = 0;
  let timers: { at: number; fn: () => void }[] = [];
  return {
    now: () => now,
    monotonic: () => now,
    after(ms, fn) {
      const timer = { at: now + ms, fn };
      timers.push(timer);
      return () => {
        timers = timers.filter(other => other !== timer);
      };
    },
    move(ms) {
      const end = now + ms;
      for (;;) {
        const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (!next) break;
        timers = timers.filter(other => other !== next);
        now = next.at;
        next.fn();
      }
      now = end;
    },
  };
}

/** Boxes that are made when the test says so; who was released is known. */
function workshop() {
  const made: { awake: Awake; die: () => void; released: boolean }[] = [];
  const orders: Deferred<void>[] = [];
  const classOf = (key: string): BoxClass => ({
    key,
    async make() {
      const order = deferred<void>();
      orders.push(order);
      await order.promise;
      const closed = deferred<void>();
      const box = { id: `${key}-${made.length}`, closed: closed.promise } as Awake['box'];
      const entry = {
        released: false,
        die: closed.resolve,
        awake: {
          box,
          release: async () => {
            entry.released = true;
          },
        },
      };
      made.push(entry);
      return entry.awake;
    },
  });
  const settle = async () => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  return {
    made,
    classOf,
    settle,
    get ordered() {
      return orders.length;
    },
    async finish(count = 1, error?: Error) {
      for (const order of orders.splice(0, count)) error ? order.reject(error) : order.resolve();
      await settle();
    },
    get unreleased() {
      return made.filter(({ released }) => !released).length;
    },
  };
}

function fixture({ busy = false, startBoxes = 2, maxBoxes = 4 } = {}) {
  const clock = stoppedClock();
  const shop = workshop();
  let isBusy = busy;
  const pool = new Pool(
    { clock, logger: silentLogger, metrics: noMetrics, isBusy: () => isBusy },
    { startBoxes, maxBoxes },
  );
  return {
    clock,
    shop,
    pool,
    setBusy(value: boolean) {
      isBusy = value;
    },
  };
}

test('off, it makes what is asked for and keeps nothing', async () => {
  const { pool, shop } = fixture();
  pool.expect(shop.classOf('a'));
  assert.is(shop.ordered, 0);
  const taken = pool.take(shop.classOf('a'), {});
  await shop.finish();
  assert.is((await taken).box.id, 'a-0');
  assert.is(shop.ordered, 0);
  assert.is(pool.size, 0);
});

test('what is expected waits; what is taken is made anew a moment later, one at a time', async () => {
  const { pool, shop, clock } = fixture();
  await pool.keep(true);
  pool.expect(shop.classOf('a'));
  assert.is(shop.ordered, 1);
  await shop.finish();
  assert.is(shop.ordered, 1);
  await shop.finish();
  assert.is(pool.size, 2);
  assert.is(shop.ordered, 0);
  await pool.take(shop.classOf('a'), {});
  assert.is(pool.size, 1);
  assert.is(shop.ordered, 0);
  clock.move(100);
  assert.is(shop.ordered, 1);
});

test('a miss makes its class grow, up to what all may hold', async () => {
  const { pool, shop } = fixture();
  await pool.keep(true);
  const taken = Array.from({ length: 6 }, () => pool.take(shop.classOf('a'), {}));
  assert.is(shop.ordered, 6);
  await shop.finish(6);
  assert.is(new Set((await Promise.all(taken)).map(({ box }) => box.id)).size, 6);
  for (let left = 10; left > 0 && shop.ordered > 0; left--) await shop.finish();
  assert.is(pool.size, 4);
});

test('whoever waits gets the next one that is made, even one that was made for the shelf', async () => {
  const { pool, shop } = fixture();
  await pool.keep(true);
  pool.expect(shop.classOf('a'));
  const taken = pool.take(shop.classOf('a'), {});
  assert.is(shop.ordered, 1);
  await shop.finish();
  assert.is((await taken).box.id, 'a-0');
});

test('a failure reaches one who waits, and only where nothing else is under way for them', async () => {
  const { pool, shop } = fixture();
  const first = pool.take(shop.classOf('a'), {});
  const second = pool.take(shop.classOf('a'), {});
  await shop.finish(1, Object.assign(new Error('no room'), { code: 'X' }));
  assert.is(String(await rejection(first)), 'Error: no room');
  await shop.finish();
  assert.ok(await second);
});

test('an aborted wait gives its box to the shelf, and one too many is removed', async () => {
  const { pool, shop } = fixture({ startBoxes: 1, maxBoxes: 1 });
  await pool.keep(true);
  const stop = new AbortController();
  const waits = [1, 2].map(() => rejection(pool.take(shop.classOf('a'), { signal: stop.signal })));
  stop.abort(new Error('gone'));
  for (const wait of waits) assert.is(String(await wait), 'Error: gone');
  await shop.finish(2);
  assert.is(pool.size, 1);
  assert.is(shop.unreleased, 1);
});

test('while the tasks want every core it waits for one to fall idle, but not for ever', async () => {
  const { pool, shop, clock } = fixture({ busy: true });
  await pool.keep(true);
  pool.expect(shop.classOf('a'));
  assert.is(shop.ordered, 0);
  clock.move(400);
  assert.is(shop.ordered, 0);
  clock.move(200);
  assert.is(shop.ordered, 1);
});

test('one that dies while it waits is never handed out', async () => {
  const { pool, shop } = fixture();
  await pool.keep(true);
  pool.expect(shop.classOf('a'));
  await shop.finish();
  await shop.finish();
  shop.made[0]?.die();
  await shop.settle();
  assert.is(shop.made[0]?.released, true);
  assert.is((await pool.take(shop.classOf('a'), {})).box.id, 'a-1');
});

test('a class that nobody asks for shrinks and is given up; an expected one keeps its start', async () => {
  const { pool, shop, clock } = fixture({ maxBoxes: 8 });
  await pool.keep(true);
  pool.expect(shop.classOf('a'));
  await shop.finish();
  await shop.finish();
  const taken = [1, 2, 3].map(() => pool.take(shop.classOf('b'), {}));
  for (let left = 10; left > 0 && shop.ordered > 0; left--) await shop.finish();
  await Promise.all(taken);
  assert.ok(pool.size > 4, String(pool.size));
  clock.move(120_000);
  assert.is(pool.size, 4);
  clock.move(300_000);
  assert.is(pool.size, 2);
  assert.is((await pool.take(shop.classOf('a'), {})).box.id, 'a-0');
});

test('turned off and closed, everything that waits is removed, and who waits is told', async () => {
  const { pool, shop } = fixture();
  await pool.keep(true);
  pool.expect(shop.classOf('a'));
  await shop.finish();
  await pool.keep(false);
  assert.is(pool.size, 0);
  assert.is(shop.made[0]?.released, true);
  const waiting = rejection(pool.take(shop.classOf('b'), {}));
  const closing = pool.close();
  assert.is(codeOf(await waiting), 'SANDBOX_UNAVAILABLE');
  await shop.finish(shop.ordered);
  await closing;
  assert.is(shop.unreleased, 0);
  assert.is(codeOf(await rejection(pool.take(shop.classOf('a'), {}))), 'SANDBOX_UNAVAILABLE');
});

/** A box of a workshop that is at work. */
async function boxOf(shop: ReturnType<typeof workshop>): Promise<Awake> {
  const making = shop.classOf('a').make();
  await shop.finish();
  return making;
}

test('a kept box goes to its own key alone, once it was renewed', async () => {
  const { clock, shop } = fixture();
  const leases = new Leases({ clock });
  const renewed = deferred<void>();
  const awake = await boxOf(shop);
  leases.put('alice', awake, () => renewed.promise);
  assert.is(await leases.take('bob'), undefined);
  const taking = leases.take('alice');
  renewed.resolve();
  assert.is(await taking, awake);
  assert.is(await leases.take('alice'), undefined);
});

test('a box that cannot be renewed, that dies, or that nobody comes for is removed', async () => {
  const { clock, shop } = fixture();
  const leases = new Leases({ clock });
  leases.put('alice', await boxOf(shop), () => Promise.reject(new Error('a file cannot be removed')));
  assert.is(await leases.take('alice'), undefined);
  leases.put('alice', await boxOf(shop), async () => {});
  shop.made[1]?.die();
  await shop.settle();
  assert.is(await leases.take('alice'), undefined);
  leases.put('alice', await boxOf(shop), async () => {});
  clock.move(10_001);
  await shop.settle();
  assert.is(await leases.take('alice'), undefined);
  assert.is(shop.unreleased, 0);
});

test('a box serves a thousand tasks at most, and no more than sixteen are kept', async () => {
  const { clock, shop } = fixture();
  const leases = new Leases({ clock });
  const worn = await boxOf(shop);
  for (let use = 1; use < 1000; use++) {
    leases.put('alice', worn, async () => {});
    assert.is(await leases.take('alice'), worn);
  }
  leases.put('alice', worn, async () => {});
  assert.is(await leases.take('alice'), undefined);
  assert.is(shop.made[0]?.released, true);
  for (let owner = 0; owner < 17; owner++) leases.put(`owner ${owner}`, await boxOf(shop), async () => {});
  await shop.settle();
  assert.is(shop.unreleased, 16);
  assert.is(await leases.take('owner 0'), undefined);
  await leases.close();
  assert.is(shop.unreleased, 0);
});

test.run();
