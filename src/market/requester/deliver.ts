import { codeOf, messageOf } from '../../util/index.ts';
import { earned, type VerifiedResult, verifyResult } from '../../verification/index.ts';
import {
  acceptKind,
  attestationKind,
  awardKind,
  OUTCOME,
  offerKind,
  open,
  outputManifest,
  type ResultRecord,
  ranWell,
  seal,
  type TaskFailure,
  type TaskSpec,
} from '../../wire/index.ts';
import { runFailure } from '../run-failure.ts';
import { OVERTAKEN } from './attempts.ts';
import { bundleOutcomes } from './bundle-outcomes.ts';
import type { Delivery } from './follow-end.ts';
import type { RequesterComponents } from './interface.ts';
import type { Treasurer } from './money.ts';
import { attemptOf, isLive, type LiveTask, type TaskStore } from './task-store.ts';

/** A result whose user's format is not met: only the task's own code can mend that. */
const MISSHAPEN = /^(RESULT_SCHEMA$|RESULT_NOT_JSON$|SCHEMA_)/;
/** A result that its worker has made up. */
const FORGED = /^(ATTESTATION_|WIRE_|RESULT_HASH$|RESULT_REPLAYED$|BUNDLE_INVALID$)/;

export type Verdict =
  | { readonly good: true; readonly failure: TaskFailure | null }
  /** The worker is at fault: nothing is accepted from it, another is asked. */
  | { readonly good: false; readonly failure: TaskFailure };

/**
 * Checks a delivery and, when it passes, keeps it: its bytes in the store, what it proves in the record, the evidence that pays
 * for it. A task's own failure (exit code, time, memory, output, a stdout that is not in the user's format) is a good delivery
 * of a failure.
 */
export async function takeDelivery(
  components: RequesterComponents,
  store: TaskStore,
  treasurer: Treasurer,
  task: LiveTask,
  attempt: number,
  delivery: Delivery,
): Promise<Verdict> {
  const [verdict] = await Promise.all([
    judge(components, store, treasurer, task, attempt, delivery),
    store.update(task, { state: 'verifying', phase: 'verifying', waiting: null }),
  ]);
  return verdict;
}

async function judge(
  components: RequesterComponents,
  store: TaskStore,
  treasurer: Treasurer,
  task: LiveTask,
  attempt: number,
  delivery: Delivery,
): Promise<Verdict> {
  let verified: VerifiedResult;
  let misshapen: TaskFailure | null = null;
  let outcomes: Uint8Array | null = null;
  const spec = await store.spec(task.record.taskId);
  try {
    ({ verified, misshapen } = verify(components, task, attempt, delivery));
    if (spec.members) outcomes = bundleOutcomes(components, spec, task.record.policy, delivery);
  } catch (error) {
    const { worker } = attemptOf(task.record, attempt);
    if (worker && FORGED.test(codeOf(error))) components.network.report(worker, codeOf(error), 20);
    return { good: false, failure: { class: 'worker', code: codeOf(error), message: messageOf(error) } };
  }
  const failure = misshapen ?? (outcomes ? ofBundle(outcomes) : ownFailure(spec, delivery));
  await keep(components, store, treasurer, { task, spec, attempt, delivery, verified, failure, outcomes });
  return { good: true, failure };
}

function ofBundle(outcomes: Uint8Array): TaskFailure | null {
  const good = outcomes.filter(outcome => outcome === OUTCOME.completed).length;
  if (good === outcomes.length) return null;
  return {
    class: 'user',
    code: 'BUNDLE_INCOMPLETE',
    message: `${outcomes.length - good} of its ${outcomes.length} runs failed, or are still to be made`,
  };
}

/** Integrity is the worker's matter; the format is the task's: a result of another form is verified without it. */
function verify(
  components: RequesterComponents,
  task: LiveTask,
  attempt: number,
  delivery: Delivery,
): { verified: VerifiedResult; misshapen: TaskFailure | null } {
  const { policy, bundle } = task.record;
  try {
    // of a bundle each run's output has the format
    return {
      verified: verifyIn(bundle ? 'none' : policy.verification, components, task, attempt, delivery),
      misshapen: null,
    };
  } catch (error) {
    if (!MISSHAPEN.test(codeOf(error))) throw error;
    return {
      verified: verifyIn('none', components, task, attempt, delivery),
      misshapen: { class: 'user', code: codeOf(error), message: messageOf(error) },
    };
  }
}

function verifyIn(
  mode: 'none' | 'check',
  components: RequesterComponents,
  task: LiveTask,
  attempt: number,
  delivery: Delivery,
): VerifiedResult {
  const { genesis, clock } = components;
  const entry = attemptOf(task.record, attempt);
  const award = open(awardKind, entry.award as Uint8Array).body;
  const { terms } = open(offerKind, entry.offer).body;
  const { attestation, stdout, stderr } = delivery.message;
  return verifyResult(
    { attestation, stdout, stderr, outputs: delivery.outputs, receivedAt: clock.now() },
    {
      net: genesis.net,
      ref: award,
      worker: award.worker,
      specHash: award.specHash,
      escrowId: entry.escrowId,
      deadline: award.awardedAt + terms.claimMs,
      mode,
      resultSchema: task.record.policy.resultSchema,
      seen: () => task.record.result !== null,
    },
  );
}

/** What the task's own code did wrong, if it did. */
function ownFailure(spec: TaskSpec, { message, outputs }: Delivery): TaskFailure | null {
  const failure = runFailure(open(attestationKind, message.attestation).body);
  const missing = spec.outputs.find(path => !outputs.some(file => file.path === path));
  if (failure || missing === undefined) return failure;
  return { class: 'user', code: 'OUTPUT_MISSING', message: `the task did not write outputs/${missing}` };
}

interface Kept {
  readonly task: LiveTask;
  readonly spec: TaskSpec;
  readonly attempt: number;
  readonly delivery: Delivery;
  readonly verified: VerifiedResult;
  readonly failure: TaskFailure | null;
  /** Of a bundle's elements. */
  readonly outcomes: Uint8Array | null;
}

async function keep(
  components: RequesterComponents,
  store: TaskStore,
  treasurer: Treasurer,
  { task, spec, attempt, delivery, verified, failure, outcomes }: Kept,
): Promise<void> {
  const { blobs, clock } = components;
  const { message, outputs, files } = delivery;
  await Promise.all([blobs.put(message.stdout), blobs.put(message.stderr)]);
  await files.commit();
  const { truncated, oomKilled, attestation } = message;
  const result: ResultRecord = {
    attempt,
    worker: verified.attestation.body.worker,
    attestation,
    truncated,
    oomKilled,
    outputs: outputManifest(outputs),
    checks: [...verified.checks],
    expired: false,
  };
  const entry = attemptOf(task.record, attempt);
  // the run itself ended well: its worker cannot know what the user wants to find in it, and has earned its price
  const agreed = ranWell(verified.attestation.body);
  const accept = agreed ? sealAccept(components, task, entry.escrowId, attempt, verified) : null;
  const split = agreed ? undefined : splitOf(treasurer, spec, entry, delivery, verified);
  await store.update(task, record => ({
    state: 'paying',
    phase: 'settling',
    waiting: record.policy.automaticPayment || entry.escrowId === null ? null : 'awaiting_accept',
    result,
    failure,
    accept,
    bundle: record.bundle && { ...record.bundle, outcomes },
    attempts: record.attempts.map(other =>
      other.attempt === attempt
        ? {
            ...other,
            endedAt: clock.now(),
            failure,
            evidence: split ?? automatic(record.policy.automaticPayment, accept),
          }
        : isLive(other)
          ? { ...other, endedAt: clock.now(), failure: OVERTAKEN }
          : other,
    ),
  }));
}

/** Without automatic payment the acceptance waits until the user says so. */
function automatic(isAutomatic: boolean, accept: Uint8Array | null): Uint8Array | null {
  return isAutomatic ? accept : null;
}

function sealAccept(
  { genesis, signer }: RequesterComponents,
  task: LiveTask,
  escrowId: string | null,
  attempt: number,
  verified: VerifiedResult,
): Uint8Array {
  const ref = { taskId: task.record.taskId, replica: 0, attempt };
  const { digest } = verified.attestation;
  const body = { net: genesis.net, escrowId, ...ref, attestation: digest, verification: verified.mode };
  return seal(acceptKind, body, signer).bytes;
}

/** A failed run is paid by the time it used: the worker proposed the split, we sign it if it is what the rule gives. */
function splitOf(
  treasurer: Treasurer,
  spec: TaskSpec,
  entry: ReturnType<typeof attemptOf>,
  { message }: Delivery,
  verified: VerifiedResult,
): Uint8Array | undefined {
  if (!entry.escrowId || !message.mutual || entry.price === null) return undefined;
  const { limits, failureFloorPermille } = open(offerKind, entry.offer).body.terms;
  const { outcome, exitCode, usage } = verified.attestation.body;
  const most = earned(
    spec,
    { outcome, exitCode, usage, stdout: verified.stdout },
    { ask: entry.price, timeoutMs: limits.runMs, floorPermille: failureFloorPermille },
  );
  return treasurer.agree(message.mutual, entry.escrowId, entry.worker as string, most);
}

/** True for failures that another worker may not repeat. */
export function mayRetry(failure: TaskFailure): boolean {
  return failure.class === 'worker' || failure.class === 'network';
}
