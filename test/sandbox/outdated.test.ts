import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outdatedImages } from '../../src/sandbox/docker/outdated.ts';

const test = suite('sandbox: which images go');
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const now = 1_000 * HOUR_MS;

/** Images by their sizes, each used so many hours ago. */
const images = (...list: [sizeBytes: number, hoursAgo: number][]) =>
  list.map(([sizeBytes, hoursAgo], i) => ({ name: i, sizeBytes, usedAt: now - hoursAgo * HOUR_MS }));

const goes = (list: ReturnType<typeof images>, limits: { maxAgeMs?: number; maxBytes?: number }) =>
  outdatedImages(list, { now, maxAgeMs: Number.MAX_VALUE, maxBytes: Number.MAX_VALUE, ...limits }).map(
    ({ name }) => name,
  );

test('by age: what was used longer ago, the longest unused first', () => {
  assert.equal(goes(images([1, 5], [1, 3], [1, 9]), { maxAgeMs: 4 * HOUR_MS }), [2, 0]);
  assert.equal(goes(images([1, 5]), { maxAgeMs: 5 * HOUR_MS }), []);
});

test('by size: the newest use stays while all that is newer fits', () => {
  assert.equal(goes(images([10, 1], [10, 2], [10, 3]), { maxBytes: 20 }), [2]);
  assert.equal(goes(images([30, 1], [10, 2]), { maxBytes: 20 }), [0]);
  assert.equal(goes(images([10, 1], [10, 2]), { maxBytes: 0 }), [1, 0]);
});

test('what was used in the last minute stays, and takes its room', () => {
  const list = images([50, 1 / 60], [10, 2]);
  assert.equal(goes(list, { maxBytes: 20, maxAgeMs: 0 }), [1]);
});

test('a clock that was set back makes nothing old', () => {
  assert.equal(goes(images([1, -100]), { maxAgeMs: 0, maxBytes: 0 }), []);
});

test('a thousand are kept at most', () => {
  const many = images(...Array.from({ length: 1_005 }, (_, i): [number, number] => [1, 1 + i / 100]));
  assert.equal(goes(many, {}), [1_004, 1_003, 1_002, 1_001, 1_000]);
});

test.run();
