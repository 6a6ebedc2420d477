import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Belong to one connection alone. RFC 9110, section 7.6.1. `Transfer-Encoding` stays: Node decodes it and encodes it again. */
const HOP_BY_HOP = [
  'connection',
  'proxy-connection',
  'keep-alive',
  'proxy-authorization',
  'proxy-authenticate',
  'te',
  'upgrade',
];

/** What of raw headers goes on to the other side: without those of the connection, and those that `Connection` names. */
export function endToEnd(raw: readonly string[]): string[] {
  const pairs = raw.flatMap((name, i) => (i % 2 === 0 ? [[name, raw[i + 1] ?? ''] as const] : []));
  const named = pairs
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map(text => text.trim().toLowerCase()));
  const dropped = new Set([...HOP_BY_HOP, ...named.filter(name => name !== 'transfer-encoding')]);
  return pairs.filter(([name]) => !dropped.has(name.toLowerCase())).flat();
}

export interface Forwarding {
  readonly upstream: Socket;
  /** Of the target, as in `Host`. */
  readonly authority: string;
  readonly path: string;
  readonly meter: () => Transform;
  readonly signal: AbortSignal;
}

/** Sends one plain request over `upstream`, and its answer back. */
export async function forward(
  request: IncomingMessage,
  response: ServerResponse,
  { upstream, authority, path, meter, signal }: Forwarding,
): Promise<void> {
  // The target decided what is allowed: another name in `Host` would reach a neighbour on the same server.
  const headers = endToEnd(request.rawHeaders).flatMap((text, i, all) =>
    all[i - (i % 2)]?.toLowerCase() === 'host' ? [] : [text],
  );
  const outgoing = httpRequest({
    createConnection: () => upstream,
    method: request.method,
    path,
    headers: [...headers, 'Host', authority],
    signal,
  });
  const answered = once(outgoing, 'response', { signal });
  await Promise.all([pipeline(request, meter(), outgoing), answered.then(back)]);

  async function back([incoming]: IncomingMessage[]): Promise<void> {
    if (!incoming) return;
    response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage, endToEnd(incoming.rawHeaders));
    await pipeline(incoming, meter(), response);
  }
}
