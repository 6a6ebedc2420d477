import {
  type ArrayView,
  type AttemptView,
  type BidView,
  costParts,
  type ElementView,
  type PaymentView,
  startsInMs,
  type TaskEvent,
  type TaskView,
} from '../market/index.ts';
import type { TaskInput } from '../wire/index.ts';
import { formatAmount } from './money.ts';
import type {
  BidReply,
  ElementReply,
  TaskEventReply,
  TaskReply,
  TaskStatusReply,
  TaskSummaryReply,
} from './task-replies.ts';

const MIB = 2 ** 20;

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : iso(ms);
}

function amountOrNull(amount: bigint | null): string | null {
  return amount === null ? null : formatAmount(amount);
}

export function paymentReplyOf(payment: PaymentView | null): TaskStatusReply['payment'] {
  if (payment === null) return null;
  const { amount, fee, escrowId, state, escrow } = payment;
  return {
    amount: formatAmount(amount),
    fee: formatAmount(fee),
    escrow_id: escrowId,
    state,
    escrow: escrow && {
      state: escrow.state,
      claim_by: iso(escrow.claimBy),
      dispute_by: iso(escrow.disputeBy),
      verdict_by: iso(escrow.verdictBy),
      arbiters: [...escrow.arbiters],
      closed_by: escrow.closedBy,
      finding: escrow.finding,
    },
  };
}

export function arrayReplyOf(array: ArrayView | null): TaskStatusReply['array'] {
  return array && { ...array, paid: formatAmount(array.paid) };
}

function doneOf({ completed, failed }: ArrayView): number {
  return completed + failed;
}

function headOf(task: TaskView) {
  return {
    task_id: task.taskId,
    service_name: task.policy.name,
    status: task.state,
    phase: task.phase,
    progress: task.array ? Math.floor((100 * doneOf(task.array)) / task.array.total) : task.progress,
    waiting: task.waiting,
    worker: task.worker,
    attempts: task.attempts.length,
    payment_amount: formatAmount(task.policy.payment),
    price: amountOrNull(task.attempts.at(-1)?.price ?? null),
    submitted_at: iso(task.submittedAt),
    updated_at: iso(task.updatedAt),
    ended_at: isoOrNull(task.endedAt),
    error: task.failure,
    array: arrayReplyOf(task.array),
  };
}

export function elementOf({ index, state, values, failures, bundle }: ElementView): ElementReply {
  return { index, status: state, values: { ...values }, failures, bundle };
}

export function summaryOf(task: TaskView): TaskSummaryReply {
  return { ...headOf(task), labels: { ...task.policy.labels } };
}

function timingsOf(task: TaskView): TaskStatusReply['timings'] {
  const last = task.attempts.at(-1);
  const executing = task.phases.executing;
  const executed = task.phases.collecting ?? task.phases.verifying ?? task.endedAt ?? task.updatedAt;
  return {
    total_ms: (task.endedAt ?? task.updatedAt) - task.submittedAt,
    to_award_ms: last?.awardedAt == null ? null : last.awardedAt - task.submittedAt,
    executing_ms: executing === undefined ? null : Math.max(0, executed - executing),
  };
}

export function statusOf(task: TaskView): TaskStatusReply {
  const phases = Object.entries(task.phases).map(([phase, at]) => [phase, iso(at)]);
  return {
    ...headOf(task),
    phases: Object.fromEntries(phases),
    timings: timingsOf(task),
    payment: paymentReplyOf(task.payment),
  };
}

export function bidOf({ worker, ask, etaMs, score, facts, refusal }: BidView): BidReply {
  return {
    worker,
    ask: amountOrNull(ask),
    eta_ms: etaMs,
    score,
    parts: facts && costParts(facts),
    facts: facts && {
      starts_in_ms: startsInMs(facts),
      queue_ms: facts.queueMs,
      bytes_missing: facts.bytesMissing,
      expected_ms: facts.expectedMs,
      success: facts.success,
      doubtful: facts.isDoubtful,
    },
    refusal,
  };
}

function attemptOf(view: AttemptView): TaskReply['attempts'][number] {
  return {
    attempt: view.attempt,
    worker: view.worker,
    price: amountOrNull(view.price),
    awarded_at: isoOrNull(view.awardedAt),
    started_at: isoOrNull(view.startedAt),
    ended_at: isoOrNull(view.endedAt),
    choice: view.choice,
    bids: view.bids.map(bidOf),
    silent: [...view.silent],
    error: view.failure,
    payment: paymentReplyOf(view.payment),
  };
}

/** All that the owner may see: the whole spec, but inputs by size alone. */
function inputOf(input: TaskInput): TaskReply['inputs'][number] {
  const target = input.path;
  if ('bytes' in input) return { target, size: input.bytes.length, cid: null };
  return 'cid' in input ? { target, size: input.size, cid: input.cid } : { target, size: null, cid: null };
}

export function taskOf(task: TaskView): TaskReply {
  const { spec, policy } = task;
  return {
    ...statusOf(task),
    attempts: task.attempts.map(attemptOf),
    task_type: policy.type,
    max_total: formatAmount(policy.maxTotal),
    priority: policy.priority,
    retries: policy.retries,
    deadline: iso(policy.deadline),
    verification: policy.verification,
    labels: { ...policy.labels },
    avoid: [...(policy.avoidSelf ? ['self'] : []), ...policy.avoidPeers],
    require: [...policy.requirePeers],
    arbiters: [...policy.arbiters],
    image: spec.image,
    code: 'code' in spec.program ? spec.program.code : null,
    command: 'argv' in spec.program ? [...spec.program.argv] : null,
    env: { ...spec.env },
    working_dir: spec.workingDir,
    inputs: spec.inputs.map(inputOf),
    outputs: [...spec.outputs],
    cpu_cores: spec.milliCpus / 1000,
    memory_mb: spec.memoryBytes / MIB,
    disk_mb: spec.diskBytes / MIB,
    max_output_mb: spec.outputBytes / MIB,
    timeout_seconds: spec.timeoutMs / 1000,
    runtime: spec.runtime,
    reuse: spec.reuse,
    idempotent: policy.idempotent,
    after: [...policy.after],
    resumable: spec.resumable,
    network: spec.allowHosts.length > 0 ? { allow: [...spec.allowHosts] } : ('none' as const),
    gpus: spec.gpus && {
      count: spec.gpus.count,
      vendor: spec.gpus.vendor,
      memory_mb: spec.gpus.memoryBytes / MIB,
    },
    has_receipt: task.hasReceipt,
    array_of: task.bundle?.array ?? null,
    elements: task.bundle && [...task.bundle.elements],
  };
}

export function eventOf(event: TaskEvent): TaskEventReply {
  const { taskId, state, phase, worker, escrow, elements, array, at } = event;
  const progress = elements && {
    total: elements.total,
    completed: elements.completed,
    failed: elements.failed,
  };
  return {
    task_id: taskId,
    status: state,
    phase,
    worker,
    escrow,
    array: progress,
    array_of: array,
    at: iso(at),
  };
}
