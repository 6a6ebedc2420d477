import { createContext, runInContext } from 'node:vm';
import { Ajv, type AnySchema, type Options, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { LRUCache } from 'lru-cache';
import { CodedError, messageOf } from '../util/index.ts';

export type ResultSchemaErrorType =
  | { code: 'SCHEMA_INVALID'; place: string }
  | { code: 'SCHEMA_TOO_LARGE'; bytes: number; maxBytes: number }
  | { code: 'RESULT_NOT_JSON' }
  | { code: 'RESULT_SCHEMA'; place: string };

export class ResultSchemaError extends CodedError<ResultSchemaErrorType> {}

/** A user's format for stdout, ready to be used. */
export interface ResultSchema {
  /** @throws ResultSchemaError `RESULT_NOT_JSON`, `RESULT_SCHEMA` with the JSON pointer of the wrong part. */
  check(stdout: Uint8Array): void;
}

/** Larger ones belong into a verifier program. */
export const MAX_SCHEMA_BYTES = 64 * 1024;

/** The output is a stranger's and may be made to send a pattern into backtracking: longer than this is a failed check. */
const CHECK_MS = 500;
/** The slowest schema of 64 KiB that was tried took 0.9 s. */
const COMPILE_MS = 3000;

/** Each `$ref` becomes a call: inlining them would let a small schema grow to megabytes of code. */
const OPTIONS: Options = {
  strict: false,
  logger: false,
  inlineRefs: false,
  meta: false,
  validateSchema: false,
};

/** Hold the meta-schemas alone; the users' schemas are compiled by instances that are thrown away. */
const metaOptions: Options = { strict: false, logger: false };
let metaSchemas: { readonly draft07: Ajv; readonly draft2020: Ajv2020 } | undefined;

/** Compiled schemas by their text: the tasks of one user share few. */
const compiled = new LRUCache<string, ResultSchema>({ max: 64 });

/**
 * Compiles a JSON Schema (draft 2020-12 where its `$schema` says so, else draft-07; formats included; no references to other documents).
 * @throws ResultSchemaError `SCHEMA_TOO_LARGE`, `SCHEMA_INVALID` with the JSON pointer of the wrong part.
 */
export function compileResultSchema(text: string): ResultSchema {
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_SCHEMA_BYTES)
    throw new ResultSchemaError(
      { code: 'SCHEMA_TOO_LARGE', bytes, maxBytes: MAX_SCHEMA_BYTES },
      `the result schema has ${bytes} bytes; at most ${MAX_SCHEMA_BYTES} are taken`,
    );
  const known = compiled.get(text);
  if (known) return known;
  const schema = readSchema(text);
  const validate = compile(schema);
  const result: ResultSchema = { check: stdout => check(validate, stdout) };
  compiled.set(text, result);
  return result;
}

function invalid(place: string, why: string, cause?: unknown): ResultSchemaError {
  return new ResultSchemaError(
    { code: 'SCHEMA_INVALID', place },
    `the result schema is wrong at ${place || 'its root'}: ${why}`,
    { cause },
  );
}

function readSchema(text: string): Exclude<AnySchema, boolean> {
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch (cause) {
    throw invalid('', `not JSON (${messageOf(cause)})`, cause);
  }
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
    throw invalid('', 'it must be a JSON object');
  return schema;
}

function isDraft2020(schema: { readonly $schema?: unknown }): boolean {
  return typeof schema.$schema === 'string' && schema.$schema.includes('2020-12');
}

function compile(schema: Exclude<AnySchema, boolean>): ValidateFunction {
  metaSchemas ??= { draft07: new Ajv(metaOptions), draft2020: new Ajv2020(metaOptions) };
  const draft2020 = isDraft2020(schema);
  const meta = draft2020 ? metaSchemas.draft2020 : metaSchemas.draft07;
  const engine = draft2020 ? new Ajv2020(OPTIONS) : new Ajv(OPTIONS);
  formats.default(engine, { mode: 'fast' });
  const sound = attempt(() => meta.validateSchema(schema) === true);
  const [error] = meta.errors ?? [];
  if (!sound) throw invalid(error?.instancePath ?? '', error?.message ?? 'no JSON Schema');
  const validate = attempt(() => engine.compile(schema));
  if ('$async' in validate) throw invalid('/$async', 'the check must be synchronous');
  return validate;
}

function attempt<T>(fn: () => T): T {
  try {
    return timed(COMPILE_MS, fn);
  } catch (cause) {
    throw invalid('', messageOf(cause), cause);
  }
}

function check(validate: ValidateFunction, stdout: Uint8Array): void {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(stdout));
  } catch (cause) {
    throw new ResultSchemaError(
      { code: 'RESULT_NOT_JSON' },
      'the task has a result schema, but its stdout is not JSON; print one JSON value and nothing else',
      { cause },
    );
  }
  let passed: boolean;
  try {
    passed = timed(CHECK_MS, () => validate(value));
  } catch (cause) {
    throw mismatch('', `could not be checked (${messageOf(cause)})`, cause);
  }
  const [error] = validate.errors ?? [];
  if (!passed) throw mismatch(error?.instancePath ?? '', error?.message ?? 'does not match');
}

function mismatch(place: string, why: string, cause?: unknown): ResultSchemaError {
  return new ResultSchemaError(
    { code: 'RESULT_SCHEMA', place: place.slice(0, 300) },
    `stdout does not match the result schema at ${place.slice(0, 300) || 'its root'}: ${why}`,
    { cause },
  );
}

/** Runs `fn`, which holds no code of strangers, and ends it after `timeoutMs`: a limit of time, not a sandbox. */
function timed<T>(timeoutMs: number, fn: () => T): T {
  return runInContext('fn()', createContext({ fn }), { timeout: timeoutMs });
}
