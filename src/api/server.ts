import type { Socket } from 'node:net';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Clock } from '../util/index.ts';
import { isCorsOrigin } from './access.ts';
import { ApiError, toProblem } from './errors.ts';
import { parseJsonBody } from './json-text.ts';
import {
  type ApiOptions,
  BODY_LIMIT_BYTES,
  HEADERS_TIMEOUT_MS,
  MAX_CONNECTIONS,
  REQUEST_TIMEOUT_MS,
  UPLOAD_TIMEOUT_MS,
} from './options.ts';
import { sendProblem } from './reply.ts';
import { pathPattern, type Route } from './route.ts';
import { BLOB_TYPE } from './routes/blobs.ts';
import { RECEIPT_TYPE } from './routes/results.ts';
import { ROUTE_IDS, routes } from './routes/table.ts';

/** Nothing that this port answers is a page, save /docs, which brings its own policy. */
const CSP = {
  useDefaults: false,
  directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"], sandbox: [] },
};

const patterns = ROUTE_IDS.map(id => ({ method: routes[id].method, pattern: pathPattern(routes[id].path) }));

/** Bytes that are no HTTP never become a request: answered here, in the same form. */
function onClientError(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const problem = toProblem(Object.assign(new Error('the request is not HTTP/1.1'), { statusCode: 400 }));
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function addBodyParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    const text = String(body);
    if (text.trim() === '') return done(null, undefined);
    try {
      done(null, parseJsonBody(text));
    } catch (error) {
      const why = error instanceof SyntaxError ? error.message : 'it is nested too deeply';
      done(new ApiError({ code: 'MALFORMED_JSON' }, `the body is not JSON: ${why}`), undefined);
    }
  });
  app.addContentTypeParser(RECEIPT_TYPE, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  // the only body without a limit of its own: the storage has one
  app.addContentTypeParser(BLOB_TYPE, (request, payload, done) =>
    isUpload(request) ? done(null, payload) : readWhole(payload).then(body => done(null, body), done),
  );
}

function isUpload(request: FastifyRequest): boolean {
  return (request.routeOptions.config as { route?: Route }).route?.body?.kind === 'upload';
}

/** A receipt that does not say what it is. @throws ApiError `BODY_TOO_LARGE`. */
async function readWhole(payload: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of payload) {
    size += piece.length;
    if (size > BODY_LIMIT_BYTES)
      throw new ApiError({ code: 'BODY_TOO_LARGE' }, `at most ${BODY_LIMIT_BYTES} bytes are taken`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** An upload takes as long as it takes, while it goes on; anything else must be here in its time. */
function limitTime(app: FastifyInstance, clock: Clock): void {
  app.addHook('onRequest', async (request, reply) => {
    if (isUpload(request)) return;
    const { raw } = request;
    const cancel = clock.after(REQUEST_TIMEOUT_MS, () => {
      if (!raw.complete) raw.destroy();
    });
    reply.raw.once('close', cancel);
  });
}

function addNotFound(app: FastifyInstance): void {
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? '';
    const allow = [
      ...new Set(patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method)),
    ];
    if (allow.length === 0)
      return sendProblem(
        reply,
        new ApiError({ code: 'NOT_FOUND' }, `there is nothing at ${path.slice(0, 200)}`),
      );
    reply.header('allow', allow.join(', '));
    const message = `this path takes ${allow.join(', ')}`;
    return sendProblem(reply, new ApiError({ code: 'METHOD_NOT_ALLOWED', allow }, message));
  });
}

/** Fastify with all that concerns every request alike: limits, headers, body types, errors. Routes come after. */
export async function buildServer(
  { config }: ApiOptions,
  clock: Clock,
  onError: (error: unknown, url: string) => void,
): Promise<FastifyInstance> {
  const app = Fastify({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: UPLOAD_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    http: { headersTimeout: HEADERS_TIMEOUT_MS },
    routerOptions: { maxParamLength: 512 },
    clientErrorHandler: onClientError,
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, error),
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  addBodyParsers(app);
  limitTime(app, clock);
  app.setErrorHandler((error, request, reply) => {
    onError(error, request.url);
    return sendProblem(reply, error);
  });
  await app.register(helmet, { contentSecurityPolicy: CSP, strictTransportSecurity: false });
  await app.register(cors, {
    origin: (origin, done) => done(null, origin !== undefined && isCorsOrigin(origin, config.enable_cors)),
    methods: ['GET', 'POST', 'PUT', 'DELETE'],
    allowedHeaders: ['Content-Type', 'Authorization', 'Idempotency-Key', 'Last-Event-ID'],
    exposedHeaders: ['Location', 'Retry-After'],
    maxAge: 600,
  });
  await app.register(rateLimit, {
    max: config.rate_limit_per_minute,
    timeWindow: 60_000,
    keyGenerator: request => request.raw.socket.remoteAddress ?? '',
    errorResponseBuilder: (_request, { after }) =>
      new ApiError({ code: 'RATE_LIMITED' }, `too many requests: try again in ${after}`),
  });
  addNotFound(app);
  return app;
}
