import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BAN_MS, PENALTY_HALF_LIFE_MS } from '../../src/network/options.ts';
import { createPeerScores } from '../../src/network/peer-scores.ts';
import { pauseMs } from '../../src/network/redial.ts';
import { type Clock, noMetrics, silentLogger, systemClock } from '../../src/util/index.ts';

const test = suite('network: scores and pauses');

function setUp() {
  const time = { now: 0 };
  const clock: Clock = { ...systemClock, monotonic: () => time.now };
  const banned: string[] = [];
  const scores = createPeerScores({
    clock,
    logger: silentLogger,
    metrics: noMetrics,
    onBan: peer => void banned.push(peer),
  });
  return { time, banned, scores };
}

test('half of a penalty is forgiven each half-life', () => {
  const { time, scores } = setUp();
  scores.report('p', 'test', 40);
  assert.is(scores.score('p'), 60);
  time.now = PENALTY_HALF_LIFE_MS;
  assert.is(scores.score('p'), 80);
  scores.report('p', 'test', 10);
  assert.is(scores.score('p'), 70);
  assert.is(scores.score('other'), 100);
});

test('a negative cost earns nothing', () => {
  const { scores } = setUp();
  scores.report('p', 'test', -50);
  assert.is(scores.score('p'), 100);
});

test('at zero a ban of ten minutes begins, once, and then half a score', () => {
  const { time, banned, scores } = setUp();
  scores.report('p', 'test', 60);
  assert.not.ok(scores.isBanned('p'));
  scores.report('p', 'test', 60);
  scores.report('p', 'test', 60);
  assert.equal(banned, ['p']);
  assert.is(scores.score('p'), 0);
  time.now = BAN_MS - 1;
  assert.ok(scores.isBanned('p'));
  time.now = BAN_MS;
  assert.not.ok(scores.isBanned('p'));
  assert.is(scores.score('p'), 50);
});

test('pauses between dials double from one second to a minute', () => {
  assert.equal(
    [0, 1, 2, 3, 6, 7, 50].map(failures => pauseMs(failures, 0)),
    [1000, 1000, 2000, 4000, 32_000, 60_000, 60_000],
  );
  assert.is(pauseMs(1, 1), 750);
});

test.run();
