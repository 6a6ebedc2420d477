import type { z } from 'zod';

/** One kind of answer: JSON by a schema, bytes of a media type at once or in pieces, or a stream of JSON objects. */
export type ReplyDef =
  | { readonly kind: 'json'; readonly schema: z.ZodType; readonly what: string }
  | { readonly kind: 'bytes'; readonly type: string; readonly what: string }
  /** Bytes from the disk, as fast as they are read. */
  | { readonly kind: 'file'; readonly type: string; readonly what: string }
  | { readonly kind: 'text'; readonly type: string; readonly what: string }
  | {
      readonly kind: 'stream';
      readonly schema: z.ZodType;
      readonly what: string;
      /** What a client gets that does not say what it accepts. */
      readonly format: StreamFormat;
    };

export type StreamFormat = 'ndjson' | 'sse';

/** One item of a stream as a handler gives it; `id` is what Last-Event-ID resumes from. */
export interface Frame<T> {
  readonly id: string;
  readonly event: string;
  readonly data: T;
}

export type BodyDef =
  | { readonly kind: 'json'; readonly schema: z.ZodType }
  | { readonly kind: 'bytes'; readonly type: string }
  /** Bytes of any number, handed on as they come. */
  | { readonly kind: 'upload'; readonly type: string };

/** Bytes in pieces, with their number where it is known before. */
export interface FileBody {
  readonly size: number | null;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/**
 * One path and method. The one source of the server's validation, the OpenAPI document and the typed client. Paths write
 * parameters as `{task_id}`, and `{path*}` for one that may hold slashes.
 */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly tag: 'tasks' | 'blobs' | 'engine' | 'node' | 'money' | 'members' | 'receipts' | 'docs';
  readonly summary: string;
  /** `local`: no token from this machine (access.ts); `token`: always the token. */
  readonly access: 'local' | 'token';
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  /** Request headers that mean something here, in lower case. */
  readonly headers?: z.ZodObject;
  readonly body?: BodyDef;
  readonly responses: Readonly<Record<number, ReplyDef>>;
}

export function defineRoute<const R extends Route>(route: R): R {
  return route;
}

export const json = <S extends z.ZodType>(schema: S, what: string) =>
  ({ kind: 'json', schema, what }) as const;
export const stream = <S extends z.ZodType>(schema: S, format: StreamFormat, what: string) =>
  ({ kind: 'stream', schema, format, what }) as const;
export const bytes = (type: string, what: string) => ({ kind: 'bytes', type, what }) as const;
export const file = (type: string, what: string) => ({ kind: 'file', type, what }) as const;
export const text = (type: string, what: string) => ({ kind: 'text', type, what }) as const;

type PartOf<R, K extends 'params' | 'query' | 'headers'> = R extends { [P in K]: infer S extends z.ZodType }
  ? S
  : undefined;
type BodySchemaOf<R> = R extends { body: { kind: 'json'; schema: infer S extends z.ZodType } }
  ? S
  : undefined;

type InputOf<S> = S extends z.ZodType ? z.input<S> : undefined;
type OutputOf<S> = S extends z.ZodType ? z.output<S> : undefined;
type RawBodyOf<R, Otherwise> = R extends { body: { kind: 'bytes' } }
  ? Uint8Array
  : R extends { body: { kind: 'upload' } }
    ? AsyncIterable<Uint8Array>
    : Otherwise;
type BodyInputOf<R> = RawBodyOf<R, InputOf<BodySchemaOf<R>>>;
type BodyOutputOf<R> = RawBodyOf<R, OutputOf<BodySchemaOf<R>>>;

/** Keys whose value is undefined fall away; those that may be empty become optional. */
type Given<T> = {
  [K in keyof T as T[K] extends undefined ? never : Record<never, never> extends T[K] ? never : K]: T[K];
} & {
  [K in keyof T as T[K] extends undefined ? never : Record<never, never> extends T[K] ? K : never]?: T[K];
};

/** What a caller gives. */
export type RouteInput<R extends Route> = Given<{
  params: InputOf<PartOf<R, 'params'>>;
  query: InputOf<PartOf<R, 'query'>>;
  headers: InputOf<PartOf<R, 'headers'>>;
  body: BodyInputOf<R>;
}>;

/** What a handler gets, checked. */
export interface RouteRequest<R extends Route> {
  readonly params: OutputOf<PartOf<R, 'params'>>;
  readonly query: OutputOf<PartOf<R, 'query'>>;
  readonly headers: OutputOf<PartOf<R, 'headers'>>;
  readonly body: BodyOutputOf<R>;
}

type ReplyBodyOf<D, Framed extends boolean> = D extends { kind: 'json'; schema: infer S extends z.ZodType }
  ? z.output<S>
  : D extends { kind: 'bytes' }
    ? Uint8Array
    : D extends { kind: 'file' }
      ? FileBody
      : D extends { kind: 'stream'; schema: infer S extends z.ZodType }
        ? AsyncIterable<Framed extends true ? Frame<z.output<S>> : z.output<S>>
        : string;

type Reply<R extends Route, Framed extends boolean> = {
  [S in keyof R['responses'] & number]: {
    readonly status: S;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body: ReplyBodyOf<R['responses'][S], Framed>;
  };
}[keyof R['responses'] & number];

/** What the client hands out. */
export type RouteReply<R extends Route> = Reply<R, false>;
/** What a handler gives. */
export type HandlerReply<R extends Route> = Reply<R, true>;

const PARAMETER = /\{(\w+)(\*?)\}/g;

/** The path with its parameters filled in and escaped; a slash stays one in a `{path*}`. */
export function fillPath(path: string, params: Readonly<Record<string, unknown>> = {}): string {
  return path.replace(PARAMETER, (_, name: string, many: string) => {
    const value = encodeURIComponent(String(params[name]));
    return many ? value.replaceAll('%2F', '/') : value;
  });
}

/** The path as Fastify's router writes it. */
export function routerPath(path: string): string {
  return path.replace(PARAMETER, (_, name: string, many: string) => (many ? '*' : `:${name}`));
}

/** The path as OpenAPI writes it. */
export function openApiPath(path: string): string {
  return path.replace(PARAMETER, '{$1}');
}

/** Matches the path of a request without its query. */
export function pathPattern(path: string): RegExp {
  const pattern = path
    .split(PARAMETER)
    .map((part, i) =>
      i % 3 === 0 ? part.replace(/[.]/g, '\\.') : i % 3 === 2 ? (part ? '.+' : '[^/]+') : '',
    )
    .join('');
  return new RegExp(`^${pattern}$`);
}
