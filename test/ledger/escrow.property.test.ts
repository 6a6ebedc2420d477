import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  drawArbiters,
  type Evidence,
  holdsMoney,
  type LedgerEscrow,
  openEscrow,
  step,
} from '../../src/ledger/index.ts';
import { CodedError } from '../../src/util/index.ts';
import { type Lock, sha256 } from '../../src/wire/index.ts';
import * as s from './support.ts';

const test = suite('ledger: escrow properties');
const RUNS = 12_000;
const ID = 'ab'.repeat(32);
const PEOPLE = ['alice', 'bob', 'carol', 'v1', 'v2', 'v3', 'a1', 'a2', 'a3'].map(name => s.person(name).peer);
const [ALICE, BOB] = PEOPLE as [string, string];
const JUDGES = PEOPLE.slice(3);

const judges = fc.subarray(JUDGES, { maxLength: 4 }).chain(keys => {
  const quorum = keys.length === 0 ? fc.constant(0) : fc.integer({ min: 1, max: keys.length });
  return quorum.map(q => ({ keys, quorum: q }));
});
const lock: fc.Arbitrary<Lock> = fc
  .record({
    amount: fc.bigInt({ min: 1n, max: 10_000_000_000n }),
    verifiers: judges,
    arbiters: judges,
    defaultPermille: fc.integer({ min: 0, max: 1000 }),
  })
  .map(({ amount, verifiers, arbiters, defaultPermille }) =>
    s.makeLock({
      amount,
      verifiers: verifiers.keys,
      verifierQuorum: verifiers.quorum,
      arbiters: arbiters.keys,
      arbiterQuorum: arbiters.quorum,
      defaultPermille,
    }),
  );

/** Mostly the right names and people, often enough the wrong ones. */
const sometimes = <T>(right: T, wrong: T) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(right) }, { weight: 1, arbitrary: fc.constant(wrong) });
const shape = fc.record({
  // Steps that go on are drawn more often than those that end it, so that all states are reached.
  kind: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('claim' as const, 'dispute' as const) },
    { weight: 1, arbitrary: fc.constantFrom('accept' as const, 'cancel' as const, 'mutual' as const) },
    { weight: 2, arbitrary: fc.constantFrom('verified' as const, 'verdict' as const) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('refund' as const, 'claimTimeout' as const, 'arbTimeout' as const),
    },
  ),
  net: sometimes(s.genesis.net, new Uint8Array(32)),
  escrowId: sometimes(ID, 'cd'.repeat(32)),
  attempt: sometimes(1, 2),
  worker: sometimes(BOB, ALICE),
  attestationDigest: sometimes(true, false),
  pay: fc.bigInt({ min: 0n, max: 12_000_000_000n }),
  signers: fc.oneof(fc.constant('right' as const), fc.subarray(PEOPLE, { maxLength: 5 })),
  waitMs: fc.oneof(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 0, max: 80_000 })),
});
type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;

const DIGEST = sha256(Buffer.from('attestation'));

function rightSigners(
  kind: Shape['kind'],
  { lock: { verifiers, verifierQuorum, arbiterQuorum, ...terms } }: LedgerEscrow,
): string[] {
  if (kind === 'accept' || kind === 'dispute') return [ALICE];
  if (kind === 'cancel' || kind === 'claim') return [BOB];
  if (kind === 'mutual') return [ALICE, BOB];
  if (kind === 'verified') return verifiers.slice(0, verifierQuorum);
  if (kind === 'verdict')
    return drawArbiters(ID, { verifiers, verifierQuorum, arbiterQuorum, ...terms }).slice(0, arbiterQuorum);
  return [];
}

function evidenceOf(of: Shape, escrow: LedgerEscrow): Evidence {
  const { kind, net, escrowId, attempt, worker, pay } = of;
  const { taskId, replica } = escrow.lock;
  const signers = of.signers === 'right' ? rightSigners(kind, escrow) : of.signers;
  const signed = <B>(body: object, by = signers) => ({ body: body as B, signers: by, digest: DIGEST });
  const base = { net, escrowId };
  const ref = { taskId, replica, attempt };
  switch (kind) {
    case 'accept':
      return { kind, statement: signed({ ...base, ...ref }) };
    case 'cancel':
      return { kind, statement: signed(base) };
    case 'dispute':
      return { kind, statement: signed(base) };
    case 'mutual':
      return { kind, statement: signed({ ...base, pay }) };
    case 'verdict':
      return { kind, statement: signed({ ...base, pay }) };
    case 'claim':
      return { kind, statement: signed({ ...base, ...ref, worker }) };
    case 'verified': {
      const attestation = of.attestationDigest ? DIGEST : new Uint8Array(32);
      const body = { ...base, attestation, worker: new Uint8Array() };
      return { kind, statement: signed(body), attestation: signed({ ...base, ...ref, worker }, [BOB]) };
    }
    default: {
      const names = { refund: 'refund', claimTimeout: 'claim', arbTimeout: 'arbitration' };
      return { kind: 'timeout', statement: signed({ ...base, step: names[kind] }) };
    }
  }
}

test(`any ${RUNS} schedules: money is conserved, closed once, and only for those named`, () => {
  const ends = new Map<string, number>();
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  console.log(`  seed ${seed}, ${RUNS} schedules`);
  const property = fc.property(lock, fc.array(shape, { minLength: 1, maxLength: 14 }), (terms, shapes) => {
    let escrow = openEscrow(ID, ALICE, terms);
    let paid = 0n;
    let closings = 0;
    let nowMs = s.T0;
    for (const of of shapes) {
      nowMs += of.waitMs;
      const before = escrow;
      try {
        const result = step(escrow, evidenceOf(of, escrow), nowMs, s.rules);
        escrow = result.escrow;
        if (!holdsMoney(before)) throw new Error('a closed escrow took a step');
        if (of.escrowId !== ID || of.net !== s.genesis.net) throw new Error('foreign evidence was taken');
        for (const { account, amount } of result.payments) {
          if (amount <= 0n) throw new Error('a payment of nothing');
          if (![ALICE, BOB, s.rules.treasury].includes(account)) throw new Error('a stranger gained');
          paid += amount;
        }
        if (!holdsMoney(escrow)) closings++;
        if (!holdsMoney(escrow) !== result.payments.length > 0) throw new Error('paid while open');
        if (escrow.steps !== before.steps + 1 || escrow.steps > 3) throw new Error('steps do not count');
        if (escrow.fee > escrow.pay || escrow.pay > terms.amount) throw new Error('pay out of bounds');
        if (escrow.state === 'REFUNDED' && escrow.pay !== 0n) throw new Error('release with refund');
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        assert.is(escrow, before);
      }
    }
    assert.is(paid, closings === 1 ? terms.amount : 0n);
    assert.ok(closings <= 1);
    ends.set(escrow.state, (ends.get(escrow.state) ?? 0) + 1);
  });
  fc.assert(property, { numRuns: RUNS, seed });
  console.log(`  ended: ${[...ends].map(([state, count]) => `${state} ${count}`).join(', ')}`);
  for (const state of ['OPEN', 'CLAIMED', 'DISPUTED', 'PAID', 'REFUNDED', 'SPLIT'])
    assert.ok(ends.get(state), state);
});

test.run();
