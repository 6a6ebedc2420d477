import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AccountRates,
  checkFunds,
  committeeOf,
  createLedgerDesk,
  createNotary,
  createSettlement,
  type Notary,
  type Settlement,
} from '../../src/ledger/index.ts';
import { silentLogger } from '../../src/util/index.ts';
import { fundsKind, seal } from '../../src/wire/index.ts';
import { withDatabase } from '../db/temp-dir.ts';
import { waitFor } from '../fixtures/wait.ts';
import * as s from './support.ts';

const test = suite('ledger: funds statements');
const { admin, alice, T0, FLOP } = s;
const committee = committeeOf(s.genesis);

const network = { call: () => Promise.reject(new Error('no network here')) };

async function withWallet(
  fn: (wallet: Settlement, clock: ReturnType<typeof s.manualClock>, notary: Notary) => Promise<void>,
  signer = admin,
): Promise<void> {
  await withDatabase(async db => {
    const clock = s.manualClock();
    const parts = { db, clock, logger: silentLogger };
    const rates = new AccountRates(clock, 1);
    const notary = createNotary({ ...parts, signer: admin, rates }, { genesis: s.genesis });
    await notary.start();
    const local = { peer: admin.peer, desk: createLedgerDesk(notary) };
    const wallet = createSettlement({ ...parts, signer, network, notary: local }, { genesis: s.genesis });
    await wallet.start();
    try {
      await fn(wallet, clock, notary);
    } finally {
      await wallet.stop();
      await notary.stop();
    }
  });
}

const ageOf = (wallet: Settlement, now: number) => {
  const bytes = wallet.funds();
  return bytes === null ? null : now - checkFunds(bytes, committee).at;
};

test('a statement is there soon after the start, kept fresh while it is asked for, and never shown when old', () =>
  withWallet(async (wallet, clock) => {
    await waitFor(() => wallet.funds() !== null, 'the first statement');
    assert.equal(checkFunds(wallet.funds()!, committee).balance, 1_000n * FLOP);
    for (let i = 0; i < 14; i++) {
      clock.advance(5_000);
      await waitFor(() => (ageOf(wallet, clock.now()) ?? 99_999) <= 35_000, 'a young statement');
    }
    assert.ok(checkFunds(wallet.funds()!, committee).at > T0);
    clock.advance(61_000);
    assert.is(wallet.funds(), null);
    clock.advance(5_000);
    await waitFor(() => wallet.funds() !== null, 'a new one, as it was asked for');
  }));

test('a statement that does not know what came since is replaced when it is shown', () =>
  withWallet(async (wallet, _clock, notary) => {
    await waitFor(() => wallet.funds() !== null, 'the first statement');
    const balance = () => checkFunds(wallet.funds()!, committee).balance;
    await waitFor(() => balance() === 110n * FLOP, 'a statement with the grant');
    await notary.submit([s.makeOrder(admin, 0, [{ op: 'transfer', to: alice.peer, amount: FLOP }]).bytes]);
    await wallet.sync();
    await waitFor(() => balance() === 111n * FLOP, 'a statement with the payment');
  }, alice));

test('a wallet whose orders are too many for a notary sends them again later', () =>
  withWallet(async (wallet, clock) => {
    // The notary lets one operation a second pass, and 100 at once: the second order has to wait for three of its 39.
    const sends = Array.from({ length: 103 }, (_, i) =>
      wallet.transfer(alice.peer, FLOP, { key: `send-${i}`, guarded: false }),
    );
    await sends[0];
    let isDone = false;
    const all = Promise.all(sends).finally(() => {
      isDone = true;
    });
    await waitFor(() => {
      clock.advance(500);
      return isDone;
    }, 'the rest');
    await all;
    assert.ok(clock.now() - T0 >= 3_000);
    assert.is(wallet.balance().free, 897n * FLOP);
  }));

test('a statement counts with a quorum of notaries of its network', () => {
  const body = { net: s.genesis.net, account: alice.peer, balance: 5n, member: true, at: T0 };
  assert.is(checkFunds(seal(fundsKind, body, admin).bytes, committee).balance, 5n);
  const forged = seal(fundsKind, body, alice).bytes;
  const foreign = seal(fundsKind, { ...body, net: new Uint8Array(32) }, admin).bytes;
  for (const bytes of [forged, foreign])
    assert.is(
      s.thrownCode(() => checkFunds(bytes, committee)),
      'CERTIFICATE_INVALID',
    );
});

test.run();
