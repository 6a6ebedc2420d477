import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DECAY,
  type Experience,
  expectedMs,
  NO_EXPERIENCE,
  successBound,
  withOutcome,
} from '../../src/reputation/index.ts';

const test = suite('reputation: score');

const near = (actual: number, wanted: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(actual - wanted) <= tolerance, `${actual} is not ${wanted}`);

function after(times: number, success: boolean, start: Experience = NO_EXPERIENCE): Experience {
  let experience = start;
  for (let i = 0; i < times; i++) experience = withOutcome(experience, { success, time: null }, i);
  return experience;
}

test('a stranger is trusted as the prior says', () => {
  near(successBound(NO_EXPERIENCE), 0.9 - 0.5 * Math.sqrt(0.09 / 3));
});

test('successes raise the bound towards 1, failures lower it towards 0', () => {
  assert.ok(successBound(after(1, true)) > successBound(NO_EXPERIENCE));
  assert.ok(successBound(after(1, false)) < successBound(NO_EXPERIENCE));
  assert.ok(successBound(after(5000, true)) > 0.99);
  assert.ok(successBound(after(5000, false)) < 0.01);
});

test('the past fades: a worker that turned bad is known soon, one that mended too', () => {
  const turned = after(600, false, after(20_000, true));
  assert.ok(successBound(turned) < 0.8);
  assert.is(turned.successes, 20_000);
  assert.is(turned.failures, 600);
  near(turned.a + turned.b, (1 - DECAY ** 20_600) / (1 - DECAY), 1e-6);
  assert.ok(successBound(after(20_000, true, turned)) > 0.98);
});

test('the bound stays strictly between 0 and 1, and rises with each success', () => {
  const count = fc.double({ min: 0, max: 2000, noNaN: true });
  fc.assert(
    fc.property(count, count, (a, b) => {
      const bound = successBound({ a, b });
      assert.ok(bound > 0 && bound < 1);
      assert.ok(successBound({ a: a + 1, b }) > bound);
      assert.ok(successBound({ a, b: b + 1 }) < bound);
    }),
  );
});

test('a stranger’s estimate gets a little doubt, a known bias is learned', () => {
  near(expectedMs(NO_EXPERIENCE, 1000), 1000 * Math.exp((0.25 * 0.4) / Math.SQRT2));
  let late = NO_EXPERIENCE;
  for (let i = 0; i < 10_000; i++)
    late = withOutcome(late, { success: true, time: { claimedMs: 100, actualMs: 300 } }, i);
  near(expectedMs(late, 1000) / 3000, 1, 0.01);
});

test('no single estimate, however wild, gives more than a bounded change', () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.nat(10 ** 9), (claimedMs, actualMs, etaMs) => {
      const once = withOutcome(NO_EXPERIENCE, { success: true, time: { claimedMs, actualMs } }, 0);
      const expected = expectedMs(once, etaMs);
      assert.ok(Number.isFinite(expected) && expected > 0);
      const ratio = expected / Math.max(1, etaMs);
      assert.ok(ratio > 0.15 && ratio < 6, String(ratio));
    }),
  );
});

test.run();
