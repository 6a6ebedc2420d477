import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_SECOND_VALUE } from '../../src/market/options.ts';
import {
  type BidFacts,
  choiceOf,
  costOf,
  costParts,
  factsOf,
  rank,
  startsInMs,
} from '../../src/market/score.ts';
import { type Experience, NO_EXPERIENCE, withOutcome } from '../../src/reputation/index.ts';
import type { Estimate } from '../../src/wire/index.ts';
import { FLOP } from '../fixtures/nodes.ts';

const test = suite('market: score');

const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);

test('the cost of a bid is its ask, its waiting, and the risk of its failure', () => {
  const facts = {
    ask: FLOP,
    queueMs: 0,
    bytesMissing: 0,
    expectedMs: 10_000,
    success: 1,
    secondValue: 100_000n,
    isDoubtful: false,
  };
  near(costOf(facts), 1 + 0.001 * 10);
  near(costOf({ ...facts, queueMs: 5_000 }), 1 + 0.001 * 15);
  near(costOf({ ...facts, bytesMissing: 12_500_000 }), 1 + 0.001 * 11);
  near(costOf({ ...facts, success: 0.5 }), 1 + 0.001 * 10 + 0.001 * (5 + 30));
  assert.ok(Number.isFinite(costOf({ ...facts, success: 0 })));
  assert.is(costOf({ ...facts, success: 7 }), costOf(facts));
  assert.is(costOf({ ...facts, secondValue: 0n }), 1, 'who has time pays the ask alone');
});

const facts: fc.Arbitrary<BidFacts> = fc.record({
  ask: fc.bigInt(0n, 2n ** 63n - 1n),
  queueMs: fc.nat(30 * 86_400_000),
  bytesMissing: fc.maxSafeNat(),
  expectedMs: fc.nat(2 ** 40),
  success: fc.double({ min: 0, max: 1, noNaN: true }),
  secondValue: fc.bigInt(0n, MAX_SECOND_VALUE),
  isDoubtful: fc.boolean(),
});

test('the parts of a cost are none of them negative, and add up to it', () => {
  fc.assert(
    fc.property(facts, one => {
      const parts = Object.values(costParts(one));
      assert.ok(parts.every(part => part >= 0 && Number.isFinite(part)));
      const sum = parts.reduce((total, part) => total + part, 0);
      assert.ok(Math.abs(sum - costOf(one)) <= 1e-9 * sum);
      assert.ok(costOf(one).toFixed(9).length <= 30, 'what a record takes');
    }),
  );
});

test('whatever gets worse, the cost never falls', () => {
  fc.assert(
    fc.property(facts, fc.nat(2 ** 30), fc.double({ min: 0, max: 1, noNaN: true }), (one, more, less) => {
      const worse: Partial<BidFacts>[] = [
        { ask: one.ask + BigInt(more) },
        { queueMs: one.queueMs + more },
        { bytesMissing: one.bytesMissing + more },
        { expectedMs: one.expectedMs + more },
        { success: one.success * less },
      ];
      for (const change of worse) assert.ok(costOf({ ...one, ...change }) >= costOf(one));
    }),
  );
});

const estimate: Estimate = {
  ask: FLOP,
  queuePosition: 0,
  queueMs: 100,
  etaMs: 10_000,
  imageCached: true,
  bytesMissing: 1_000,
};

const stranger = (bid: Estimate, isSelf: boolean) =>
  factsOf(bid, NO_EXPERIENCE, { isSelf, secondValue: 100_000n });

/** Experience after `count` tasks, of which the first `failures` failed; the others took `slowness` times as long as was claimed. */
function after(count: number, failures = 0, slowness = 1): Experience {
  let known = NO_EXPERIENCE;
  for (let i = 0; i < count; i++) {
    const success = i >= failures;
    const time = success ? { claimedMs: 1_000, actualMs: 1_000 * slowness } : null;
    known = withOutcome(known, { success, time }, 0);
  }
  return known;
}

test('what a bid lacks: inputs that it does not have, and an image; on the own node the image alone', () => {
  assert.is(stranger(estimate, false).bytesMissing, 1_000);
  assert.is(stranger(estimate, true).bytesMissing, 0);
  const bare = { ...estimate, imageCached: false };
  assert.is(stranger(bare, true).bytesMissing, 64 * 2 ** 20);
  assert.is(startsInMs(stranger(estimate, false)), 100);
  assert.is(startsInMs(stranger(bare, true)), 5_469);
  const hostile = stranger({ ...bare, bytesMissing: Number.MAX_SAFE_INTEGER }, false);
  assert.ok(Number.isSafeInteger(hostile.bytesMissing), 'what a record can keep');
});

test('a worker that is known to be slow is expected to be slow, one that failed to fail', () => {
  const of = (known: Experience) => factsOf(estimate, known, { isSelf: false, secondValue: 1n });
  const slow = of(after(50, 0, 4)).expectedMs;
  assert.ok(slow > 35_000 && slow < 42_000, `${slow}`);
  assert.ok(of(after(50, 0, 0.25)).expectedMs < 3_000);
  assert.ok(of(after(20)).success > of(NO_EXPERIENCE).success);
  assert.ok(of(after(20, 10)).success < of(NO_EXPERIENCE).success);
});

test('any bid of any worker has facts that a record can keep, and a finite cost', () => {
  const bid: fc.Arbitrary<Estimate> = fc.record({
    ask: fc.bigInt(0n, 2n ** 63n - 1n),
    queuePosition: fc.nat(100_000),
    queueMs: fc.nat(30 * 86_400_000),
    etaMs: fc.nat(30 * 86_400_000),
    imageCached: fc.boolean(),
    bytesMissing: fc.maxSafeNat(),
  });
  const known = fc
    .tuple(fc.nat(30), fc.nat(30), fc.double({ min: 1e-3, max: 1e3, noNaN: true }))
    .map(([count, failures, slowness]) => after(count, failures, slowness));
  fc.assert(
    fc.property(bid, known, fc.boolean(), (one, experience, isSelf) => {
      const known = factsOf(one, experience, { isSelf, secondValue: 100_000n });
      const { ask: _, secondValue: __, isDoubtful: ___, success, ...counts } = known;
      assert.ok(Object.values(counts).every(count => Number.isSafeInteger(count) && count >= 0));
      assert.ok(success > 0 && success < 1);
      assert.is(Math.round(success * 1e6) / 1e6, success);
      assert.ok(Number.isFinite(costOf(known)));
    }),
  );
});

test('bids are tried from the best on; one within the band goes first', () => {
  const bids = [{ score: 2 }, { score: 1.02 }, { score: 1 }, { score: 1.2 }];
  const scores = (...random: number[]) => rank(bids, () => random.shift() ?? 0).map(({ score }) => score);
  assert.equal(scores(0.5, 0), [1, 1.02, 1.2, 2]);
  assert.equal(scores(0.5, 0.99), [1.02, 1, 1.2, 2]);
  assert.equal(scores(0.01, 0.99), [2, 1, 1.02, 1.2], 'now and then any may go first');
  assert.equal(rank([], Math.random), []);
});

const bidOf = <T extends number | null>(worker: string, score: T, isDoubtful = false) => ({
  worker,
  score,
  isDoubtful,
  facts: { queueMs: 0, isDoubtful },
  refusal: null,
});
const scored = fc
  .array(fc.double({ min: 0.001, max: 10, noNaN: true }), { minLength: 1, maxLength: 20 })
  .map(scores => scores.map((score, index) => bidOf(`${index}`, score)));
const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('every bid is tried once; the first is within 3 % of the best or explored, and the choice says which', () => {
  fc.assert(
    fc.property(scored, draw, draw, (bids, explore, pick) => {
      const draws = [explore, pick];
      const order = rank(bids, () => draws.shift() as number);
      assert.equal(order.map(({ worker }) => worker).sort(), bids.map(({ worker }) => worker).sort());
      const [first, ...rest] = order as [(typeof bids)[number], ...typeof bids];
      assert.equal(
        rest.map(({ score }) => score),
        rest.map(({ score }) => score).sort((a, b) => a - b),
      );
      const best = Math.min(...bids.map(({ score }) => score));
      const equals = bids.filter(({ score }) => score <= best * 1.03);
      const choice = choiceOf(order, first.worker);
      if (bids.length === 1) assert.is(choice, 'only');
      else if (equals.includes(first)) assert.is(choice, equals.length > 1 ? 'equals' : 'best');
      else assert.is(choice, explore < 0.03 && 'explore');
      for (const { worker } of rest) assert.is(choiceOf(order, worker), 'next');
    }),
  );
});

test('who is doubtful comes after all others, whatever it asks, and is the best only among its like', () => {
  const bids = [bidOf('liar', 0.1, true), bidOf('dear', 3), bidOf('fair', 2), bidOf('thief', 0.2, true)];
  const order = rank(bids, () => 0.5);
  assert.equal(
    order.map(({ worker }) => worker),
    ['fair', 'dear', 'liar', 'thief'],
  );
  assert.is(choiceOf(order, 'fair'), 'best');
  const explored = rank(
    bids,
    (
      draws => () =>
        draws.shift() ?? 0
    )([0, 0.9]),
  );
  assert.is(explored[0]?.worker, 'thief');
  assert.is(choiceOf(explored, 'thief'), 'explore');
  const alone = bids.filter(({ isDoubtful }) => isDoubtful);
  assert.is(
    choiceOf(
      rank(alone, () => 0.5),
      'liar',
    ),
    'best',
  );
});

test('there is no reason for a choice that nobody made', () => {
  const bids = [bidOf('a', 1), bidOf('b', null)];
  assert.is(choiceOf(bids, null), null);
  assert.is(choiceOf(bids, 'b'), null);
  assert.is(choiceOf(bids, 'a'), 'only');
  assert.is(choiceOf([], 'a'), null);
});

test('busy bidders are no choice while another is free; the first of them that has a slot is', () => {
  const bids = [
    { ...bidOf('busy', 1), facts: { queueMs: 500, isDoubtful: false } },
    bidOf('free', 2),
    bidOf('dear', 4),
  ];
  assert.equal(
    bids.map(({ worker }) => choiceOf(bids, worker)),
    ['first_free', 'best', 'next'],
  );
  const taken = { ...bidOf('free', 2), refusal: { code: 'SLOT_TAKEN' } };
  assert.is(choiceOf([bids[0]!, taken], 'free'), 'first_free');
});

test.run();
