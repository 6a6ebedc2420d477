import { CodedError } from '../util/index.ts';
import {
  type Attestation,
  attestationKind,
  type Opened,
  type OutputEntry,
  open,
  outputCidOf,
  outputManifest,
  rawCid,
  refKey,
  sameBytes,
  type TaskRef,
  toHex,
} from '../wire/index.ts';
import { compileResultSchema } from './result-schema.ts';

export type VerificationErrorType =
  | { code: 'ATTESTATION_SIGNER'; signers: readonly string[]; expected: string }
  | { code: 'ATTESTATION_NETWORK' }
  | { code: 'ATTESTATION_TASK'; task: string; expected: string }
  | { code: 'ATTESTATION_SPEC' }
  | { code: 'ATTESTATION_ESCROW'; escrowId: string | null; expected: string | null }
  | { code: 'ATTESTATION_TIMES'; startedAt: number; endedAt: number }
  | { code: 'RESULT_HASH'; part: 'stdout' | 'stderr' | 'outputs' }
  | { code: 'RESULT_SIZE'; part: 'stdout' | 'stderr' | 'outputs' }
  | { code: 'RESULT_LATE'; receivedAt: number; deadline: number }
  | { code: 'RESULT_REPLAYED'; digest: string };

export class VerificationError extends CodedError<VerificationErrorType> {}

/** A result as it came. */
export interface Delivered {
  /** The signed envelope. */
  readonly attestation: Uint8Array;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** By what came of them. */
  readonly outputs: readonly OutputEntry[];
  /** Wall-clock milliseconds, by our own clock. */
  readonly receivedAt: number;
}

/** What the result must be of. */
export interface Expected {
  readonly net: Uint8Array;
  readonly ref: TaskRef;
  readonly worker: string;
  readonly specHash: Uint8Array;
  /** Null: unpaid, or our own node. */
  readonly escrowId: string | null;
  /** The last moment at which it is taken, wall-clock milliseconds. */
  readonly deadline: number;
  readonly mode: 'none' | 'check';
  /** JSON Schema for stdout, as JSON text. */
  readonly resultSchema: string | null;
  /** Whether an attestation with this digest (hex) was taken before. */
  seen(digestHex: string): boolean;
}

const CHECKS = [
  'signature',
  'signer',
  'network',
  'task',
  'spec',
  'escrow',
  'hashes',
  'sizes',
  'times',
] as const;
export type CheckName = (typeof CHECKS)[number] | 'deadline' | 'replay' | 'schema';

const verified: unique symbol = Symbol('verified');

/** A result that passed: `verifyResult` alone makes it, so code that asks for one cannot be given an unchecked result. */
export interface VerifiedResult {
  readonly [verified]: true;
  readonly attestation: Opened<Attestation>;
  /** The attestation's digest, for `seen`. */
  readonly digestHex: string;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly outputs: Delivered['outputs'];
  readonly receivedAt: number;
  readonly mode: 'none' | 'check';
  /** What was checked, in order. */
  readonly checks: readonly CheckName[];
}

/**
 * Checks a delivered result against what was awarded. The checks of integrity run in every mode; mode `none` leaves out the
 * user's format alone, which applies to a task that ended by itself with code 0.
 * @throws VerificationError `ATTESTATION_*`, `RESULT_HASH`, `RESULT_SIZE`, `RESULT_LATE`, `RESULT_REPLAYED`; ResultSchemaError
 * `RESULT_NOT_JSON`, `RESULT_SCHEMA`, `SCHEMA_*`; WireError for an attestation that is none.
 */
export function verifyResult(delivered: Delivered, expected: Expected): VerifiedResult {
  const attestation = open(attestationKind, delivered.attestation);
  checkSigner(attestation, expected.worker);
  checkSubject(attestation.body, expected);
  checkHashes(attestation.body, delivered);
  checkSizes(attestation.body, delivered);
  checkTimes(attestation.body, delivered.receivedAt, expected.deadline);
  const digestHex = toHex(attestation.digest);
  if (expected.seen(digestHex))
    throw new VerificationError(
      { code: 'RESULT_REPLAYED', digest: digestHex },
      'this attestation was taken before',
    );
  const { stdout, stderr, outputs, receivedAt } = delivered;
  const { mode } = expected;
  const checks: CheckName[] = [...CHECKS, 'deadline', 'replay'];
  if (checkFormat(attestation.body, stdout, expected)) checks.push('schema');
  return {
    [verified]: true,
    attestation,
    digestHex,
    stdout,
    stderr,
    outputs,
    receivedAt,
    mode,
    checks,
  };
}

function checkSigner({ body, signers }: Opened<Attestation>, expected: string): void {
  if (signers.length !== 1 || signers[0] !== expected || body.worker !== expected)
    throw new VerificationError(
      { code: 'ATTESTATION_SIGNER', signers, expected },
      `the attestation must be signed by ${expected} alone, and name it`,
    );
}

function checkSubject(body: Attestation, { net, ref, specHash, escrowId }: Expected): void {
  if (!sameBytes(body.net, net))
    throw new VerificationError(
      { code: 'ATTESTATION_NETWORK' },
      'the attestation belongs to another network',
    );
  const [task, expected] = [refKey(body), refKey(ref)];
  if (task !== expected)
    throw new VerificationError(
      { code: 'ATTESTATION_TASK', task, expected },
      `the attestation is of ${task}, not of ${expected}`,
    );
  if (!sameBytes(body.specHash, specHash))
    throw new VerificationError(
      { code: 'ATTESTATION_SPEC' },
      'the attestation is of another code, environment or input',
    );
  if (body.escrowId !== escrowId)
    throw new VerificationError(
      { code: 'ATTESTATION_ESCROW', escrowId: body.escrowId, expected: escrowId },
      `the attestation claims escrow ${body.escrowId}, not ${escrowId}`,
    );
}

function checkHashes(body: Attestation, { stdout, stderr, outputs }: Delivered): void {
  const part =
    rawCid(stdout) !== body.stdoutCid
      ? 'stdout'
      : rawCid(stderr) !== body.stderrCid
        ? 'stderr'
        : outputCidOf(outputManifest(outputs)) !== body.outputCid
          ? 'outputs'
          : undefined;
  if (part)
    throw new VerificationError(
      { code: 'RESULT_HASH', part },
      `the delivered ${part} is not what the attestation names`,
    );
}

/** What it counts must be what it hands over. */
function checkSizes({ usage }: Attestation, { stdout, stderr, outputs }: Delivered): void {
  const part =
    usage.stdoutBytes !== stdout.length
      ? 'stdout'
      : usage.stderrBytes !== stderr.length
        ? 'stderr'
        : usage.outputBytes !== outputs.reduce((sum, { size }) => sum + size, 0)
          ? 'outputs'
          : undefined;
  if (part)
    throw new VerificationError(
      { code: 'RESULT_SIZE', part },
      `the delivered ${part} is not as large as the attestation says`,
    );
}

function checkTimes({ startedAt, endedAt }: Attestation, receivedAt: number, deadline: number): void {
  if (endedAt < startedAt)
    throw new VerificationError(
      { code: 'ATTESTATION_TIMES', startedAt, endedAt },
      'the attestation ends before it starts',
    );
  if (receivedAt > deadline)
    throw new VerificationError(
      { code: 'RESULT_LATE', receivedAt, deadline },
      `the result came ${receivedAt - deadline} ms after the last moment to take it`,
    );
}

/** True when there was a format to check, and stdout has it. */
function checkFormat(body: Attestation, stdout: Uint8Array, { mode, resultSchema }: Expected): boolean {
  if (mode === 'none' || resultSchema === null) return false;
  if (body.outcome !== 'exited' || body.exitCode !== 0) return false;
  compileResultSchema(resultSchema).check(stdout);
  return true;
}
