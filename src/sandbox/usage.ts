import type { Counted } from './box.ts';
import type { SandboxResult, SandboxTask, SandboxUsage } from './interface.ts';
import type { SpentBefore } from './launcher/protocol.ts';
import { type CheckedTask, sizeOfInput } from './task.ts';

type Moved = Pick<SandboxUsage, 'inputBytes' | 'outputBytes' | 'stdoutBytes' | 'stderrBytes'>;

const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);

/** Of all that a task was given, however it came in. */
export function inputBytesOf({
  inputs,
  bound = [],
}: Pick<SandboxTask, 'inputs'> & Partial<Pick<CheckedTask, 'bound'>>): number {
  return sum([...inputs, ...bound].map(sizeOfInput));
}

/** What was handed over: files in and out, and of the streams what was kept. */
export function bytesMoved(
  inputBytes: number,
  { outputs, stdout, stderr }: Pick<SandboxResult, 'outputs' | 'stdout' | 'stderr'>,
): Moved {
  return {
    inputBytes,
    outputBytes: sum(outputs.map(({ size }) => size)),
    stdoutBytes: stdout.length,
    stderrBytes: stderr.length,
  };
}

/**
 * The use of a task that was killed: what was counted of its box, less what the box had used before it. Where the peak is not above
 * the one before, it may be of an earlier task of the same box: then what was held at the kill is as much as can be said.
 */
export function usedUntilKilled(
  counted: Counted,
  before: SpentBefore,
): Pick<SandboxUsage, 'cpuMs' | 'peakMemoryBytes'> {
  const isOwn = counted.peakMemoryBytes > before.peakBytes;
  return {
    cpuMs: Math.max(0, counted.cpuMs - before.cpuMs),
    peakMemoryBytes: isOwn ? counted.peakMemoryBytes : counted.memoryBytes,
  };
}
