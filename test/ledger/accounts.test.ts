import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { applyGrant, applyOrder, checkDecided, committeeOf } from '../../src/ledger/index.ts';
import {
  certificateKind,
  type Decided,
  type Grant,
  grantKind,
  type LedgerOp,
  MAX_AMOUNT,
  seal,
} from '../../src/wire/index.ts';
import * as s from './support.ts';

const test = suite('ledger: accounts and certificates');
const { alice, bob, carol, admin, FLOP } = s;
const rich = { balance: 10n * FLOP, seq: 0 };
const code = s.thrownCode;

function grantOf(overrides: Partial<Grant> = {}, signer = admin) {
  const body = {
    net: s.genesis.net,
    invite: 'open',
    use: bob.peer,
    account: bob.peer,
    amount: 10n * FLOP,
    ...overrides,
  };
  return seal(grantKind, body, signer);
}

test('an order takes all its operations from the account, or none', () => {
  const ops: LedgerOp[] = [s.makeLock({ amount: 3n }), { op: 'transfer', to: carol.peer, amount: 4n }];
  const { account, payments, escrows } = applyOrder(rich, s.makeOrder(alice, 0, ops), s.genesis);
  assert.equal(account, { balance: rich.balance - 7n, seq: 1 });
  assert.equal(payments, [{ account: carol.peer, amount: 4n }]);
  assert.is(escrows[0]!.lock.amount, 3n);
  assert.is(escrows[0]!.requester, alice.peer);
  const over = s.makeOrder(alice, 0, [s.makeLock({ amount: 6n * FLOP }), s.makeLock({ amount: 6n * FLOP })]);
  assert.is(
    code(() => applyOrder(rich, over, s.genesis)),
    'FUNDS_INSUFFICIENT',
  );
});

test('orders of another network, signer or number are refused', () => {
  const ops = [s.makeLock()];
  const bad = [
    [s.makeOrder(alice, 1, ops), 'ORDER_SEQ'],
    [s.makeOrder(alice, 0, ops, { net: new Uint8Array(32) }), 'STATEMENT_NETWORK'],
    [s.makeOrder(bob, 0, ops, { account: alice.peer }), 'STATEMENT_SIGNER'],
    [s.makeOrder(alice, 0, [s.makeLock({ worker: alice.peer })]), 'LOCK_TERMS'],
  ] as const;
  for (const [order, expected] of bad)
    assert.is(
      code(() => applyOrder(rich, order, s.genesis)),
      expected,
    );
});

test('amounts of 0, below 0, above 2^63 - 1, and what is no integer never become an order', () => {
  for (const amount of [0n, -1n, MAX_AMOUNT + 1n, 0.5, Number.NaN, '1', 2 ** 60]) {
    const op = s.makeLock({ amount: amount as bigint });
    assert.ok(code(() => s.makeOrder(alice, 0, [op])));
  }
  assert.is(
    code(() => applyOrder(rich, s.makeOrder(alice, 0, [s.makeLock({ amount: MAX_AMOUNT })]), s.genesis)),
    'FUNDS_INSUFFICIENT',
  );
});

test('a grant comes from the admin alone, and an open one is as the genesis says', () => {
  const funded = { balance: 10n * FLOP, seq: 4 };
  const { account, payments } = applyGrant(funded, grantOf(), s.genesis);
  assert.equal(account, { balance: 0n, seq: 4 });
  assert.equal(payments, [{ account: bob.peer, amount: 10n * FLOP }]);
  const invited = s.makeGenesis({ membership: 'invited' });
  const bad = [
    [grantOf({}, bob), 'STATEMENT_SIGNER'],
    [grantOf({ net: new Uint8Array(32) }), 'STATEMENT_NETWORK'],
    [grantOf({ use: 'again' }), 'GRANT_TERMS'],
    [grantOf({ amount: 1n }), 'GRANT_TERMS'],
    [grantOf({ invite: bob.peer, use: '0' }), 'GRANT_TERMS'],
    [grantOf({ account: admin.peer, use: admin.peer }), 'GRANT_TERMS'],
    [grantOf({ invite: 'friend', amount: 11n * FLOP }), 'FUNDS_INSUFFICIENT'],
  ] as const;
  for (const [grant, expected] of bad)
    assert.is(
      code(() => applyGrant(funded, grant, s.genesis)),
      expected,
    );
  assert.is(
    code(() => applyGrant(funded, grantOf({ net: invited.net }), invited)),
    'GRANT_TERMS',
  );
});

test('quorums: 1 of 1, 2 of 2, 2 of 3, 3 of 4, 5 of 7', () => {
  const keys = Array.from({ length: 7 }, (_, i) => s.person(`notary ${i}`).peer);
  const quorums = [1, 2, 3, 4, 7].map(n => committeeOf(s.makeGenesis({ notaries: keys.slice(0, n) })).quorum);
  assert.equal(quorums, [1, 2, 2, 3, 5]);
});

test('a certificate counts with a quorum of notaries, in its slot, over its statement', () => {
  const notaries = [0, 1, 2, 3].map(i => s.person(`notary ${i}`));
  const four = s.makeGenesis({ notaries: notaries.map(({ peer }) => peer) });
  const committee = committeeOf(four);
  const order = s.makeOrder(alice, 0, [s.makeLock()], { net: four.net });
  const certify = (overrides: object, count = 3, by = notaries): Decided => {
    const slot = `A/${alice.peer}/0`;
    const body = { net: four.net, epoch: 0, slot, ballot: 0, value: order.digest, ...overrides };
    return { certificate: seal(certificateKind, body, ...by.slice(0, count)).bytes, value: order.bytes };
  };
  assert.is(checkDecided(certify({}), committee).slot, `A/${alice.peer}/0`);
  const bad = [
    certify({}, 2),
    certify({}, 3, [notaries[0]!, notaries[1]!, bob]),
    certify({ epoch: 1 }),
    certify({ net: s.genesis.net }),
    certify({ slot: `A/${alice.peer}/1` }),
    certify({ slot: `A/${bob.peer}/0` }),
    certify({ slot: `E/${'ab'.repeat(32)}/0` }),
    certify({ value: new Uint8Array(32) }),
  ];
  for (const decided of bad)
    assert.is(
      code(() => checkDecided(decided, committee)),
      'CERTIFICATE_INVALID',
    );
  assert.is(
    code(
      () =>
        certify({}, 3, [notaries[0]!, notaries[0]!, notaries[1]!]) &&
        checkDecided(certify({}, 3, [notaries[0]!, notaries[0]!, notaries[1]!]), committee),
    ),
    'WIRE_SIGNATURE',
  );
});

test.run();
