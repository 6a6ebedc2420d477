import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type BidderView, decide } from '../../src/market/bidder.ts';
import { Capacity } from '../../src/market/capacity.ts';
import { defaultWindows } from '../../src/market/options.ts';
import { lockFits, lockFor, termsAreFair, termsFor } from '../../src/market/terms.ts';
import { Estimates } from '../../src/market/worker/estimates.ts';
import type { ExecutorLimits } from '../../src/sandbox/index.ts';
import { systemClock } from '../../src/util/index.ts';
import type { Award, Lock, Offer } from '../../src/wire/index.ts';
import { FLOP, taskRequest } from '../fixtures/nodes.ts';

const test = suite('market: rules');

const NOW = 1_800_000_000_000;
const { spec } = taskRequest();
const terms = termsFor(spec);
const bytes = (fill: number) => new Uint8Array(32).fill(fill);

const offer = {
  net: bytes(1),
  taskId: 'task',
  replica: 0,
  attempt: 1,
  requester: 'requester',
  needs: {
    milliCpus: 1_000,
    memoryBytes: 2 ** 26,
    diskBytes: 2 ** 24,
    gpus: null,
    network: false,
    runtime: null,
    architecture: null,
    image: 'python:3.9-slim',
    inputBytes: 100,
    outputBytes: 100,
  },
  terms,
  maxPrice: 5n * FLOP,
  priority: 5,
  bidWindowMs: 50,
  issuedAt: NOW,
  deadline: NOW + 60_000,
  verification: 'check',
  funds: null,
} as Offer;

const limits: ExecutorLimits = {
  maxDiskBytes: 2 ** 40,
  minMemoryBytes: 1,
  runtimes: ['memory'],
  gpus: null,
  allowedHosts: [],
  pullsImages: true,
};
const ID = `sha256:${'a'.repeat(64)}`;
const PIN = `python:3.9-slim@${ID}`;
const gpus = { count: 2, vendor: 'nvidia' as const, memoryBytes: 2 ** 33 };

const capacity = () =>
  new Capacity(
    { slots: 2, milliCpus: 4_000, memoryBytes: 2 ** 30, diskBytes: 2 ** 30, gpus: null },
    { peer: 'worker', slots: 0 },
    systemClock,
  );

const view: BidderView = {
  now: NOW,
  self: 'worker',
  draining: false,
  workerEnabled: true,
  paused: null,
  sandbox: { available: true, reason: null, limits, hasImage: true },
  architecture: 'x64',
  storageBytes: 1_000,
  capacity: capacity(),
  slots: 2,
  price: null,
  minAmount: FLOP / 100n,
  imagePolicy: { allowed: null, requireDigest: false },
  windows: defaultWindows,
  arbiters: ['judge', 'other', 'third'],
  payerFunds: 100n * FLOP,
  payerUnlocked: 0n,
  payerIsMember: true,
};

const lending = (change: Partial<ExecutorLimits>): Partial<BidderView> => ({
  sandbox: { available: true, reason: null, limits: { ...limits, ...change }, hasImage: true },
});
const without = (pullsImages: boolean): Partial<BidderView> => ({
  sandbox: { available: true, reason: null, limits: { ...limits, pullsImages }, hasImage: false },
});
const needing = (change: Partial<Offer['needs']>): Offer => ({
  ...offer,
  needs: { ...offer.needs, ...change },
});

const refusals: [code: string, permanent: boolean, offer: Offer, view: Partial<BidderView>][] = [
  ['NO_WORKER', true, offer, { workerEnabled: false }],
  ['DRAINING', false, offer, { draining: true }],
  ['PAUSED', false, offer, { paused: 'sleeps' }],
  [
    'NO_SANDBOX',
    false,
    offer,
    { sandbox: { available: false, reason: 'x'.repeat(900), limits, hasImage: true } },
  ],
  ['TOO_LARGE', true, offer, lending({ maxDiskBytes: 1 })],
  ['TOO_SMALL', true, offer, lending({ minMemoryBytes: 2 ** 40 })],
  ['NO_IMAGE', false, offer, without(false)],
  ['DEADLINE', true, { ...offer, deadline: NOW }, {}],
  ['RUNTIME', true, needing({ runtime: 'docker' }), {}],
  ['ARCHITECTURE', true, needing({ architecture: 'arm64' }), {}],
  ['NO_GPU', true, needing({ gpus }), {}],
  ['NO_GPU', true, needing({ gpus: { ...gpus, vendor: 'amd' } }), lending({ gpus })],
  ['NO_GPU', true, needing({ gpus: { ...gpus, count: 3 } }), lending({ gpus })],
  ['NO_GPU', true, needing({ gpus: { ...gpus, memoryBytes: 2 ** 34 } }), lending({ gpus })],
  ['NO_GPU', true, needing({ gpus, runtime: 'runsc' }), lending({ gpus, runtimes: ['runsc'] })],
  ['NO_NETWORK', true, needing({ network: true }), {}],
  [
    'NO_NETWORK',
    true,
    needing({ network: true, runtime: 'runsc' }),
    lending({ allowedHosts: ['*'], runtimes: ['runsc'] }),
  ],
  ['IMAGE_POLICY', true, offer, { imagePolicy: { allowed: ['busybox', 'team/*'], requireDigest: false } }],
  ['IMAGE_POLICY', true, offer, { imagePolicy: { allowed: null, requireDigest: true } }],
  ['IMAGE_POLICY', true, needing({ image: PIN }), { imagePolicy: { allowed: ['a/*'], requireDigest: true } }],
  ['IMAGE_POLICY', true, needing({ image: ID }), { imagePolicy: { allowed: null, requireDigest: true } }],
  ['TOO_LARGE', true, needing({ milliCpus: 4_001 }), {}],
  ['TOO_LARGE', true, needing({ memoryBytes: 2 ** 31 }), {}],
  ['TOO_LARGE', true, needing({ diskBytes: 2 ** 31 }), {}],
  ['TOO_LARGE', true, needing({ gpus }), lending({ gpus })],
  ['PRICE', true, offer, { price: 6n * FLOP }],
  ['PRICE', true, { ...offer, maxPrice: 1n }, {}],
  ['NOT_A_MEMBER', false, { ...offer, maxPrice: 0n }, { payerIsMember: false }],
  ['NO_FUNDS_PROOF', false, offer, { payerFunds: null }],
  ['FUNDS', false, offer, { payerFunds: 4n * FLOP }],
  ['FUNDS', false, offer, { payerFunds: 9n * FLOP, payerUnlocked: 5n * FLOP }],
  ['TERMS', true, { ...offer, terms: { ...terms, claimMs: 1 } }, {}],
];

for (const [code, permanent, asked, change] of refusals)
  test(`a worker refuses: ${code}`, () => {
    const decision = decide(asked, { ...view, ...change });
    assert.not(decision.bid);
    if (decision.bid) return;
    assert.equal([decision.refusal.code, decision.refusal.permanent], [code, permanent]);
    assert.ok(decision.refusal.reason.length <= 300, 'what is longer is taken for nonsense by its reader');
  });

test('an image that is not here is no hindrance where it may be pulled', () => {
  assert.ok(decide(offer, { ...view, ...without(true) }).bid);
});

test('a worker takes the images that its policy allows', () => {
  for (const [image, imagePolicy] of [
    [PIN, { allowed: null, requireDigest: true }],
    [PIN, { allowed: ['team/*', 'python:*'], requireDigest: true }],
    [PIN, { allowed: [`python@${ID}`], requireDigest: false }],
    ['python:3.9-slim', { allowed: ['docker.io/library/python:3.9-slim'], requireDigest: false }],
  ] as const)
    assert.ok(decide(needing({ image }), { ...view, imagePolicy }).bid, image);
});

test('a worker with a full queue refuses for now', () => {
  const full = capacity();
  const refusal = () => {
    const decision = decide(offer, { ...view, capacity: full });
    return decision.bid ? undefined : decision.refusal;
  };
  const fill = (requester: string, count: number) => {
    for (let i = 0; i < count; i++)
      void full.acquire(
        offer.needs,
        { requester, priority: 5, deadline: NOW },
        { signal: new AbortController().signal },
      );
  };
  fill('other', 2 + 4);
  assert.is(refusal(), undefined, 'others have one half of the queue');
  fill(offer.requester, 3);
  assert.is(refusal(), undefined);
  fill(offer.requester, 1);
  assert.is(refusal()?.code, 'BUSY');
  const half = capacity();
  for (let i = 0; i < 2 + 4; i++)
    void half.acquire(
      offer.needs,
      { requester: offer.requester, priority: 5, deadline: NOW },
      { signal: new AbortController().signal },
    );
  const decision = decide(offer, { ...view, capacity: half });
  assert.match(decision.bid ? '' : decision.refusal.reason, 'half of the queue');
});

test('a worker asks its price, or what is offered, and its own node for nothing', () => {
  const ask = (change: Partial<BidderView>) => {
    const decision = decide(offer, { ...view, ...change });
    return decision.bid ? decision.ask : null;
  };
  assert.is(ask({}), 5n * FLOP);
  assert.is(ask({ price: 2n * FLOP }), 2n * FLOP);
  assert.is(ask({ price: 1n }), FLOP / 100n, 'what a lock holds at least');
  assert.is(ask({ price: 0n }), 0n);
  assert.is(ask({ self: 'requester', price: 9n * FLOP, payerFunds: null }), 0n);
});

test('terms leave room for all phases, and unfair ones are seen', () => {
  assert.ok(termsAreFair(offer, view));
  const unfair: readonly Partial<typeof terms>[] = [
    { disputeMs: 0 },
    { disputeMs: terms.disputeMs + 1 },
    { verdictMs: terms.verdictMs + 1 },
    { claimMs: terms.claimMs - 1 },
    { claimMs: terms.claimMs + 3_600_000 },
    { verifiers: ['someone'], verifierQuorum: 1 },
    { arbiters: ['someone'] },
    { arbiterQuorum: 1 },
    { defaultPermille: 0 },
    { failureFloorPermille: 99 },
  ];
  for (const change of unfair)
    assert.not(termsAreFair({ ...offer, terms: { ...terms, ...change } }, view), Object.keys(change).join());
});

test('terms with arbiters: whom the worker trusts, as many verdicts as their number calls for, the worker paid without one', () => {
  const judged = (...arbiters: string[]) => termsFor(spec, defaultWindows, arbiters);
  for (const [arbiters, quorum] of [
    [['judge'], 1],
    [['judge', 'other'], 1],
    [['judge', 'other', 'third'], 2],
  ] as const) {
    const terms = judged(...arbiters);
    assert.equal([terms.arbiterQuorum, terms.defaultPermille], [quorum, 1000]);
    assert.ok(termsAreFair({ terms }, view));
    assert.not(termsAreFair({ terms: { ...terms, arbiterQuorum: 3 - quorum } }, view));
    assert.not(termsAreFair({ terms: { ...terms, defaultPermille: 999 } }, view));
    assert.not(termsAreFair({ terms: { ...terms, verdictMs: terms.verdictMs + 1 } }, view));
  }
  assert.not(termsAreFair({ terms: judged('judge', 'stranger', 'third') }, view));
  for (const change of [{ reuse: true }, { allowHosts: ['example.org'] }])
    assert.equal(
      termsFor({ ...spec, ...change }, defaultWindows, ['judge']),
      termsFor({ ...spec, ...change }),
    );
  const other = decide({ ...offer, terms: judged('worker') }, { ...view, self: 'worker' });
  assert.is(!other.bid && other.refusal.code, 'ARBITER');
});

const award = {
  taskId: 'task',
  replica: 0,
  attempt: 1,
  worker: 'worker',
  price: FLOP,
  awardedAt: NOW,
} as Award;
const lock: Lock = { op: 'lock', taskId: 'task', replica: 0, attempt: 1, ...lockFor(award, terms) };

test('the lock that was agreed fits', () => {
  assert.ok(lockFits(lock, award, terms));
});

const changes: Partial<Lock>[] = [
  { taskId: 'other' },
  { replica: 1 },
  { attempt: 2 },
  { amount: FLOP - 1n },
  { worker: 'other' },
  { termsHash: bytes(9) },
  { claimBy: lock.claimBy - 1 },
  { disputeBy: lock.disputeBy + 1 },
  { verdictBy: lock.verdictBy + 1 },
  { verifiers: ['someone'] },
  { verifierQuorum: 1 },
  { arbiters: ['someone'] },
  { arbiterQuorum: 1 },
  { defaultPermille: 0 },
];

for (const change of changes)
  test(`a lock with another ${Object.keys(change)[0]} does not fit`, () => {
    assert.not(lockFits({ ...lock, ...change }, award, terms));
  });

test('estimates follow what was measured, within the task’s limit', () => {
  const estimates = new Estimates();
  assert.is(estimates.executionMs(60_000), 1_000);
  for (let i = 0; i < 50; i++) estimates.learn(5_000);
  assert.ok(Math.abs(estimates.executionMs(60_000) - 5_000) < 5);
  assert.is(estimates.executionMs(500), 1_500);
  assert.ok(Math.abs(estimates.queueMs(4, 2) - 10_000) < 10);
  assert.ok(Number.isFinite(estimates.queueMs(1, 0)));
});

test.run();
