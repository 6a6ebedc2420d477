import type { z } from 'zod';
import { type FieldError, invalidRequest } from './errors.ts';

/** `['inputs', 0, 'target']` as `inputs[0].target`. */
function fieldOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}${text ? '.' : ''}${String(key)}`),
    '',
  );
}

function lowerFirst(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}

function errorsOf(issue: z.core.$ZodIssue): FieldError[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map(key => ({
      field: fieldOf([...issue.path, key]),
      message: 'is not a field that is known here',
    }));
  return [{ field: fieldOf(issue.path), message: lowerFirst(issue.message) }];
}

/** More wrong fields than anybody reads. */
const MAX_ERRORS = 100;

/** @throws ApiError `INVALID_REQUEST` with each wrong field. */
export function parseWith(schema: z.ZodType, value: unknown, what: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.flatMap(errorsOf).slice(0, MAX_ERRORS);
  throw invalidRequest(errors.map(error => (error.field === '' ? { ...error, field: what } : error)));
}
