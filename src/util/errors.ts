/** What every coded error carries: a stable `code` that tests and clients match on, and the facts behind it. */
export interface ErrorFacts {
  readonly code: string;
  readonly [fact: string]: unknown;
}

/**
 * The one error class. `type` is a union of `{ code, ...facts }` declared beside the code that throws it; the
 * message is a sentence for people, which says what to do where there is something to do.
 */
export class CodedError<T extends ErrorFacts = ErrorFacts> extends Error {
  readonly type: T;

  constructor(type: T, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CodedError';
    this.type = type;
  }

  get code(): T['code'] {
    return this.type.code;
  }
}

/** The code of any thrown value: a CodedError's or a system error's own code, else `INTERNAL`. */
export function codeOf(error: unknown): string {
  if (error instanceof CodedError) return error.code;
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return 'INTERNAL';
}

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** True when `error` is a CodedError with one of `codes`. */
export function hasCode(error: unknown, ...codes: string[]): error is CodedError {
  return error instanceof CodedError && codes.includes(error.code);
}
