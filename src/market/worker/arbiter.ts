import {
  type CheckedDecision,
  checkDecided,
  closingOf,
  defaultPay,
  drawArbiters,
  type Escrow,
  type Evidence,
  GRACE_MS,
  readLock,
} from '../../ledger/index.ts';
import { CodedError } from '../../util/index.ts';
import { failureShare, judgeRuns } from '../../verification/index.ts';
import {
  type Attestation,
  attestationKind,
  type Finding,
  type Offer,
  offerKind,
  open,
  orderKind,
  refKey,
  sameBytes,
  seal,
  taskIdOf,
  termsHash,
  type VerdictRequest,
  verdictAnswerMessage,
  verdictKind,
  verdictRequestMessage,
} from '../../wire/index.ts';
import type { WorkerComponents } from './interface.ts';
import type { LeaseBook } from './leases.ts';

export type ArbiterErrorType =
  | { code: 'ARBITRATION_INVALID'; part: string }
  | { code: 'NOT_ARBITER'; escrowId: string }
  | { code: 'VERDICT_LATE'; escrowId: string; verdictBy: number }
  | { code: 'RERUN_UNKNOWN'; run: string };

function refuse(type: ArbiterErrorType, message: string): never {
  throw new CodedError(type, message);
}

function must(holds: boolean, part: string, message: string): asserts holds {
  if (!holds) refuse({ code: 'ARBITRATION_INVALID', part }, message);
}

type Components = Pick<WorkerComponents, 'signer' | 'settlement' | 'genesis' | 'clock'>;

/**
 * The verdict of this node over a disputed claim: by certificates that prove lock, claim and dispute, and by runs of the same task that
 * it made itself for whoever asks. The same request gives the same answer: nothing is kept.
 * @throws WireError; CodedError `ARBITRATION_INVALID`, `NOT_ARBITER`, `VERDICT_LATE`, `RERUN_UNKNOWN`, those of `checkDecided` and `readLock`.
 */
export async function answerDispute(
  { signer, settlement, genesis, clock }: Components,
  leases: LeaseBook,
  bytes: Uint8Array,
  from: string,
): Promise<Uint8Array> {
  const request = verdictRequestMessage.decode(bytes);
  await settlement.follow([request.lock, request.claim, request.dispute], from);
  const { committee } = settlement;
  const claim = checkDecided(request.claim, committee);
  const attested = evidenceIn(claim, 'claim').statement.body;
  const escrow = readLock(request.lock, attested, committee);
  const dispute = checkDecided(request.dispute, committee);
  evidenceIn(dispute, 'dispute');
  // replayed against the lock: who signed, for which escrow, in which step
  for (const step of [claim, dispute]) closingOf(step, escrow, committee);
  const { escrowId, lock } = escrow;
  if (!drawArbiters(escrowId, lock).includes(signer.peer))
    refuse({ code: 'NOT_ARBITER', escrowId }, 'this node was not drawn to judge this escrow');
  if (clock.now() > lock.verdictBy + GRACE_MS)
    refuse(
      { code: 'VERDICT_LATE', escrowId, verdictBy: lock.verdictBy },
      'the time for a verdict is over: the default split stands',
    );
  const specHash = orderedSpec(escrow, request.order);
  const terms = agreedTerms(escrow, request.offer);
  const runs = await ownRuns(leases, request, from, specHash);
  // a claim of another spec than was ordered needs no run
  const finding = sameBytes(attested.specHash, specHash) ? judgeRuns(attested, runs) : 'wrong';
  if (!finding) return verdictAnswerMessage.encode({ type: 'run' });
  const pay = payFor(finding, escrow, attested, terms);
  const verdict = seal(verdictKind, { net: genesis.net, escrowId, pay }, signer);
  return verdictAnswerMessage.encode({ type: 'verdict', verdict: verdict.bytes, finding });
}

function evidenceIn<K extends Evidence['kind']>(
  { statement }: CheckedDecision,
  kind: K,
): Extract<Evidence, { kind: K }> {
  const evidence = statement.type === 'evidence' ? statement.evidence : undefined;
  must(evidence?.kind === kind, kind, `what was shown as the ${kind} is none`);
  return evidence as Extract<Evidence, { kind: K }>;
}

/** What the requester had ordered, by its hash. */
function orderedSpec({ requester, lock }: Escrow, bytes: Uint8Array): Uint8Array {
  const order = open(orderKind, bytes);
  must(
    taskIdOf(order) === lock.taskId && order.signers.includes(requester),
    'order',
    'the order is not that of the lock’s task',
  );
  return order.body.saltedSpecHash;
}

function agreedTerms({ lock }: Escrow, bytes: Uint8Array): Offer['terms'] {
  const { terms } = open(offerKind, bytes).body;
  must(sameBytes(termsHash(terms), lock.termsHash), 'offer', 'the offer has other terms than the lock');
  return terms;
}

/** What this node itself attested of the same spec, for whoever asks: each run counts once. */
async function ownRuns(
  leases: LeaseBook,
  { runs }: VerdictRequest,
  from: string,
  specHash: Uint8Array,
): Promise<Attestation[]> {
  const distinct = new Map(runs.map(run => [refKey(run), run]));
  const found: Attestation[] = [];
  for (const [key, run] of distinct) {
    const record = (await leases.find(run))?.record;
    const attestation = record?.attestation && open(attestationKind, record.attestation).body;
    if (!attestation || record.requester !== from || !sameBytes(attestation.specHash, specHash))
      refuse({ code: 'RERUN_UNKNOWN', run: key }, `${key} is no run of this task that was made here for you`);
    found.push(attestation);
  }
  return found;
}

/** A failed run is paid by its time, as agreed: right, it has no more to get than that. The same of every arbiter, as their verdicts must be. */
function payFor(
  finding: Finding,
  { lock }: Escrow,
  { outcome, exitCode, usage }: Attestation,
  { limits, failureFloorPermille }: Offer['terms'],
): bigint {
  const facts = { ask: lock.amount, wallMs: usage.wallMs, timeoutMs: limits.runMs };
  const succeeded = outcome === 'exited' && exitCode === 0;
  const whole = succeeded ? lock.amount : failureShare({ ...facts, floorPermille: failureFloorPermille });
  const split = defaultPay(lock);
  return { right: whole, wrong: 0n, unclear: split < whole ? split : whole }[finding];
}
