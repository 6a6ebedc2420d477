import { CodedError } from '../util/index.ts';
import type { FieldError, Problem } from './errors.ts';
import { fillPath, type ReplyDef, type Route, type RouteInput, type RouteReply } from './route.ts';
import { ROUTE_IDS, type RouteId, type Routes, routes } from './routes/table.ts';

export interface ClientOptions {
  /** `http://127.0.0.1:8001` */
  readonly url: string;
  readonly token?: string | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export type ClientErrorType =
  | { code: 'DAEMON_UNREACHABLE'; url: string }
  /** Any code of the daemon, with its status. */
  | { code: string; status: number; errors: readonly FieldError[] };

export class ClientError extends CodedError<ClientErrorType> {}

type Arguments<R extends Route> =
  Record<never, never> extends RouteInput<R>
    ? [input?: RouteInput<R>, options?: CallOptions]
    : [input: RouteInput<R>, options?: CallOptions];

/**
 * One method for each path of the control port. Throws ClientError: the problem's code, or `DAEMON_UNREACHABLE` where nothing
 * listens; an aborted signal's own reason.
 */
export type Client = {
  readonly [Id in RouteId]: (...args: Arguments<Routes[Id]>) => Promise<RouteReply<Routes[Id]>>;
};

interface AnyInput {
  readonly params?: Record<string, unknown>;
  readonly query?: Record<string, unknown>;
  readonly headers?: Record<string, unknown>;
  readonly body?: unknown;
}

function queryOf(query: Record<string, unknown> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) search.append(name, String(value));
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

function headersOf(route: Route, input: AnyInput, token: string | undefined): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(input.headers ?? {}))
    if (value !== undefined) headers.set(name, String(value));
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  const streams = Object.values(route.responses).some(reply => reply.kind === 'stream');
  if (streams) headers.set('accept', 'application/x-ndjson');
  if (route.body)
    headers.set('content-type', route.body.kind === 'json' ? 'application/json' : route.body.type);
  return headers;
}

function bodyOf(route: Route, input: AnyInput): RequestInit['body'] | undefined {
  if (route.body === undefined) return undefined;
  if (route.body.kind === 'upload') return streamOf(input.body as AsyncIterable<Uint8Array>);
  if (route.body.kind === 'bytes') return new Uint8Array(input.body as Uint8Array);
  return JSON.stringify(input.body);
}

/** What is read only as fast as it is sent. */
function streamOf(pieces: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}

async function problemOf(response: Response): Promise<ClientError> {
  const { status } = response;
  try {
    const problem = (await response.json()) as Problem;
    return new ClientError({ code: problem.code, status, errors: problem.errors ?? [] }, problem.detail);
  } catch (cause) {
    const message = `the answer ${status} is not one of a duxnode daemon`;
    return new ClientError({ code: 'NOT_A_DAEMON', status, errors: [] }, message, { cause });
  }
}

/** The pieces of a body. One that breaks off throws `STREAM_BROKEN`. */
async function* piecesOf(response: Response, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  if (!response.body) return;
  try {
    for await (const chunk of response.body) yield chunk as Uint8Array;
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    const facts = { code: 'STREAM_BROKEN', status: response.status, errors: [] };
    throw new ClientError(facts, 'the daemon’s answer broke off', { cause });
  }
}

/** Items of an NDJSON body. A body that breaks off throws `STREAM_BROKEN`. */
async function* itemsOf(response: Response, signal: AbortSignal | undefined): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of piecesOf(response, signal)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line);
  }
}

function lengthOf({ headers }: Response): number | null {
  const length = headers.get('content-length');
  return length === null ? null : Number(length);
}

async function readBody(
  response: Response,
  def: ReplyDef,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  if (def.kind === 'json') return response.json();
  if (def.kind === 'text') return response.text();
  if (def.kind === 'bytes') return new Uint8Array(await response.arrayBuffer());
  if (def.kind === 'file') return { size: lengthOf(response), bytes: piecesOf(response, signal) };
  return itemsOf(response, signal);
}

async function call(
  route: Route,
  { url, token }: ClientOptions,
  input: AnyInput = {},
  { signal }: CallOptions = {},
): Promise<unknown> {
  const address = `${url.replace(/\/$/, '')}${fillPath(route.path, input.params)}${queryOf(input.query)}`;
  const body = bodyOf(route, input);
  const init = { method: route.method, headers: headersOf(route, input, token) };
  let response: Response;
  try {
    response = await fetch(address, {
      ...init,
      ...(signal ? { signal } : {}),
      // a body that is made while it is sent needs saying so
      ...(body === undefined ? {} : { body, duplex: 'half' }),
    });
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw new ClientError({ code: 'DAEMON_UNREACHABLE', url }, `no daemon answers at ${url}`, { cause });
  }
  const def = route.responses[response.status];
  if (!def) throw await problemOf(response);
  const headers = Object.fromEntries(response.headers.entries());
  return { status: response.status, headers, body: await readBody(response, def, signal) };
}

/** A client of a running daemon. Needs nothing but `fetch`. */
export function createClient(options: ClientOptions): Client {
  const methods = ROUTE_IDS.map(id => [
    id,
    (input?: AnyInput, callOptions?: CallOptions) => call(routes[id], options, input, callOptions),
  ]);
  return Object.fromEntries(methods) as unknown as Client;
}

export type * from './node-replies.ts';
export type * from './task-replies.ts';
export type * from './wallet-replies.ts';
