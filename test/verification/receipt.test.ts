import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildReceipt, verifyReceipt } from '../../src/verification/index.ts';
import {
  acceptanceKind,
  acceptKind,
  cancelKind,
  open,
  type Receipt,
  seal,
  sha256,
} from '../../src/wire/index.ts';
import {
  admin,
  bytesOf,
  codeFrom,
  type DealOptions,
  dealParts,
  decide,
  info,
  net,
  receiptOf,
  ref,
  requester,
  stranger,
  worker,
} from './deal.ts';

const test = suite('verification: receipts');

const codeOfDeal = (options: DealOptions) => codeFrom(() => verifyReceipt(receiptOf(options)));
const codeOfParts = (parts: Partial<Receipt>, options: DealOptions = {}) =>
  codeFrom(() => verifyReceipt(buildReceipt({ ...dealParts(options), ...parts })));

test('a paid receipt tells who, what and how much, from its bytes alone', () => {
  const report = verifyReceipt(receiptOf());
  assert.is(report.networkId, info.networkId);
  assert.is(report.taskId, ref.taskId);
  assert.is(report.requester, requester.peer);
  assert.is(report.worker, worker.peer);
  assert.is(report.exitCode, 0);
  assert.is(report.outcome, 'exited');
  assert.is(report.verification, 'check');
  assert.ok(report.paid);
  assert.is(report.settlement, 'paid');
  assert.is(report.price, 1_000_000n);
  assert.is(report.pay, 1_000_000n);
  assert.is(report.fee, 20_000n);
});

test('a split shows what was paid, without an acceptance', () => {
  const report = verifyReceipt(receiptOf({ split: 100_000n }));
  assert.is(report.settlement, 'split');
  assert.is(report.pay, 100_000n);
  assert.is(report.fee, 2_000n);
  assert.is(report.verification, null);
});

test('an unpaid receipt needs no notary; a node may run its own task', () => {
  const unpaid = verifyReceipt(receiptOf({ price: 0n }));
  assert.not.ok(unpaid.paid);
  assert.is(unpaid.settlement, 'unpaid');
  assert.is(unpaid.pay, 0n);
  assert.is(verifyReceipt(receiptOf({ price: 0n, runner: requester })).worker, requester.peer);
  assert.is(codeOfDeal({ runner: requester }), 'RECEIPT_LOCK');
  assert.is(codeOfParts({ accept: null }, { price: 0n }), 'RECEIPT_ACCEPT');
});

test('a lock must be certified, and be the one that was accepted', () => {
  assert.is(codeOfDeal({ notary: stranger }), 'RECEIPT_LOCK');
  assert.is(codeOfDeal({ payer: stranger }), 'RECEIPT_LOCK');
  assert.is(codeOfDeal({ lock: { amount: 999_999n } }), 'RECEIPT_LOCK');
  assert.is(codeOfDeal({ lock: { worker: stranger.peer } }), 'RECEIPT_LOCK');
  assert.is(codeOfDeal({ lock: { termsHash: sha256(bytesOf('other')) } }), 'RECEIPT_LOCK');
  assert.is(codeOfDeal({ lock: { attempt: 2 } }), 'RECEIPT_LOCK');
  assert.is(codeOfParts({ lock: null }), 'RECEIPT_LOCK');
  assert.is(codeOfParts({ lock: dealParts().lock }, { price: 0n }), 'RECEIPT_LOCK');
});

test('an attestation must be of this execution, spec, worker and escrow', () => {
  assert.is(codeOfDeal({ attested: { ref: { ...ref, attempt: 2 } } }), 'RECEIPT_ATTESTATION');
  assert.is(codeOfDeal({ attested: { specHash: sha256(bytesOf('other')) } }), 'RECEIPT_ATTESTATION');
  assert.is(codeOfDeal({ attested: { net: sha256(bytesOf('other')) } }), 'RECEIPT_ATTESTATION');
  assert.is(codeOfDeal({ attested: { escrowId: null }, split: 0n }), 'RECEIPT_ATTESTATION');
  const other = dealParts({ runner: stranger });
  assert.is(codeOfParts({ attestation: other.attestation }), 'RECEIPT_ATTESTATION');
});

test('an acceptance of the result must be the requester’s, and name this attestation', () => {
  const { accept, attestation } = dealParts();
  const body = open(acceptKind, accept as Uint8Array).body;
  const forged = seal(acceptKind, body, worker).bytes;
  assert.is(codeOfParts({ accept: forged }), 'RECEIPT_ACCEPT');
  const both = seal(acceptKind, body, requester, worker).bytes;
  assert.is(codeOfParts({ accept: both }), 'RECEIPT_ACCEPT');
  const otherResult = seal(acceptKind, { ...body, attestation: sha256(attestation) }, requester).bytes;
  assert.is(codeOfParts({ accept: otherResult }), 'RECEIPT_ACCEPT');
  assert.is(codeOfParts({ accept: null }), 'RECEIPT_CLOSE');
  const unchecked = seal(acceptKind, { ...body, verification: 'none' }, requester).bytes;
  assert.is(codeOfParts({ accept: unchecked }), 'RECEIPT_CLOSE');
});

test('the closing step must be certified, of this escrow, and leave money with the worker', () => {
  const { close, accept } = dealParts();
  assert.is(codeOfParts({ close: null }), 'RECEIPT_CLOSE');
  const { escrowId } = open(acceptKind, accept as Uint8Array).body;
  assert.ok(escrowId);
  const agreed = open(acceptKind, accept as Uint8Array);
  assert.is(codeOfParts({ close: decide(agreed, `E/${escrowId}/0`, stranger) }), 'RECEIPT_CLOSE');
  assert.is(codeOfParts({ close: decide(agreed, `E/${'0'.repeat(64)}/0`) }), 'RECEIPT_CLOSE');
  const cancel = seal(cancelKind, { net, escrowId }, worker);
  assert.is(codeOfParts({ close: decide(cancel, `E/${escrowId}/0`), accept: null }), 'RECEIPT_CLOSE');
  const other = open(acceptanceKind, dealParts().acceptance);
  assert.is(codeOfParts({ close: decide(other, `E/${escrowId}/0`, admin) }), 'RECEIPT_CLOSE');
  assert.is(codeOfParts({ close }), undefined);
});

test('the order must be the task’s, and the genesis its admin’s', () => {
  const { genesis, order } = dealParts();
  assert.is(codeOfParts({ order: genesis.slice(0, 1024) }), 'RECEIPT_ORDER');
  assert.is(codeOfParts({ genesis: order }), 'RECEIPT_GENESIS');
  assert.is(
    codeFrom(() => verifyReceipt(bytesOf('no receipt'))),
    'RECEIPT_FORMAT',
  );
  assert.is(
    codeFrom(() => verifyReceipt(new Uint8Array(300_000))),
    'RECEIPT_FORMAT',
  );
});

function assertFlipRefused(receipt: Uint8Array, at: number, mask: number): void {
  const flipped = Uint8Array.from(receipt);
  flipped[at] = (receipt[at] as number) ^ mask;
  const code = codeFrom(() => verifyReceipt(flipped));
  assert.match(code ?? 'accepted', /^RECEIPT_/, `byte ${at} of ${receipt.length}, mask ${mask}`);
}

test('a receipt with any one byte changed is refused', () => {
  const paid = receiptOf();
  for (let at = 0; at < paid.length; at++) assertFlipRefused(paid, at, 1 << (at % 8));
  for (let at = 0; at < paid.length; at += 1009)
    for (let mask = 1; mask < 256; mask++) assertFlipRefused(paid, at, mask);
  for (const receipt of [receiptOf({ split: 5n }), receiptOf({ price: 0n })])
    for (let at = 0; at < receipt.length; at += 17) assertFlipRefused(receipt, at, 1 << (at % 8));
});

test('a receipt with bytes cut off or added is refused', () => {
  const receipt = receiptOf();
  for (let cut = 1; cut < receipt.length; cut += 61)
    assert.is(
      codeFrom(() => verifyReceipt(receipt.slice(0, -cut))),
      'RECEIPT_FORMAT',
    );
  assert.is(
    codeFrom(() => verifyReceipt(Buffer.concat([receipt, Uint8Array.of(0)]))),
    'RECEIPT_FORMAT',
  );
});

test.run();
