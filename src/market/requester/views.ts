import {
  type AttemptRecord,
  attestationKind,
  MICROS,
  open,
  type TaskRecord,
  type TaskSpec,
} from '../../wire/index.ts';
import type { ArrayView, AttemptView, BidView, EngineStats, PaymentView, TaskView } from '../interface.ts';
import { choiceOf } from '../score.ts';
import type { Worker } from '../worker/worker.ts';
import { hasEnded, type TaskStore } from './task-store.ts';

/** A task as its owner sees it. */
export function taskView(
  record: TaskRecord,
  spec: TaskSpec,
  progress: number | null,
  running: number,
): TaskView {
  const {
    taskId,
    state,
    phase,
    waiting,
    policy,
    submittedAt,
    updatedAt,
    endedAt,
    phases,
    failure,
    hasReceipt,
  } = record;
  const current = record.result
    ? record.attempts.find(entry => entry.attempt === record.result?.attempt)
    : record.attempts.at(-1);
  return {
    taskId,
    state,
    phase,
    progress,
    waiting,
    policy,
    spec,
    submittedAt,
    updatedAt,
    endedAt,
    worker: record.result?.worker ?? current?.worker ?? null,
    phases,
    attempts: record.attempts.map(attemptView),
    failure,
    payment: current ? paymentView(current) : null,
    hasReceipt,
    array: record.array && arrayView(record.array, running),
    bundle: record.bundle,
  };
}

/** `running`: of its elements now. */
function arrayView(
  { total, completed, failed, paid }: NonNullable<TaskRecord['array']>,
  running: number,
): ArrayView {
  return { total, completed, failed, running, waiting: total - completed - failed - running, paid };
}

function attemptView(entry: AttemptRecord): AttemptView {
  const { attempt, worker, price, awardedAt, startedAt, endedAt, silent, failure } = entry;
  const bids = entry.bids.map(bidView);
  return {
    attempt,
    worker,
    price,
    awardedAt,
    startedAt,
    endedAt,
    bids,
    silent,
    choice: choiceOf(bids, worker),
    failure,
    payment: paymentView(entry),
  };
}

function bidView({ score, facts, ...bid }: AttemptRecord['bids'][number]): BidView {
  return {
    ...bid,
    score: score === null ? null : Number(score),
    facts: facts && {
      ask: bid.ask ?? 0n,
      queueMs: facts.queueMs,
      bytesMissing: facts.bytesMissing,
      expectedMs: facts.expectedMs,
      success: facts.successMicros / MICROS,
      secondValue: facts.secondValue,
      isDoubtful: facts.isDoubtful,
    },
  };
}

function paymentView({ money, price, pay, fee, escrowId, escrow }: AttemptRecord): PaymentView {
  const state = money === 'locking' ? 'locked' : money;
  const amount = state === 'released' || state === 'split' ? pay : state === 'locked' ? (price ?? 0n) : 0n;
  return { amount, fee, escrowId, state, escrow };
}

/** What an attestation says of a result, beside what was checked. */
export function attested(record: NonNullable<TaskRecord['result']>) {
  return open(attestationKind, record.attestation).body;
}

export function engineStats({ live, counts }: TaskStore, worker: Worker, slots: number): EngineStats {
  const { completed, failed, cancelled } = counts;
  const open = [...live.values()].filter(({ record }) => !hasEnded(record) && !record.bundle);
  const pending = open.filter(task => task.record.state === 'pending').length;
  const ended = completed + failed;
  const { capacity, draining, executed } = worker;
  return {
    active: open.length - pending,
    pending,
    completed,
    failed,
    cancelled,
    successRate: ended === 0 ? 1 : completed / ended,
    worker: {
      draining,
      running: capacity.running,
      queued: capacity.queued,
      executed,
      slots,
      freeMilliCpus: capacity.free.milliCpus,
      freeMemoryBytes: capacity.free.memoryBytes,
    },
  };
}
