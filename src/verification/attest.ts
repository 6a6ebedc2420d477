import type { SandboxResult } from '../sandbox/index.ts';
import {
  type Attestation,
  attestationKind,
  type Opened,
  type OutputEntry,
  outputCidOf,
  outputManifest,
  rawCid,
  type Signer,
  seal,
  type TaskRef,
} from '../wire/index.ts';

/** A run's result with its files under their content ids. */
export type KeptResult = Omit<SandboxResult, 'outputs'> & { readonly outputs: readonly OutputEntry[] };

/** What a worker knows about an execution. */
export interface AttestationFacts {
  readonly net: Uint8Array;
  readonly ref: TaskRef;
  /** Null: unpaid, or its own task. */
  readonly escrowId: string | null;
  readonly specHash: Uint8Array;
  readonly runtime: Attestation['runtime'];
  /** Of the image that ran, as the executor saw it. */
  readonly imageDigest: string;
  readonly result: KeptResult;
}

/** The worker's signed claim of what its sandbox gave. @throws WireError `WIRE_SCHEMA` for facts that are out of range. */
export function attest(signer: Signer, facts: AttestationFacts): Opened<Attestation> {
  const { net, ref, escrowId, specHash, runtime, imageDigest, result } = facts;
  return seal(
    attestationKind,
    {
      net,
      taskId: ref.taskId,
      replica: ref.replica,
      attempt: ref.attempt,
      escrowId,
      specHash,
      worker: signer.peer,
      runtime,
      imageDigest,
      outcome: result.outcome,
      exitCode: result.exitCode,
      stdoutCid: rawCid(result.stdout),
      stderrCid: rawCid(result.stderr),
      outputCid: outputCidOf(outputManifest(result.outputs)),
      usage: {
        cpuMs: whole(result.usage.cpuMs),
        peakMemoryBytes: whole(result.usage.peakMemoryBytes),
        wallMs: whole(result.usage.wallMs),
        inputBytes: result.usage.inputBytes,
        outputBytes: result.usage.outputBytes,
        stdoutBytes: result.usage.stdoutBytes,
        stderrBytes: result.usage.stderrBytes,
      },
      startedAt: whole(result.startedAt),
      endedAt: whole(result.endedAt),
    },
    signer,
  );
}

/** Statements hold no fractions. */
function whole(value: number): number {
  return Math.max(0, Math.round(value));
}
