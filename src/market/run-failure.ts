import type { Attestation, TaskFailure } from '../wire/index.ts';

const fail = (code: string, message: string): TaskFailure => ({ class: 'user', code, message });

/** What a run's own code did wrong, by how it ended; null where it ended well. */
export function runFailure({
  outcome,
  exitCode,
}: Pick<Attestation, 'outcome' | 'exitCode'>): TaskFailure | null {
  if (outcome === 'timeout') return fail('TASK_TIMEOUT', 'the task ran longer than its timeout_seconds');
  if (outcome === 'out_of_memory')
    return fail('TASK_OUT_OF_MEMORY', 'the task needed more than its memory_mb');
  if (outcome === 'output_limit')
    return fail('TASK_OUTPUT_LIMIT', 'the task wrote more than stdout or stderr may hold');
  return exitCode === 0 ? null : fail('TASK_EXIT', `the task ended with exit code ${exitCode}`);
}
