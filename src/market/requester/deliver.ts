import { codeOf, messageOf } from '../../util/index.ts';
import { failureShare, type VerifiedResult, verifyResult } from '../../verification/index.ts';
import {
  acceptKind,
  attestationKind,
  awardKind,
  type ErrorClass,
  offerKind,
  open,
  outputManifest,
  type ResultRecord,
  seal,
  type TaskFailure,
} from '../../wire/index.ts';
import type { Delivery } from './follow-end.ts';
import type { RequesterComponents } from './interface.ts';
import type { Treasurer } from './money.ts';
import { attemptOf, type LiveTask, type TaskStore } from './task-store.ts';

/** A result whose user's format is not met: only the task's own code can mend that. */
const MISSHAPEN = /^(RESULT_SCHEMA$|RESULT_NOT_JSON$|SCHEMA_)/;
/** A result that its worker has made up. */
const FORGED = /^(ATTESTATION_|WIRE_|RESULT_HASH$|RESULT_REPLAYED$)/;

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
  try {
    ({ verified, misshapen } = verify(components, task, attempt, delivery));
  } catch (error) {
    const { worker } = attemptOf(task.record, attempt);
    if (worker && FORGED.test(codeOf(error))) components.network.report(worker, codeOf(error), 20);
    return { good: false, failure: { class: 'worker', code: codeOf(error), message: messageOf(error) } };
  }
  const failure = misshapen ?? (await ownFailure(store, task, delivery));
  await keep(components, store, treasurer, { task, attempt, delivery, verified, failure });
  return { good: true, failure };
}

/** Integrity is the worker's matter; the format is the task's: a result of another form is verified without it. */
function verify(
  components: RequesterComponents,
  task: LiveTask,
  attempt: number,
  delivery: Delivery,
): { verified: VerifiedResult; misshapen: TaskFailure | null } {
  const { verification } = task.record.policy;
  try {
    return { verified: verifyIn(verification, components, task, attempt, delivery), misshapen: null };
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
async function ownFailure(
  store: TaskStore,
  task: LiveTask,
  { message, outputs }: Delivery,
): Promise<TaskFailure | null> {
  const { outcome, exitCode } = open(attestationKind, message.attestation).body;
  const fail = (code: string, text: string): TaskFailure => ({
    class: 'user' as ErrorClass,
    code,
    message: text,
  });
  if (outcome === 'timeout') return fail('TASK_TIMEOUT', 'the task ran longer than its timeout_seconds');
  if (outcome === 'out_of_memory')
    return fail('TASK_OUT_OF_MEMORY', 'the task needed more than its memory_mb');
  if (outcome === 'output_limit')
    return fail('TASK_OUTPUT_LIMIT', 'the task wrote more than stdout or stderr may hold');
  if (exitCode !== 0) return fail('TASK_EXIT', `the task ended with exit code ${exitCode}`);
  const wanted = (await store.spec(task.record.taskId)).outputs;
  const missing = wanted.find(path => !outputs.some(file => file.path === path));
  return missing === undefined ? null : fail('OUTPUT_MISSING', `the task did not write outputs/${missing}`);
}

interface Kept {
  readonly task: LiveTask;
  readonly attempt: number;
  readonly delivery: Delivery;
  readonly verified: VerifiedResult;
  readonly failure: TaskFailure | null;
}

async function keep(
  components: RequesterComponents,
  store: TaskStore,
  treasurer: Treasurer,
  { task, attempt, delivery, verified, failure }: Kept,
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
  const agreed = verified.attestation.body.outcome === 'exited' && verified.attestation.body.exitCode === 0;
  const accept = agreed ? sealAccept(components, task, entry.escrowId, attempt, verified) : null;
  const split = agreed ? undefined : splitOf(treasurer, entry, delivery, verified);
  await store.update(task, record => ({
    state: 'paying',
    phase: 'settling',
    waiting: record.policy.automaticPayment || entry.escrowId === null ? null : 'awaiting_accept',
    result,
    failure,
    accept,
    attempts: record.attempts.map(other =>
      other.attempt === attempt
        ? {
            ...other,
            endedAt: clock.now(),
            failure,
            evidence: split ?? automatic(record.policy.automaticPayment, accept),
          }
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
  entry: ReturnType<typeof attemptOf>,
  { message }: Delivery,
  verified: VerifiedResult,
): Uint8Array | undefined {
  if (!entry.escrowId || !message.mutual || entry.price === null) return undefined;
  const { limits, failureFloorPermille } = open(offerKind, entry.offer).body.terms;
  const { wallMs } = verified.attestation.body.usage;
  const most = failureShare({
    ask: entry.price,
    wallMs,
    timeoutMs: limits.runMs,
    floorPermille: failureFloorPermille,
  });
  return treasurer.agree(message.mutual, entry.escrowId, entry.worker as string, most);
}

/** True for failures that another worker may not repeat. */
export function mayRetry(failure: TaskFailure): boolean {
  return failure.class === 'worker' || failure.class === 'network';
}
