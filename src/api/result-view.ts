import { isUtf8 } from 'node:buffer';
import type { LogChunk, ResultView, TaskView } from '../market/index.ts';
import { attestationKind, open } from '../wire/index.ts';
import type { LogLine, TaskResultReply } from './task-replies.ts';
import { arrayReplyOf, iso, paymentReplyOf } from './task-views.ts';

/** Invalid UTF-8 becomes U+FFFD. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** `value` when the text is JSON, else null. */
function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The signed statement's facts beside its bytes. The market has checked it before it made a result of it. */
function attestationOf(envelope: Uint8Array): TaskResultReply['attestation'] {
  const { body } = open(attestationKind, envelope);
  return {
    worker: body.worker,
    attempt: body.attempt,
    runtime: body.runtime,
    image_digest: body.imageDigest,
    outcome: body.outcome,
    exit_code: body.exitCode,
    stdout_cid: body.stdoutCid,
    stderr_cid: body.stderrCid,
    output_cid: body.outputCid,
    escrow_id: body.escrowId,
    started_at: iso(body.startedAt),
    ended_at: iso(body.endedAt),
    envelope: base64Of(envelope),
  };
}

function outputFacts(result: ResultView) {
  const stdout = textOf(result.stdout);
  return {
    result: jsonOrNull(stdout),
    stdout,
    stderr: textOf(result.stderr),
    ...(isUtf8(result.stdout) ? {} : { stdout_base64: base64Of(result.stdout) }),
    ...(isUtf8(result.stderr) ? {} : { stderr_base64: base64Of(result.stderr) }),
    exit_code: result.exitCode,
    outcome: result.outcome,
    oom_killed: result.oomKilled,
    truncated: { ...result.truncated },
    outputs: result.outputs.map(output => ({ ...output })),
    usage: {
      cpu_ms: result.usage.cpuMs,
      peak_memory_bytes: result.usage.peakMemoryBytes,
      wall_ms: result.usage.wallMs,
      input_bytes: result.usage.inputBytes,
      output_bytes: result.usage.outputBytes,
      stdout_bytes: result.usage.stdoutBytes,
      stderr_bytes: result.usage.stderrBytes,
    },
    worker: result.worker,
    runtime: result.runtime,
    image_digest: result.imageDigest,
    attestation: attestationOf(result.attestation),
    verification: { ...result.verification, checks: [...result.verification.checks] },
  };
}

/** What a task without any result says: it failed before, or was cancelled. */
const NO_OUTPUT = {
  result: null,
  stdout: null,
  stderr: null,
  exit_code: null,
  outcome: null,
  oom_killed: false,
  truncated: { stdout: false, stderr: false, outputs: false },
  outputs: [],
  usage: null,
  runtime: null,
  image_digest: null,
  attestation: null,
  verification: null,
};

export function resultOf(task: TaskView, result: ResultView | null): TaskResultReply {
  return {
    task_id: task.taskId,
    status: task.state,
    ...(result === null ? { ...NO_OUTPUT, worker: task.worker } : outputFacts(result)),
    payment: paymentReplyOf(task.payment),
    error: task.failure,
    waiting: task.waiting,
    array: arrayReplyOf(task.array),
    submitted_at: iso(task.submittedAt),
    ended_at: task.endedAt === null ? null : iso(task.endedAt),
  };
}

export function logLineOf(chunk: LogChunk): LogLine {
  return {
    stream: chunk.stream,
    offset: chunk.offset,
    size: chunk.bytes.length,
    text: textOf(chunk.bytes),
    ...(isUtf8(chunk.bytes) ? {} : { base64: base64Of(chunk.bytes) }),
  };
}
