import type { Attestation, Finding } from '../wire/index.ts';

/** What two runs of one task must agree on: how it ended, its stdout, its files. stderr and what was used differ freely. */
function isSame(a: Attestation, b: Attestation): boolean {
  return (
    a.outcome === b.outcome &&
    a.exitCode === b.exitCode &&
    a.stdoutCid === b.stdoutCid &&
    a.outputCid === b.outputCid
  );
}

/**
 * Judges a claim by own runs of the same task; undefined where it takes another run. One that agrees suffices, since nobody guesses a
 * hash. A claim is wrong where two runs agree with each other, and not with it. Where time or memory ended one of the three, a faster or
 * larger machine would have ended it otherwise: nothing is proved.
 */
export function judgeRuns(claimed: Attestation, runs: readonly Attestation[]): Finding | undefined {
  if (runs.some(run => isSame(run, claimed))) return 'right';
  const [first, second] = runs;
  if (!first || !second) return undefined;
  const exited = [claimed, first, second].every(({ outcome }) => outcome === 'exited');
  return exited && isSame(first, second) ? 'wrong' : 'unclear';
}
