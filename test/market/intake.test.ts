import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultWindows } from '../../src/market/options.ts';
import {
  allRefuseForGood,
  blames,
  executions,
  hasFunds,
  inWordsOf,
  nextAttempt,
} from '../../src/market/requester/attempts.ts';
import { termsFor } from '../../src/market/terms.ts';
import { type AwardMessage, checkAward, refuseAward } from '../../src/market/worker/intake.ts';
import {
  type AttemptRecord,
  type Award,
  awardKind,
  type Offer,
  offerKind,
  orderKind,
  type Signer,
  saltedSpecHash,
  seal,
  signerFromSeed,
  type TaskFailure,
  type TaskRecord,
  type TaskSpec,
  taskIdOf,
  taskSpecMessage,
  termsHash,
} from '../../src/wire/index.ts';
import { FLOP, taskRequest } from '../fixtures/nodes.ts';
import { codeThrown } from './support.ts';

const test = suite('market: intake');

const NOW = 1_800_000_000_000;
const net = new Uint8Array(32).fill(1);
const salt = new Uint8Array(32).fill(2);
const hash = new Uint8Array(32).fill(3);
const seed = (fill: number) => new Uint8Array(32).fill(fill);
const requester = signerFromSeed(seed(11));
const worker = signerFromSeed(seed(12));
const stranger = signerFromSeed(seed(13));
const { spec: plain } = taskRequest();

interface Deal {
  readonly net?: Uint8Array;
  readonly spec?: TaskSpec;
  /** What is sent in place of what was ordered. */
  readonly sent?: TaskSpec;
  readonly offer?: Partial<Offer>;
  readonly award?: Partial<Award>;
  readonly signers?: { offer?: Signer; order?: Signer; award?: Signer };
}

/** An award with all that comes along; sound unless something is changed. */
function deal(change: Deal = {}): AwardMessage {
  const spec = change.spec ?? plain;
  const on = change.net ?? net;
  const {
    offer: offerBy = requester,
    order: orderBy = requester,
    award: awardBy = requester,
  } = change.signers ?? {};
  const specHash = saltedSpecHash(salt, spec);
  const order = seal(
    orderKind,
    { net: on, requester: requester.peer, nonce: hash, saltedSpecHash: specHash },
    orderBy,
  );
  const ref = { taskId: taskIdOf(order), replica: 0, attempt: 1 };
  const terms = termsFor(plain);
  const offer = seal(
    offerKind,
    {
      net: on,
      ...ref,
      requester: requester.peer,
      needs: {
        milliCpus: plain.milliCpus,
        memoryBytes: plain.memoryBytes,
        diskBytes: plain.diskBytes,
        gpus: null,
        network: false,
        runtime: null,
        architecture: null,
        image: plain.image,
        inputBytes: taskSpecMessage.encode(plain).length,
        outputBytes: plain.outputBytes,
      },
      terms,
      maxPrice: 5n * FLOP,
      priority: 5,
      bidWindowMs: 50,
      issuedAt: NOW,
      deadline: NOW + 60_000,
      verification: 'check',
      funds: null,
      ...change.offer,
    },
    offerBy,
  );
  const award = seal(
    awardKind,
    {
      net: on,
      ...ref,
      requester: requester.peer,
      worker: worker.peer,
      price: FLOP,
      offerHash: offer.digest,
      bidHash: hash,
      specHash,
      termsHash: termsHash(terms),
      awardedAt: NOW,
      ...change.award,
    },
    awardBy,
  );
  const sent = taskSpecMessage.encode(change.sent ?? spec);
  return {
    type: 'award',
    award: award.bytes,
    offer: offer.bytes,
    order: order.bytes,
    salt,
    spec: sent,
    atOnce: false,
  };
}

const check = (message: AwardMessage, from = requester.peer) => checkAward(message, from, worker.peer, net);

test('a sound award is taken', () => {
  const { award, spec } = check(deal());
  assert.is(award.body.price, FLOP);
  assert.equal(spec, plain);
  assert.equal(check(deal(contested)).offer.body.terms.arbiters, [stranger.peer]);
});

const other = new Uint8Array(32).fill(9);
const otherTask = taskIdOf(
  seal(orderKind, { net, requester: requester.peer, nonce: other, saltedSpecHash: hash }, requester),
);
const judged = termsFor(plain, defaultWindows, [stranger.peer]);
/** Under arbiters, who would run it again. */
const contested: Deal = { offer: { terms: judged }, award: { termsHash: termsHash(judged) } };
const tampered: [what: string, code: string, change: Deal][] = [
  ['an award signed by another', 'AWARD_INVALID', { signers: { award: stranger } }],
  ['an offer signed by another', 'AWARD_INVALID', { signers: { offer: stranger } }],
  ['an order signed by another', 'AWARD_INVALID', { signers: { order: stranger } }],
  ['another network', 'AWARD_INVALID', { net: other }],
  ['another network in the award', 'AWARD_INVALID', { award: { net: other } }],
  ['another worker', 'AWARD_INVALID', { award: { worker: stranger.peer } }],
  ['another requester', 'AWARD_INVALID', { award: { requester: stranger.peer } }],
  ['another task', 'AWARD_INVALID', { award: { taskId: otherTask } }],
  ['another attempt', 'AWARD_INVALID', { award: { attempt: 2 } }],
  ['another task in both', 'AWARD_INVALID', { award: { taskId: otherTask }, offer: { taskId: otherTask } }],
  ['another offer', 'AWARD_INVALID', { award: { offerHash: other } }],
  ['other terms', 'AWARD_INVALID', { award: { termsHash: other } }],
  ['another spec hash', 'AWARD_SPEC', { award: { specHash: other } }],
  ['another spec', 'AWARD_SPEC', { sent: { ...plain, env: { A: 'b' } } }],
  ['more CPU', 'AWARD_SPEC', { spec: { ...plain, milliCpus: plain.milliCpus + 1 } }],
  ['more memory', 'AWARD_SPEC', { spec: { ...plain, memoryBytes: plain.memoryBytes + 1 } }],
  ['more disk', 'AWARD_SPEC', { spec: { ...plain, diskBytes: plain.diskBytes + 1 } }],
  ['more time', 'AWARD_SPEC', { spec: { ...plain, timeoutMs: plain.timeoutMs + 1 } }],
  ['another image', 'AWARD_SPEC', { spec: { ...plain, image: 'other' } }],
  ['larger inputs', 'AWARD_SPEC', { spec: { ...plain, env: { LARGE: 'x'.repeat(1_000) } } }],
  ['arbiters and a sandbox used before', 'AWARD_SPEC', { ...contested, spec: { ...plain, reuse: true } }],
];

for (const [what, code, change] of tampered)
  test(`an award with ${what} is refused`, async () => {
    assert.is(await codeThrown((async () => check(deal(change)))()), code);
  });

test('an award that comes from another peer than its requester is refused', async () => {
  assert.is(await codeThrown((async () => check(deal(), stranger.peer))()), 'AWARD_INVALID');
});

test('a flipped byte anywhere is refused', async () => {
  for (const part of ['award', 'offer', 'order'] as const) {
    const message = deal();
    const bytes = new Uint8Array(message[part]);
    const at = bytes.length - 10;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    assert.match(await codeThrown((async () => check({ ...message, [part]: bytes }))()), /^WIRE_|^AWARD_/);
  }
});

test('a sound award is refused when its bid is gone or differs, or the clocks do', () => {
  const checked = check(deal());
  const bid = { ask: FLOP, offerHash: checked.offer.digest };
  const takes = { hasRoom: true, wouldRefuse: undefined, allowedHosts: [], now: NOW };
  const refuse = (view: Partial<Parameters<typeof refuseAward>[1]>) =>
    refuseAward(checked, { ...takes, bid, ...view })?.code;
  assert.is(refuse({}), undefined);
  assert.is(refuse({ hasRoom: false }), 'BUSY');
  assert.is(refuse({ bid: null }), 'BID_EXPIRED');
  assert.is(refuse({ bid: { ...bid, ask: 2n * FLOP } }), 'BID_DIFFERS');
  assert.is(refuse({ bid: { ...bid, offerHash: other } }), 'BID_DIFFERS');
  assert.is(refuse({ now: NOW + 60_001 }), 'CLOCK');
  const online = { ...checked, spec: { ...checked.spec, allowHosts: ['a.example.org'] } };
  const letTo = (...allowedHosts: string[]) => refuseAward(online, { ...takes, bid, allowedHosts });
  assert.equal(letTo('b.example.org'), {
    code: 'NO_NETWORK',
    reason: 'lets no task reach a.example.org',
    permanent: true,
  });
  assert.is(letTo('*.example.org'), undefined);
  assert.is(refuse({ wouldRefuse: { code: 'BUSY', reason: '', permanent: false } }), 'BUSY');
});

const attempt = (change: Partial<AttemptRecord>) =>
  ({
    attempt: 1,
    award: null,
    acceptance: null,
    failure: null,
    bids: [],
    silent: [],
    money: 'none',
    price: null,
    pay: 0n,
    ...change,
  }) as AttemptRecord;
const record = (...attempts: AttemptRecord[]) =>
  ({ policy: taskRequest().policy, attempts }) as unknown as TaskRecord;
const failure = (errorClass: TaskFailure['class'], code: string): TaskFailure => ({
  class: errorClass,
  code,
  message: '',
});

test('an auction without an award keeps its number; an award spends it', () => {
  assert.is(nextAttempt(record()), 1);
  assert.is(nextAttempt(record(attempt({}))), 1);
  assert.is(nextAttempt(record(attempt({ award: hash }))), 2);
  assert.throws(() => nextAttempt(record(attempt({ attempt: 100, award: hash }))), /awards led to nothing/);
});

test('only executions that failed count as such, and only workers at fault are blamed', () => {
  const failed = (errorClass: TaskFailure['class'], code: string) =>
    attempt({ acceptance: hash, failure: failure(errorClass, code) });
  const all = [
    failed('worker', 'WORKER_DEAD'),
    failed('funds', 'FUNDS_INSUFFICIENT'),
    failed('network', 'LOCK_MISSING'),
  ];
  assert.is(executions(record(...all, attempt({ failure: failure('network', 'TIMEOUT') }))), 1);
  assert.ok(blames(failure('worker', 'WORKER_DEAD')));
  assert.ok(blames(failure('network', 'TIMEOUT')));
  for (const code of ['LOCK_MISSING', 'AWARD_UNANSWERED', 'LEDGER_REFUSED'])
    assert.not(blames(failure('network', code)));
  assert.not(blames(failure('user', 'TASK_EXIT')));
});

test('an execution is paid out of free money, within the bound of its task', () => {
  const { payment, maxTotal } = taskRequest().policy;
  assert.is(maxTotal, 2n * payment);
  const locked = attempt({ money: 'locked', price: payment });
  assert.ok(hasFunds(record(locked), payment));
  assert.not(hasFunds(record(locked), payment - 1n));
  assert.not(hasFunds(record(locked, attempt({ money: 'split', pay: 1n })), 10n * payment));
  assert.ok(hasFunds(record(locked, attempt({ money: 'refunded', price: payment })), payment));
  // The node's own limit, where it is the lower one: held and paid count, what came back does not.
  assert.not(hasFunds(record(locked), payment, 2n * payment - 1n));
  assert.ok(hasFunds(record(locked), payment, 3n * payment));
  const back = [
    attempt({ money: 'refunded', price: payment }),
    attempt({ money: 'split', price: payment, pay: 1n }),
  ];
  assert.not(hasFunds(record(...back), payment, payment));
  assert.ok(hasFunds(record(...back), payment, payment + 1n));
});

test('a round is hopeless when all who were asked refuse for good, now or before', () => {
  const bid = (worker: string, permanent: boolean | null) => ({
    worker,
    ask: null,
    etaMs: null,
    score: null,
    refusal: permanent === null ? null : { code: 'X', reason: '', permanent },
    facts: null,
  });
  const asked = ['a', 'b'];
  const never = { asked, refused: new Set<string>() };
  const of = (...bids: ReturnType<typeof bid>[]) => record(attempt({ bids }));
  assert.not(allRefuseForGood(of(), never));
  assert.not(allRefuseForGood(of(), { ...never, asked: [] }));
  assert.not(allRefuseForGood(of(bid('a', true), bid('b', false)), never));
  assert.not(allRefuseForGood(of(bid('a', true), bid('b', null)), never));
  assert.not(allRefuseForGood(of(bid('a', true)), never), 'b did not answer in time');
  assert.ok(allRefuseForGood(of(bid('a', true), bid('b', true)), never));
  const before = { asked, refused: new Set(['b']) };
  assert.ok(allRefuseForGood(of(bid('a', true)), before));
  assert.not(allRefuseForGood(of(bid('a', true), bid('b', false)), before));
  const ofTask = { acceptance: hash, failure: failure('worker', 'IMAGE_UNKNOWN') };
  assert.ok(allRefuseForGood(record(attempt({ ...ofTask, bids: [] })), { ...never, asked: [] }));
  assert.not(allRefuseForGood(record(attempt({ ...ofTask, bids: [] })), never), 'others may know better');
});

test('a worker may blame nobody but itself, save for a lock that did not come', () => {
  const classIn = (failure: TaskFailure) => inWordsOf(failure).class;
  for (const errorClass of ['user', 'funds', 'network', 'worker'] as const)
    assert.is(classIn({ class: errorClass, code: 'IMAGE_UNKNOWN', message: '' }), 'worker');
  assert.is(classIn({ class: 'network', code: 'LOCK_MISSING', message: '' }), 'network');
  assert.is(classIn({ class: 'funds', code: 'LOCK_MISSING', message: '' }), 'worker');
});

test.run();
