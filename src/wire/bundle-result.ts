import * as z from 'zod';
import { defineMessage } from './message.ts';
import { bytesSchema, countSchema, timeSchema } from './primitives.ts';
import { MAX_STREAM_BYTES } from './task-message.ts';
import { MAX_MEMBERS } from './task-spec.ts';

/** stdout and stderr of one run of a bundle, each: what is longer belongs into files. */
export const MEMBER_STREAM_BYTES = 256 * 1024;
/** As soon as a bundle's results have less room than its next run may need, it ends. */
export const MEMBER_ROOM_BYTES = 2 * MEMBER_STREAM_BYTES + 1024;

export const memberResultSchema = z.strictObject({
  outcome: z.enum(['exited', 'timeout', 'out_of_memory', 'output_limit']),
  exitCode: countSchema.max(255),
  oomKilled: z.boolean(),
  stdout: bytesSchema(MEMBER_STREAM_BYTES),
  stderr: bytesSchema(MEMBER_STREAM_BYTES),
  truncated: z.strictObject({ stdout: z.boolean(), stderr: z.boolean(), outputs: z.boolean() }),
  cpuMs: countSchema,
  peakMemoryBytes: countSchema,
  wallMs: countSchema,
  inputBytes: countSchema,
  startedAt: timeSchema,
  endedAt: timeSchema,
});

export type MemberResult = z.output<typeof memberResultSchema>;

/**
 * What a worker attests as the stdout of a bundle: the results of its first runs, in their order; those that are missing have not been
 * run. Their files are the bundle's, each below the number of its run.
 */
export const bundleResultMessage = defineMessage(
  'bundle-result',
  MAX_STREAM_BYTES,
  z.strictObject({ runs: z.array(memberResultSchema).min(1).max(MAX_MEMBERS) }),
  { maxItems: 32 * MAX_MEMBERS },
);

/** Whether a run ended as its program should end. */
export function ranWell({ outcome, exitCode }: Pick<MemberResult, 'outcome' | 'exitCode'>): boolean {
  return outcome === 'exited' && exitCode === 0;
}

/** Where a run's file is among those of its bundle. */
export function memberPath(member: number, path: string): string {
  return `${member}/${path}`;
}
