import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Clock, Logger } from '../util/index.ts';
import { messageOf } from '../util/index.ts';
import { toProblem } from './errors.ts';
import { encodeFrames, STREAM_TYPES, streamFormat } from './follow.ts';
import type { Frame, ReplyDef } from './route.ts';

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
