import type { z } from 'zod';
import { type Closing, committeeAfter, type Escrow, readClosing, readLock } from '../ledger/index.ts';
import { CodedError, codeOf, messageOf } from '../util/index.ts';
import {
  type Accept,
  type Acceptance,
  type Attestation,
  acceptanceKind,
  acceptKind,
  attestationKind,
  type GenesisInfo,
  type Kind,
  MAX_VALUE_BYTES,
  type Opened,
  type Order,
  open,
  orderKind,
  peekKind,
  type Receipt,
  readGenesis,
  receiptMessage,
  refKey,
  sameBytes,
  type TaskRef,
  taskIdOf,
} from '../wire/index.ts';

/** The part of a receipt that fails; `FORMAT`: the file as a whole. */
export type ReceiptPart =
  | 'FORMAT'
  | 'GENESIS'
  | 'COMMITTEES'
  | 'ORDER'
  | 'ACCEPTANCE'
  | 'ATTESTATION'
  | 'ACCEPT'
  | 'LOCK'
  | 'CLOSE';

/** `reason` is the code of the error behind it, where one part's own check threw it. */
export interface ReceiptErrorType {
  readonly code: `RECEIPT_${ReceiptPart}`;
  readonly reason: string | null;
  readonly [fact: string]: unknown;
}

export class ReceiptError extends CodedError<ReceiptErrorType> {}

/** What a receipt proves. Amounts in 1e-8 FLOP, times in wall-clock milliseconds by the worker's clock. */
export interface ReceiptReport {
  readonly networkId: string;
  readonly networkName: string;
  readonly taskId: string;
  readonly ref: TaskRef;
  readonly requester: string;
  readonly worker: string;
  readonly outcome: Attestation['outcome'];
  readonly exitCode: number;
  readonly usage: Attestation['usage'];
  readonly runtime: Attestation['runtime'];
  readonly imageDigest: string;
  /** Null where the requester signed no acceptance: the escrow was closed in another way. */
  readonly verification: Accept['verification'] | null;
  readonly paid: boolean;
  readonly settlement: 'unpaid' | 'paid' | 'split';
  /** The kind of the evidence that closed the escrow; null without one. */
  readonly closedBy: string | null;
  readonly escrowId: string | null;
  /** What the worker had asked for. */
  readonly price: bigint;
  /** What it got, `fee` included. */
  readonly pay: bigint;
  readonly fee: bigint;
  readonly acceptedAt: number;
  readonly startedAt: number;
  readonly endedAt: number;
}

/** The parts as one canonical file. It is not checked here: `verifyReceipt` reads it back. */
export function buildReceipt(parts: Omit<Receipt, 'format'>): Uint8Array {
  return receiptMessage.encode({ format: 'duxnode-receipt/1', ...parts });
}

/**
 * Checks a receipt with nothing but its own bytes: every signature, that all parts speak of one execution, and that the
 * notaries of its network certified lock and closing. Who the network is, is for the reader to know: the report names it.
 * @throws ReceiptError `RECEIPT_<part>` for the first part that fails.
 */
export function verifyReceipt(bytes: Uint8Array): ReceiptReport {
  const receipt = inPart('FORMAT', () => receiptMessage.decode(bytes));
  const info = inPart('GENESIS', () => readGenesis(receipt.genesis));
  const order = openPart('ORDER', orderKind, receipt.order, info);
  expect(signedBy(order, order.body.requester), 'ORDER', 'it must be signed by its requester alone');
  const acceptance = openPart('ACCEPTANCE', acceptanceKind, receipt.acceptance, info);
  checkAcceptance(acceptance, order);
  const attestation = openPart('ATTESTATION', attestationKind, receipt.attestation, info);
  checkAttestation(attestation, acceptance.body, order.body);
  const accept = readAccept(receipt.accept, attestation, order.body, info);
  const money = readMoney(receipt, acceptance.body, info);
  const escrowId = money?.escrow.escrowId ?? null;
  expect(attestation.body.escrowId === escrowId, 'ATTESTATION', 'it claims another escrow');
  expect(accept !== null || money !== null, 'ACCEPT', 'an unpaid receipt needs the requester’s acceptance');
  return report({ info, acceptance: acceptance.body, attestation: attestation.body, accept, money });
}

function expect(holds: boolean, part: ReceiptPart, why: string): asserts holds {
  if (!holds)
    throw new ReceiptError(
      { code: `RECEIPT_${part}`, reason: null },
      `the receipt’s ${part.toLowerCase()} does not fit: ${why}`,
    );
}

function inPart<T>(part: ReceiptPart, fn: () => T): T {
  try {
    return fn();
  } catch (cause) {
    throw new ReceiptError(
      { code: `RECEIPT_${part}`, reason: codeOf(cause) },
      `the receipt’s ${part.toLowerCase()} is wrong: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** A statement of this network. */
function openPart<B extends { readonly net: Uint8Array }>(
  part: ReceiptPart,
  kind: Kind<z.ZodType<B>>,
  bytes: Uint8Array,
  { net }: GenesisInfo,
): Opened<B> {
  const opened = inPart(part, () => open(kind, bytes));
  expect(sameBytes(opened.body.net, net), part, 'it belongs to another network');
  return opened;
}

function signedBy({ signers }: Opened<unknown>, peer: string): boolean {
  return signers.length === 1 && signers[0] === peer;
}

function checkAcceptance(acceptance: Opened<Acceptance>, order: Opened<Order>): void {
  const { body } = acceptance;
  expect(body.taskId === taskIdOf(order), 'ACCEPTANCE', 'it is of another task');
  expect(body.requester === order.body.requester, 'ACCEPTANCE', 'it names another requester');
  expect(signedBy(acceptance, body.worker), 'ACCEPTANCE', 'it must be signed by its worker alone');
}

function checkAttestation(attestation: Opened<Attestation>, acceptance: Acceptance, order: Order): void {
  const { body } = attestation;
  expect(body.worker === acceptance.worker, 'ATTESTATION', 'it is of another worker');
  expect(signedBy(attestation, body.worker), 'ATTESTATION', 'it must be signed by its worker alone');
  expect(refKey(body) === refKey(acceptance), 'ATTESTATION', 'it is of another execution');
  expect(sameBytes(body.specHash, order.saltedSpecHash), 'ATTESTATION', 'it is of another spec');
  expect(body.endedAt >= body.startedAt, 'ATTESTATION', 'it ends before it starts');
}

function readAccept(
  bytes: Uint8Array | null,
  attestation: Opened<Attestation>,
  order: Order,
  info: GenesisInfo,
): Opened<Accept> | null {
  if (bytes === null) return null;
  const accept = openPart('ACCEPT', acceptKind, bytes, info);
  const { body } = accept;
  expect(signedBy(accept, order.requester), 'ACCEPT', 'it must be signed by the requester alone');
  expect(refKey(body) === refKey(attestation.body), 'ACCEPT', 'it is of another execution');
  expect(body.escrowId === attestation.body.escrowId, 'ACCEPT', 'it names another escrow');
  expect(sameBytes(body.attestation, attestation.digest), 'ACCEPT', 'it agrees to another attestation');
  return accept;
}

interface Money {
  readonly escrow: Escrow;
  readonly closing: Closing;
}

/** Lock and closing of a paid task; null for an unpaid one, which has neither. */
function readMoney(
  { lock, close, accept, committees = [] }: Receipt,
  acceptance: Acceptance,
  info: GenesisInfo,
): Money | null {
  if (acceptance.price === 0n) {
    expect(lock === null, 'LOCK', 'an unpaid task has none');
    expect(close === null, 'CLOSE', 'an unpaid task has none');
    return null;
  }
  expect(lock !== null, 'LOCK', 'a paid task needs one');
  expect(close !== null, 'CLOSE', 'a paid task needs one');
  const committee = inPart('COMMITTEES', () => committeeAfter(info, committees));
  const escrow = inPart('LOCK', () => readLock(lock, acceptance, committee));
  checkLock(escrow, acceptance);
  const closing = inPart('CLOSE', () => readClosing(close, escrow, committee));
  expect(closing.outcome !== 'refunded', 'CLOSE', 'the money went back');
  if (peekKind(close.value, acceptKind.maxBytes) === 'accept') {
    const closer = inPart('CLOSE', () => open(acceptKind, close.value));
    const signed = accept && inPart('ACCEPT', () => open(acceptKind, accept));
    expect(
      signed !== null && sameBytes(closer.digest, signed.digest),
      'CLOSE',
      'another acceptance closed the escrow',
    );
  }
  return { escrow, closing };
}

function checkLock({ lock, requester }: Escrow, acceptance: Acceptance): void {
  expect(requester === acceptance.requester, 'LOCK', 'it is of another requester');
  expect(requester !== acceptance.worker, 'LOCK', 'nobody pays itself');
  expect(lock.worker === acceptance.worker, 'LOCK', 'it names another worker');
  expect(lock.amount === acceptance.price, 'LOCK', 'it holds another amount than was accepted');
  expect(sameBytes(lock.termsHash, acceptance.termsHash), 'LOCK', 'it has other terms than were accepted');
}

function report({
  info,
  acceptance,
  attestation,
  accept,
  money,
}: {
  info: GenesisInfo;
  acceptance: Acceptance;
  attestation: Attestation;
  accept: Opened<Accept> | null;
  money: Money | null;
}): ReceiptReport {
  const { taskId, replica, attempt } = acceptance;
  return {
    networkId: info.networkId,
    networkName: info.genesis.name,
    taskId,
    ref: { taskId, replica, attempt },
    requester: acceptance.requester,
    worker: acceptance.worker,
    outcome: attestation.outcome,
    exitCode: attestation.exitCode,
    usage: attestation.usage,
    runtime: attestation.runtime,
    imageDigest: attestation.imageDigest,
    verification: accept?.body.verification ?? null,
    paid: money !== null,
    settlement: money === null ? 'unpaid' : money.closing.outcome === 'paid' ? 'paid' : 'split',
    closedBy: (money && peekKind(money.closing.decided.value, MAX_VALUE_BYTES)) ?? null,
    escrowId: money?.escrow.escrowId ?? null,
    price: acceptance.price,
    pay: money?.closing.pay ?? 0n,
    fee: money?.closing.fee ?? 0n,
    acceptedAt: acceptance.acceptedAt,
    startedAt: attestation.startedAt,
    endedAt: attestation.endedAt,
  };
}
