import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  drawArbiters,
  GRACE_MS,
  type LedgerEscrow,
  openEscrow,
  readEvidence,
  step,
} from '../../src/ledger/index.ts';
import type { Lock, Signer } from '../../src/wire/index.ts';
import * as s from './support.ts';

const test = suite('ledger: escrow');
const { alice, bob, carol, T0, FLOP } = s;
const ID = 'ab'.repeat(32);
const [v1, v2, v3] = [s.person('v1'), s.person('v2'), s.person('v3')] as const;

const make = (overrides: Partial<Lock> = {}): LedgerEscrow =>
  openEscrow(ID, alice.peer, s.makeLock(overrides));
const run = (escrow: LedgerEscrow, evidence: { bytes: Uint8Array }, at = T0) =>
  step(escrow, readEvidence(evidence.bytes), at, s.rules);
const claimed = (overrides: Partial<Lock> = {}) => {
  const escrow = make(overrides);
  return run(escrow, s.attest(escrow, bob)).escrow;
};
const disputed = (overrides: Partial<Lock> = {}) => {
  const escrow = claimed(overrides);
  return run(escrow, s.dispute(escrow, alice)).escrow;
};
const refuses = (escrow: LedgerEscrow, evidence: { bytes: Uint8Array }, code: string, at = T0) =>
  assert.is(
    s.thrownCode(() => run(escrow, evidence, at)),
    code,
  );
const paidTo = (payments: readonly { account: string; amount: bigint }[], signer: Signer) =>
  payments.filter(({ account }) => account === signer.peer).reduce((sum, { amount }) => sum + amount, 0n);

test('accept pays the worker from every open state, less the fee', () => {
  for (const escrow of [make(), claimed(), disputed()]) {
    const { escrow: closed, payments } = run(escrow, s.accept(escrow, alice));
    assert.is(closed.state, 'PAID');
    assert.is(closed.steps, escrow.steps + 1);
    assert.is(closed.fee, FLOP / 50n);
    assert.is(paidTo(payments, bob), FLOP - FLOP / 50n);
    assert.is(paidTo(payments, s.admin), FLOP / 50n);
  }
});

test('the fee is rounded down, and a network may have none', () => {
  const escrow = make({ amount: 49n });
  assert.is(run(escrow, s.accept(escrow, alice)).escrow.fee, 0n);
  const free = step(escrow, readEvidence(s.accept(escrow, alice).bytes), T0, {
    ...s.rules,
    feeBasisPoints: 0,
  });
  assert.equal(free.payments, [{ account: bob.peer, amount: 49n }]);
});

test('cancel by the worker refunds all, from every open state', () => {
  for (const escrow of [make(), claimed(), disputed()]) {
    const { escrow: closed, payments } = run(escrow, s.cancel(escrow, bob));
    assert.is(closed.state, 'REFUNDED');
    assert.equal(payments, [{ account: alice.peer, amount: FLOP }]);
  }
});

test('mutual splits as both signed, from every open state', () => {
  for (const escrow of [make(), claimed(), disputed()]) {
    const { escrow: closed, payments } = run(escrow, s.mutual(escrow, 1000n, alice, bob));
    assert.is(closed.state, 'SPLIT');
    assert.is(paidTo(payments, bob), 980n);
    assert.is(paidTo(payments, alice), FLOP - 1000n);
  }
});

test('a claim moves to CLAIMED and pays nobody; silence then pays the worker', () => {
  const escrow = make();
  const { escrow: next, payments } = run(escrow, s.attest(escrow, bob), escrow.lock.claimBy);
  assert.is(next.state, 'CLAIMED');
  assert.equal(payments, []);
  const after = run(next, s.timeout(next, 'claim'), next.lock.disputeBy + GRACE_MS);
  assert.is(after.escrow.state, 'PAID');
});

test('a dispute leads to the default split where no arbiter judges: as agreed, or half where none is named', () => {
  const escrow = disputed({ amount: 1001n, defaultPermille: 900 });
  const at = escrow.lock.verdictBy + GRACE_MS;
  assert.is(run(escrow, s.timeout(escrow, 'arbitration'), at).escrow.pay, 500n);
  const named = disputed({ amount: 1001n, defaultPermille: 900, arbiters: [v1.peer], arbiterQuorum: 1 });
  const { escrow: closed, payments } = run(named, s.timeout(named, 'arbitration'), at);
  assert.is(closed.state, 'SPLIT');
  assert.is(closed.pay, 900n);
  assert.is(paidTo(payments, alice), 101n);
});

test('a verdict needs a quorum of the drawn arbiters', () => {
  const arbiters = [v1, v2, v3, s.person('v4'), s.person('v5')];
  const terms = { arbiters: arbiters.map(({ peer }) => peer), arbiterQuorum: 2 };
  const escrow = disputed(terms);
  const drawn = drawArbiters(ID, escrow.lock);
  assert.is(drawn.length, 3);
  const [a, b] = arbiters.filter(({ peer }) => drawn.includes(peer)) as [Signer, Signer];
  const outside = arbiters.find(({ peer }) => !drawn.includes(peer))!;
  const { escrow: closed } = run(escrow, s.verdict(escrow, 7n, a, b));
  assert.is(closed.state, 'SPLIT');
  assert.is(closed.pay, 7n);
  refuses(escrow, s.verdict(escrow, 7n, a), 'ESCROW_SIGNERS');
  refuses(escrow, s.verdict(escrow, 7n, a, outside), 'ESCROW_SIGNERS');
  refuses(escrow, s.verdict(escrow, FLOP + 1n, a, b), 'ESCROW_AMOUNT');
  refuses(make(terms), s.verdict(escrow, 7n, a, b), 'ESCROW_STATE');
  refuses(claimed(terms), s.verdict(escrow, 7n, a, b), 'ESCROW_STATE');
  refuses(disputed(), s.verdict(escrow, 7n, a, b), 'ESCROW_STATE');
});

test('verified pays from every open state on a quorum of the verifiers', () => {
  const terms = { verifiers: [v1.peer, v2.peer, v3.peer], verifierQuorum: 2 };
  for (const escrow of [make(terms), claimed(terms), disputed(terms)]) {
    const attestation = s.attest(escrow, bob);
    assert.is(run(escrow, s.verified(escrow, attestation, [v1, v3])).escrow.state, 'PAID');
    refuses(escrow, s.verified(escrow, attestation, [v1]), 'ESCROW_SIGNERS');
    refuses(escrow, s.verified(escrow, attestation, [v1, carol]), 'ESCROW_SIGNERS');
    refuses(
      escrow,
      s.verified(escrow, attestation, [v1, v2], s.attest(escrow, bob, { exitCode: 1 }).digest),
      'ESCROW_MISMATCH',
    );
    refuses(escrow, s.verified(escrow, s.attest(escrow, carol), [v1, v2]), 'ESCROW_SIGNERS');
    const other = s.attest(escrow, bob, { escrowId: 'cd'.repeat(32) });
    refuses(escrow, s.verified(escrow, other, [v1, v2]), 'ESCROW_MISMATCH');
  }
  refuses(make(), s.verified(make(), s.attest(make(), bob), [v1]), 'ESCROW_STATE');
});

test('each step is taken only from its state', () => {
  const late = T0 + 1_000_000;
  const [open, claim, dispute] = [make(), claimed(), disputed()];
  refuses(claim, s.attest(claim, bob, { exitCode: 3 }), 'ESCROW_STATE');
  refuses(dispute, s.attest(claim, bob, { exitCode: 3 }), 'ESCROW_STATE');
  refuses(open, s.dispute(open, alice), 'ESCROW_STATE');
  refuses(dispute, s.dispute(dispute, alice), 'ESCROW_STATE');
  refuses(claim, s.timeout(claim, 'refund'), 'ESCROW_STATE', late);
  refuses(dispute, s.timeout(dispute, 'refund'), 'ESCROW_STATE', late);
  refuses(open, s.timeout(open, 'claim'), 'ESCROW_STATE', late);
  refuses(dispute, s.timeout(dispute, 'claim'), 'ESCROW_STATE', late);
  refuses(open, s.timeout(open, 'arbitration'), 'ESCROW_STATE', late);
  refuses(claim, s.timeout(claim, 'arbitration'), 'ESCROW_STATE', late);
});

test('a closed escrow takes nothing more', () => {
  const escrow = make();
  for (const closing of [s.accept(escrow, alice), s.cancel(escrow, bob), s.mutual(escrow, 0n, alice, bob)]) {
    const closed = run(escrow, closing).escrow;
    for (const evidence of [
      s.accept(escrow, alice),
      s.cancel(escrow, bob),
      s.mutual(escrow, 5n, alice, bob),
      s.attest(escrow, bob),
      s.dispute(escrow, alice),
      s.timeout(escrow, 'refund'),
    ])
      refuses(closed, evidence, 'ESCROW_CLOSED', T0 + 1_000_000);
  }
});

test('times: claim and dispute until their limits, timeouts from limit and grace on', () => {
  const open = make();
  const { claimBy, disputeBy, verdictBy } = open.lock;
  refuses(open, s.attest(open, bob), 'ESCROW_LATE', claimBy + 1);
  refuses(open, s.timeout(open, 'refund'), 'ESCROW_EARLY', claimBy + GRACE_MS - 1);
  assert.is(run(open, s.timeout(open, 'refund'), claimBy + GRACE_MS).escrow.state, 'REFUNDED');
  const claim = claimed();
  assert.is(run(claim, s.dispute(claim, alice), disputeBy).escrow.state, 'DISPUTED');
  refuses(claim, s.dispute(claim, alice), 'ESCROW_LATE', disputeBy + 1);
  refuses(claim, s.timeout(claim, 'claim'), 'ESCROW_EARLY', disputeBy + GRACE_MS - 1);
  const dispute = disputed();
  refuses(dispute, s.timeout(dispute, 'arbitration'), 'ESCROW_EARLY', verdictBy + GRACE_MS - 1);
  assert.is(run(open, s.accept(open, alice), verdictBy + 1_000_000).escrow.state, 'PAID');
});

test('foreign signers are refused', () => {
  const open = make();
  const claim = claimed();
  refuses(open, s.accept(open, bob), 'ESCROW_SIGNERS');
  refuses(open, s.accept(open, carol), 'ESCROW_SIGNERS');
  refuses(open, s.cancel(open, alice), 'ESCROW_SIGNERS');
  refuses(open, s.mutual(open, 5n, alice), 'ESCROW_SIGNERS');
  refuses(open, s.mutual(open, 5n, bob), 'ESCROW_SIGNERS');
  refuses(open, s.mutual(open, 5n, alice, carol), 'ESCROW_SIGNERS');
  refuses(open, s.mutual(open, 5n, alice, bob, carol), 'ESCROW_SIGNERS');
  refuses(open, s.mutual(open, FLOP + 1n, alice, bob), 'ESCROW_AMOUNT');
  refuses(open, s.attest(open, alice), 'ESCROW_SIGNERS');
  refuses(claim, s.dispute(claim, bob), 'ESCROW_SIGNERS');
});

test('evidence for another network, escrow, task, attempt or worker is refused', () => {
  const escrow = make();
  const other = { ...escrow, escrowId: 'cd'.repeat(32) };
  for (const evidence of [
    s.accept(other, alice),
    s.cancel(other, bob),
    s.mutual(other, 5n, alice, bob),
    s.attest(other, bob),
    s.timeout(other, 'refund'),
    s.accept(escrow, alice, { escrowId: null }),
    s.attest(escrow, bob, { escrowId: null }),
    s.accept(escrow, alice, { net: new Uint8Array(32) }),
    s.accept(escrow, alice, s.taskRefOf('another task')),
    s.accept(escrow, alice, { attempt: 2 }),
    s.attest(escrow, bob, { net: new Uint8Array(32) }),
    s.attest(escrow, bob, s.taskRefOf('another task')),
    s.attest(escrow, bob, { replica: 1 }),
    s.attest(escrow, bob, { attempt: 2 }),
    s.attest(escrow, bob, { worker: carol.peer }),
  ])
    refuses(escrow, evidence, 'ESCROW_MISMATCH', T0);
});

test('a lock names no party as judge, nobody twice, and a quorum that fits', () => {
  const bad: Partial<Lock>[] = [
    { worker: alice.peer },
    { verifiers: [bob.peer], verifierQuorum: 1 },
    { verifiers: [alice.peer], verifierQuorum: 1 },
    { verifiers: [v1.peer, v1.peer], verifierQuorum: 1 },
    { verifiers: [v1.peer], verifierQuorum: 0 },
    { verifiers: [v1.peer], verifierQuorum: 2 },
    { arbiters: [bob.peer], arbiterQuorum: 1 },
    { arbiters: [alice.peer], arbiterQuorum: 1 },
    { arbiters: [v1.peer, v1.peer], arbiterQuorum: 1 },
    { arbiters: [v1.peer], arbiterQuorum: 0 },
    { arbiters: [v1.peer], arbiterQuorum: 2 },
  ];
  for (const overrides of bad)
    assert.is(
      s.thrownCode(() => make(overrides)),
      'LOCK_TERMS',
    );
});

test('what is no evidence is refused by its kind, and forged signatures by wire', () => {
  assert.is(
    s.thrownCode(() => readEvidence(s.makeOrder(alice, 0, [s.makeLock()]).bytes)),
    'STATEMENT_KIND',
  );
  assert.is(
    s.thrownCode(() => readEvidence(Uint8Array.of(1, 2, 3))),
    'STATEMENT_KIND',
  );
  const bytes = Uint8Array.from(s.accept(make(), alice).bytes);
  bytes[bytes.length - 1]! ^= 1;
  assert.is(
    s.thrownCode(() => readEvidence(bytes)),
    'WIRE_SIGNATURE',
  );
});

test.run();
