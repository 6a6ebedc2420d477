import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Clock, Logger } from '../util/index.ts';
import { messageOf } from '../util/index.ts';
import { toProblem } from './errors.ts';
import { encodeFrames, STREAM_TYPES, streamFormat } from './follow.ts';
import type { FileBody, Frame, ReplyDef } from './route.ts';

export interface AnyReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body: unknown;
}

interface StreamParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly keepAliveMs: number;
  readonly signal: AbortSignal;
  readonly accept: string | undefined;
}

function asStream(
  body: AsyncIterable<Frame<unknown>>,
  def: ReplyDef & { kind: 'stream' },
  parts: StreamParts,
) {
  const format = streamFormat(parts.accept, def.format);
  const stream = Readable.from(encodeFrames(body, { ...parts, format }));
  stream.on('error', error =>
    parts.logger.warn({ reason: messageOf(error) }, 'a stream to a client ended with an error'),
  );
  return { type: STREAM_TYPES[format], stream };
}

/** Quoted so that no name ends the header early; the rest of the world gets the UTF-8 form. */
export function attachment(path: string): string {
  const name = path.split('/').at(-1) ?? 'output';
  const plain = name.replace(/[^\w.-]/g, '_');
  return `attachment; filename="${plain}"; filename*=UTF-8''${encodeURIComponent(name).replace(/['()*]/g, '_')}`;
}

/** Read no faster than the client takes it. One that breaks off closes the connection: the length said before tells the client. */
function asFile(bytes: AsyncIterable<Uint8Array>, { logger }: StreamParts): Readable {
  const stream = Readable.from(bytes, { objectMode: false, highWaterMark: 1 });
  stream.on('error', error =>
    logger.warn({ reason: messageOf(error) }, 'a file for a client could not be read to its end'),
  );
  return stream;
}

/** Sends what a handler gave, as its route declares it. */
export function sendReply(
  reply: FastifyReply,
  given: AnyReply,
  def: ReplyDef,
  parts: StreamParts,
): FastifyReply {
  reply.code(given.status).headers({ 'cache-control': 'no-store' });
  if (def.kind === 'stream') {
    const { type, stream } = asStream(given.body as AsyncIterable<Frame<unknown>>, def, parts);
    return reply.headers({ 'content-type': type, ...given.headers }).send(stream);
  }
  if (def.kind === 'file') {
    const { size, bytes } = given.body as FileBody;
    const length = size === null ? {} : { 'content-length': String(size) };
    const headers = { 'content-type': def.type, ...length, ...given.headers };
    return reply.headers(headers).send(asFile(bytes, parts));
  }
  const type = def.kind === 'json' ? 'application/json; charset=utf-8' : def.type;
  reply.headers({ 'content-type': type, ...given.headers });
  if (def.kind === 'json') return reply.send(JSON.stringify(given.body));
  if (def.kind === 'text') return reply.send(given.body);
  const bytes = given.body as Uint8Array;
  return reply.send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** Answers any thrown value as a problem. */
export function sendProblem(reply: FastifyReply, error: unknown): FastifyReply {
  const problem = toProblem(error);
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="duxnode"');
  return reply
    .code(problem.status)
    .headers({ 'content-type': 'application/problem+json; charset=utf-8', 'cache-control': 'no-store' })
    .send(JSON.stringify(problem));
}
