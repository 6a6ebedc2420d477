import * as z from 'zod';
import { encodeCbor } from './cbor.ts';
import { type BodyOf, defineKind } from './envelope.ts';
import { cborCid } from './hash.ts';
import {
  cidSchema,
  countSchema,
  hashSchema,
  hexHashSchema,
  peerSchema,
  taskRef,
  timeSchema,
} from './primitives.ts';
import { runtimeSchema } from './sandbox-needs.ts';

/** The worker's signed claim of a result: who says so, not that it is right. It can claim one lock alone. */
export const attestationKind = defineKind(
  'attestation',
  4096,
  z.strictObject({
    net: hashSchema,
    ...taskRef,
    escrowId: hexHashSchema.nullable(),
    specHash: hashSchema,
    worker: peerSchema,
    runtime: runtimeSchema,
    imageDigest: z.string().max(100),
    outcome: z.enum(['exited', 'timeout', 'out_of_memory', 'output_limit']),
    exitCode: countSchema.max(255),
    stdoutCid: cidSchema,
    stderrCid: cidSchema,
    outputCid: cidSchema,
    usage: z.strictObject({
      cpuMs: countSchema,
      peakMemoryBytes: countSchema,
      wallMs: countSchema,
      inputBytes: countSchema,
      outputBytes: countSchema,
      stdoutBytes: countSchema,
      stderrBytes: countSchema,
    }),
    startedAt: timeSchema,
    endedAt: timeSchema,
  }),
);

export type Attestation = BodyOf<typeof attestationKind>;

/** One collected file in a result. */
export interface OutputEntry {
  readonly path: string;
  readonly size: number;
  readonly cid: string;
}

/** The list that `outputCid` names: sorted by path (byte order). */
export function outputManifest(files: readonly OutputEntry[]): OutputEntry[] {
  return files
    .map(({ path, size, cid }) => ({ path, size, cid }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}

export function outputCidOf(manifest: readonly OutputEntry[]): string {
  return cborCid(encodeCbor(manifest));
}
