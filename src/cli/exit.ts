import { CodedError, codeOf } from '../util/index.ts';

/** What the command's end says to a script. `run` is the exception: it ends with the task's own exit code. */
export const EXIT = { done: 0, failed: 1, usage: 2, noDaemon: 3, refused: 4, interrupted: 130 } as const;

export type CliErrorType =
  | { code: 'USAGE' }
  | { code: 'DAEMON_NOT_RUNNING'; dataDir: string }
  | { code: 'START_FAILED' };

export class CliError extends CodedError<CliErrorType> {}

export function usage(message: string): CliError {
  return new CliError({ code: 'USAGE' }, message);
}

const BY_CODE: Readonly<Record<string, number>> = {
  USAGE: EXIT.usage,
  CONFIG_INVALID: EXIT.usage,
  INVALID_REQUEST: EXIT.usage,
  MALFORMED_JSON: EXIT.usage,
  DAEMON_NOT_RUNNING: EXIT.noDaemon,
  DAEMON_UNREACHABLE: EXIT.noDaemon,
  FUNDS_INSUFFICIENT: EXIT.refused,
  SPENDING_LIMIT: EXIT.refused,
  PASSPHRASE_REQUIRED: EXIT.usage,
  PASSPHRASE_WRONG: EXIT.usage,
  TASK_LIMIT: EXIT.refused,
  DAY_LIMIT: EXIT.refused,
  QUEUE_FULL: EXIT.refused,
  SEND_REPEATED: EXIT.refused,
};

export function exitCodeOf(error: unknown): number {
  return BY_CODE[codeOf(error)] ?? EXIT.failed;
}

/** Of a task that ended without success: refused where nobody would, or could be paid to, run it. */
export function exitCodeOfTask(task: {
  readonly status: string;
  readonly error: { readonly class: string; readonly code: string } | null;
}): number {
  if (task.status === 'completed') return EXIT.done;
  return task.error && isRefusal(task.error) ? EXIT.refused : EXIT.failed;
}

function isRefusal(error: { readonly class: string; readonly code: string }): boolean {
  if (error.class === 'funds' || error.code === 'NO_WORKER_FITS') return true;
  // Of class network: nobody took the task before its deadline.
  return error.class === 'network' && error.code === 'DEADLINE';
}
