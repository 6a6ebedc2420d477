import { CodedError, codeOf } from '../util/index.ts';

export interface FieldError {
  /** Where in the request: `inputs[0].target`; empty for the request as a whole. */
  readonly field: string;
  readonly message: string;
}

/** RFC 9457 problem details, with our stable `code`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly errors?: readonly FieldError[] | undefined;
}

export type ApiErrorType =
  | { code: 'INVALID_REQUEST'; errors: readonly FieldError[] }
  | { code: 'MALFORMED_JSON' }
  | { code: 'TOKEN_REQUIRED'; reason: string }
  | { code: 'TOKEN_WRONG' }
  | { code: 'SPENDING_LIMIT'; limit: bigint; spent: bigint }
  | { code: 'TOO_MANY_FOLLOWERS'; limit: number }
  | { code: 'OUTPUT_NOT_FOUND'; path: string }
  | { code: 'BLOB_NOT_FOUND'; cid: string }
  | { code: 'CERTIFICATE_NOT_FOUND'; slot: string }
  | { code: 'NOTARIES_FULL'; limit: number }
  | { code: 'NOTARY_AWAY'; peer: string }
  | { code: 'NOTARY_LAST'; peer: string }
  | { code: 'BODY_BROKEN' }
  | { code: 'BODY_TOO_LARGE' }
  | { code: 'RECEIPT_NOT_READY'; taskId: string }
  | { code: 'NOT_FOUND' }
  | { code: 'METHOD_NOT_ALLOWED'; allow: readonly string[] }
  | { code: 'RATE_LIMITED' }
  | { code: 'UNSUPPORTED_MEDIA_TYPE' }
  | { code: 'STOPPING' };

export class ApiError extends CodedError<ApiErrorType> {}

interface Entry {
  readonly status: number;
  readonly title: string;
}

const entry = (status: number, title: string): Entry => ({ status, title });

/** Every code that a client may meet: its status, and its title on the page /docs/errors. */
export const ERRORS: Readonly<Record<string, Entry>> = {
  INVALID_REQUEST: entry(400, 'A field of the request is wrong'),
  MALFORMED_JSON: entry(400, 'The body is not JSON'),
  BAD_REQUEST: entry(400, 'The request cannot be read'),
  BODY_BROKEN: entry(400, 'The body broke off'),
  STATEMENT_SIGNER: entry(400, 'The invite is not signed by the network’s admin'),
  AMOUNT_SMALL: entry(400, 'The network moves no amount so small'),
  SEND_TO_SELF: entry(400, 'Nobody sends money to itself'),
  TOKEN_REQUIRED: entry(401, 'This request needs the API token'),
  TOKEN_WRONG: entry(401, 'The API token is wrong'),
  FUNDS_INSUFFICIENT: entry(402, 'The balance is too small'),
  SPENDING_LIMIT: entry(403, 'More was spent without a token today than is allowed'),
  TASK_LIMIT: entry(403, 'A task of this node may not cost so much'),
  DAY_LIMIT: entry(403, 'This node may not spend more today'),
  NOT_ADMIN: entry(403, 'Only the network’s admin may do that'),
  NOT_FOUND: entry(404, 'There is nothing at this path'),
  TASK_NOT_FOUND: entry(404, 'This node knows no such task'),
  AFTER_UNKNOWN: entry(404, 'A task is to come after one that this node does not know'),
  OUTPUT_NOT_FOUND: entry(404, 'The task made no such file'),
  ELEMENT_NOT_FOUND: entry(404, 'The array has no such element'),
  BLOB_NOT_FOUND: entry(404, 'This node has no such bytes'),
  CERTIFICATE_NOT_FOUND: entry(404, 'This account’s trail has no such slot'),
  INVITE_UNKNOWN: entry(404, 'This node made no such invite'),
  MEMBER_UNKNOWN: entry(404, 'This peer is no member by an invite'),
  METHOD_NOT_ALLOWED: entry(405, 'This path does not know this method'),
  NOTARIES_FULL: entry(409, 'There are as many notaries as there can be'),
  NOTARY_AWAY: entry(409, 'That node is not connected'),
  LOG_COMPACTED: entry(409, 'Notaries can no longer be added'),
  NOTARY_LAST: entry(409, 'The last notary stays'),
  TASK_OVER: entry(409, 'The task has ended or is being paid'),
  TASK_NOT_ARRAY: entry(409, 'The task is no array'),
  NOTHING_TO_RETRY: entry(409, 'No element is to be run again'),
  TASK_NOT_WAITING: entry(409, 'Nothing waits for this decision'),
  DISPUTE_LATE: entry(409, 'The time for a dispute is over'),
  RESULT_NOT_READY: entry(409, 'The result is not there yet'),
  RECEIPT_NOT_READY: entry(409, 'The receipt is not there yet'),
  IDEMPOTENCY_CONFLICT: entry(409, 'This idempotency key belongs to another task or transfer'),
  SEND_REPEATED: entry(409, 'The same transfer was made a moment ago'),
  INVITE_REDEEMED: entry(409, 'This node has redeemed the invite before'),
  MEMBER_ALREADY: entry(409, 'This node is a member already'),
  MEMBERSHIP_OPEN: entry(409, 'In an open network everybody is a member'),
  NETWORK_DIFFERS: entry(409, 'The invite is of another network'),
  INVITE_EXPIRED: entry(410, 'The invite’s time is over'),
  INVITE_EXHAUSTED: entry(410, 'The invite was used as often as it may be'),
  INVITE_REVOKED: entry(410, 'The invite was revoked'),
  RESULT_EXPIRED: entry(410, 'The result was kept for its time, and is gone'),
  BODY_TOO_LARGE: entry(413, 'The body is too large'),
  BLOB_TOO_LARGE: entry(413, 'These are more bytes than inputs may have'),
  UNSUPPORTED_MEDIA_TYPE: entry(415, 'The body has a type that this path does not take'),
  RATE_LIMITED: entry(429, 'Too many requests'),
  QUEUE_FULL: entry(429, 'Too many tasks wait already'),
  INVITE_LIMIT: entry(429, 'Too many invites are kept'),
  TOO_MANY_FOLLOWERS: entry(429, 'Too many event streams are open'),
  INTERNAL: entry(500, 'Something went wrong in this node'),
  LEDGER_REFUSED: entry(502, 'The ledger refused'),
  LEDGER_UNREACHABLE: entry(503, 'No notary answers'),
  STOPPING: entry(503, 'This node is stopping'),
  TIMEOUT: entry(504, 'It took too long'),
  STORAGE_FULL: entry(507, 'The storage has no room for it'),
};

/** What Fastify's own errors are called here. */
const BY_STATUS: Readonly<Record<number, string>> = {
  400: 'BAD_REQUEST',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  413: 'BODY_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  429: 'RATE_LIMITED',
  503: 'STOPPING',
};

/** Where a code is explained. */
export function problemType(code: string): string {
  return `/docs/errors#${code.toLowerCase().replaceAll('_', '-')}`;
}

function codeFor(error: unknown): string {
  if (error instanceof CodedError) return ERRORS[error.code] ? error.code : 'INTERNAL';
  const status = statusOf(error);
  if (status !== undefined) return BY_STATUS[status] ?? (status < 500 ? 'BAD_REQUEST' : 'INTERNAL');
  return 'INTERNAL';
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

/** The answer to any thrown value. What we did not foresee is a bare 500: no message, no stack. */
export function toProblem(error: unknown): Problem {
  const code = codeFor(error);
  const { status, title } = ERRORS[code] ?? (ERRORS.INTERNAL as Entry);
  const known = code !== 'INTERNAL' && error instanceof Error;
  const problem = { type: problemType(code), title, status, code, detail: known ? error.message : title };
  return error instanceof ApiError && error.type.code === 'INVALID_REQUEST'
    ? { ...problem, errors: error.type.errors }
    : problem;
}

export function invalidRequest(errors: readonly FieldError[]): ApiError {
  const first = errors[0];
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return new ApiError(
    { code: 'INVALID_REQUEST', errors },
    `${first?.field || 'request'}: ${first?.message ?? 'is wrong'}${more}`,
  );
}

/** True where the log should have the whole error: nobody foresaw it. */
export function isUnforeseen(error: unknown): boolean {
  return codeFor(error) === 'INTERNAL' || ERRORS[codeOf(error)]?.status === 500;
}
