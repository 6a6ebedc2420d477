import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../util/index.ts';
import { decideAccess, isForwarded } from './access.ts';
import { ApiError, type FieldError, invalidRequest } from './errors.ts';
import { type ApiOptions, LINGER_MS } from './options.ts';
import type { Route } from './route.ts';
import { parseWith } from './validate.ts';

/** Fastify calls the rest of a path `*`. */
function paramsOf(route: Route, request: FastifyRequest): Record<string, unknown> {
  const params = { ...(request.params as Record<string, unknown>) };
  const name = /\{(\w+)\*\}/.exec(route.path)?.[1];
  if (name === undefined) return params;
  const { '*': rest, ...others } = params;
  return { ...others, [name]: rest };
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function checkBodyType(route: Route, request: FastifyRequest): void {
  if (route.body === undefined || request.body === undefined) return;
  const kind =
    request.body instanceof Uint8Array ? 'bytes' : request.body instanceof Readable ? 'upload' : 'json';
  if (kind === route.body.kind) return;
  const wanted = route.body.kind === 'json' ? 'application/json' : route.body.type;
  throw new ApiError({ code: 'UNSUPPORTED_MEDIA_TYPE' }, `this path takes ${wanted}`);
}

/** A raw body; one that is not there is empty. */
function rawBodyOf({ body }: Route, given: unknown): unknown {
  // not destroyed when it is refused half-way: the connection must live for the answer
  if (body?.kind === 'upload')
    return given instanceof Readable ? given.iterator({ destroyOnReturn: false }) : Readable.from([]);
  return given instanceof Uint8Array ? given : new Uint8Array();
}

/** A body that was refused half-way is read for a moment more: closed at once, its sender might never see the answer. */
export function endBody(request: FastifyRequest, reply: FastifyReply, clock: Clock): void {
  const { raw } = request;
  reply.raw.once('finish', () => {
    if (raw.complete) return;
    raw.resume();
    raw.once(
      'close',
      clock.after(LINGER_MS, () => raw.destroy()),
    );
  });
}

/** The declared parts of a request, checked. @throws ApiError `INVALID_REQUEST` with the wrong fields of all parts. */
export function readRequest(route: Route, request: FastifyRequest) {
  checkBodyType(route, request);
  const errors: FieldError[] = [];
  const part = (
    schema: Parameters<typeof parseWith>[0] | undefined,
    value: unknown,
    what: string,
  ): unknown => {
    if (schema === undefined) return undefined;
    try {
      return parseWith(schema, value, what);
    } catch (error) {
      if (!(error instanceof ApiError) || error.type.code !== 'INVALID_REQUEST') throw error;
      errors.push(...error.type.errors);
      return undefined;
    }
  };
  const { body } = route;
  const read = {
    params: part(route.params, paramsOf(route, request), 'path'),
    query: part(route.query, request.query, 'query'),
    headers: part(route.headers, request.headers, 'headers'),
    body:
      !body || body.kind === 'json'
        ? part(body?.schema, request.body, 'body')
        : rawBodyOf(route, request.body),
  };
  if (errors.length > 0) throw invalidRequest(errors);
  return read;
}

/** Whether the request may come in; `tokenless` says how. @throws ApiError `TOKEN_REQUIRED`, `TOKEN_WRONG`. */
export function admit(
  request: FastifyRequest,
  access: Route['access'],
  { config, token }: ApiOptions,
): { tokenless: boolean } {
  const facts = {
    remoteAddress: request.raw.socket.remoteAddress ?? '',
    host: headerOf(request, 'host'),
    origin: headerOf(request, 'origin'),
    authorization: headerOf(request, 'authorization'),
    forwarded: isForwarded(request.headers),
  };
  const verdict = decideAccess(facts, { access, auth: config.auth, cors: config.enable_cors, token });
  if (verdict.allowed) return verdict;
  if (verdict.code === 'TOKEN_WRONG') throw new ApiError({ code: 'TOKEN_WRONG' }, verdict.reason);
  throw new ApiError(
    { code: 'TOKEN_REQUIRED', reason: verdict.reason },
    `send "Authorization: Bearer …" with the token in api.token of the node’s data directory: ${verdict.reason}`,
  );
}
