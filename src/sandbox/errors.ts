import { CodedError, messageOf } from '../util/index.ts';

/** Whose fault it is, which decides what the market does: a worker's is tried again elsewhere, a user's is not. */
export type SandboxErrorFacts =
  | { readonly code: 'SANDBOX_UNAVAILABLE'; readonly class: 'worker'; readonly reason: string }
  | { readonly code: 'SANDBOX_FAILED'; readonly class: 'worker'; readonly reason: string }
  | { readonly code: 'SANDBOX_REFUSED'; readonly class: 'user'; readonly reason: string }
  | {
      readonly code: 'IMAGE_UNKNOWN';
      readonly class: 'user';
      readonly image: string;
      readonly reason: string;
    }
  | {
      readonly code: 'IMAGE_PULL_FAILED';
      readonly class: 'worker';
      readonly image: string;
      readonly reason: string;
    };

export type SandboxError = CodedError<SandboxErrorFacts>;

export function unavailable(reason: string, options?: ErrorOptions): SandboxError {
  return new CodedError(
    { code: 'SANDBOX_UNAVAILABLE', class: 'worker', reason },
    `the sandbox is not available: ${reason}`,
    options,
  );
}

export function failed(reason: string, options?: ErrorOptions): SandboxError {
  return new CodedError(
    { code: 'SANDBOX_FAILED', class: 'worker', reason },
    `the sandbox failed: ${reason}`,
    options,
  );
}

/** What a runtime says whose sandboxes never outlive it. */
export function endsWithProcess(): SandboxError {
  return failed('a task of this runtime ends with the process that started it');
}

/** What an engine or the system answered, as `SANDBOX_FAILED`; coded errors as they are. */
export function asSandboxError(error: unknown, what: string): Error {
  if (error instanceof CodedError) return error;
  return failed(`${what}: ${messageOf(error)}`, { cause: error });
}

export function refused(reason: string, options?: ErrorOptions): SandboxError {
  return new CodedError(
    { code: 'SANDBOX_REFUSED', class: 'user', reason },
    `the sandbox cannot run this task: ${reason}`,
    options,
  );
}

export function imageUnknown(image: string, reason: string): SandboxError {
  return new CodedError(
    { code: 'IMAGE_UNKNOWN', class: 'user', image, reason },
    `there is no image ${image}: ${reason}`,
  );
}

export function pullFailed(image: string, reason: string, options?: ErrorOptions): SandboxError {
  return new CodedError(
    { code: 'IMAGE_PULL_FAILED', class: 'worker', image, reason },
    `the image ${image} is not here and could not be pulled: ${reason}`,
    options,
  );
}
