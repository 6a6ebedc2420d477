import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { omniscientMs } from '../../scripts/sim/omniscient.ts';
import { picture } from '../../scripts/sim/picture.ts';
import { Simulation } from '../../scripts/sim/simulation.ts';
import { sizesTable } from '../../scripts/sim/tables.ts';
import { Timeline } from '../../scripts/sim/timeline.ts';
import { type SimInit, World } from '../../scripts/sim/world.ts';

const test = suite('market: simulator');

const base: SimInit = {
  nodes: 200,
  tasks: 300,
  load: 0.7,
  rttMs: 80,
  seed: 7,
  failEveryMs: 3_600_000,
  downMs: 60_000,
  binding: 'late',
};

test('events happen in the order of their time', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000)), delays => {
      const timeline = new Timeline();
      const seen: number[] = [];
      const note = (again: boolean) => () => {
        seen.push(timeline.monotonic());
        if (again) timeline.after(delays[0] ?? 0, note(false));
      };
      for (const ms of delays) timeline.after(ms, note(true));
      while (timeline.step());
      assert.is(seen.length, 2 * delays.length);
      assert.equal(
        seen,
        [...seen].sort((a, b) => a - b),
      );
    }),
  );
});

test('the median round trip is what was asked for', () => {
  const world = new World({ nodes: 2_000, seed: 3, rttMs: 50 });
  const rtts = Array.from({ length: 999 }, (_, i) => world.rtt(i, 1_999 - i)).sort((a, b) => a - b);
  assert.ok(Math.abs((rtts[499] as number) - 50) < 5);
  assert.ok((rtts[0] as number) > 1);
});

test('every task of a large network ends, at a few messages; the same seed gives the same figures', async () => {
  const result = await new Simulation(base).run();
  assert.equal(await new Simulation(base).run(), result);
  assert.not.equal(await new Simulation({ ...base, seed: 8 }).run(), result);
  assert.ok(result.messages > 5 && result.messages < 25, `${result.messages} messages`);
  assert.ok(result.p50Ms > 80 && result.p50Ms < 400, `${result.p50Ms} ms`);
  assert.ok(Math.abs(result.utilisation - base.load) < 0.1);
  const slowdown = result.meanMs / omniscientMs(base);
  assert.ok(slowdown > 1 && slowdown < 1.4, String(slowdown));
  const rows = [{ what: '200', init: base, result, slowdown }];
  assert.match(sizesTable(rows), /^\| nodes .*\n\| --- .*\n\| 200 \| \d+\.\d /);
  assert.match(picture(rows), /^<svg [\s\S]*<polyline [\s\S]*<\/svg>\n$/);
});

test('in a small network everyone is asked, and machines that fail cost time, not tasks', async () => {
  const small = { ...base, nodes: 20, tasks: 200, load: 0.5, failEveryMs: 600_000, downMs: 10_000 };
  const result = await new Simulation(small).run();
  assert.ok(result.messages > 30 && result.messages < 60, `${result.messages} messages`);
  assert.ok(result.failures > 0);
  assert.ok(Number.isFinite(result.meanMs));
  const queued = await new Simulation({ ...small, binding: 'queue' }).run();
  assert.ok(queued.meanMs > result.meanMs);
});

test.run();
