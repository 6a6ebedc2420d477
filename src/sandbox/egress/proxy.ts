import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { connect, type Socket } from 'node:net';
import { type Duplex, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Clock, CodedError, type Metrics, withDeadline } from '../../util/index.ts';
import { forward } from './forward.ts';
import type { Resolve } from './resolve.ts';
import { absoluteTarget, connectTarget, lets, type Target } from './rules.ts';

export interface ProxyLimits {
  /** Of one task, at a time. */
  readonly maxConnections: number;
  /** Of one task, both ways together. */
  readonly maxBytes: number;
  readonly connectMs: number;
  /** A connection on which nothing moves is closed after it. */
  readonly idleMs: number;
}

export interface ProxyComponents {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly resolve: Resolve;
  /** Why nobody may connect to this address; undefined: anybody may. */
  readonly problem: (address: string) => string | undefined;
}

export interface ProxyInit extends ProxyLimits {
  /** A host must be let to by each of these lists: the task's, and the operator's. */
  readonly lists: readonly (readonly string[])[];
}

export interface FilteringProxy {
  readonly server: Server;
  /** Ends all connections. */
  close(): void;
}

type Answer = 'malformed' | 'host' | 'address' | 'limit' | 'unresolved' | 'unreachable';

class Refusal extends CodedError<{ code: 'EGRESS_REFUSED'; answer: Answer }> {
  readonly status: number;

  constructor(answer: Answer, status: number, sentence: string, options?: ErrorOptions) {
    super({ code: 'EGRESS_REFUSED', answer }, sentence, options);
    this.status = status;
  }
}

/** Bytes of request line and headers; Node's own answer to more is 431. */
const MAX_HEADER_BYTES = 16 * 1024;

/** One task's way out: an HTTP proxy (CONNECT, and plain requests) that connects to hosts on its lists and to nothing else. */
export function createProxy(components: ProxyComponents, { lists, ...limits }: ProxyInit): FilteringProxy {
  const { clock, metrics, resolve, problem } = components;
  const sockets = new Set<Socket>();
  let bytesLeft = limits.maxBytes;

  /** The address is looked up once, checked, and is the one that is connected to: a name that changes its mind gains nothing. */
  async function reach(target: Target | undefined, signal: AbortSignal): Promise<Socket> {
    if (!target)
      throw new Refusal('malformed', 400, 'the proxy wants CONNECT host:port, or a whole http:// URL');
    const { host, port } = target;
    if (sockets.size > limits.maxConnections)
      throw new Refusal('limit', 403, `a task may have ${limits.maxConnections} connections at a time`);
    if (bytesLeft <= 0)
      throw new Refusal('limit', 403, `this task has moved ${limits.maxBytes} bytes, its limit`);
    if (!lists.every(list => lets(list, host, port)))
      throw new Refusal(
        'host',
        403,
        `this task may not reach ${host}:${port}: it is not among its allowed hosts`,
      );
    const address = await resolve(host).catch(cause => {
      throw new Refusal('unresolved', 502, `${host} cannot be looked up`, { cause });
    });
    const reason = problem(address);
    if (reason) throw new Refusal('address', 403, `this task may not reach ${host}: ${reason}`);
    signal.throwIfAborted();
    const socket = connect({ host: address, port, allowHalfOpen: true, signal });
    try {
      await withDeadline(
        limits.connectMs,
        'connecting',
        inner => once(socket, 'connect', { signal: inner }),
        {
          signal,
          clock,
        },
      );
    } catch (cause) {
      socket.destroy();
      throw new Refusal('unreachable', 502, `${host}:${port} cannot be reached`, { cause });
    }
    metrics.count('sandbox_egress_total', { answer: 'connected' });
    return socket;
  }

  const meter = () =>
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytesLeft -= chunk.length;
        metrics.count('sandbox_egress_bytes_total', {}, chunk.length);
        if (bytesLeft >= 0) return done(null, chunk);
        metrics.count('sandbox_egress_total', { answer: 'limit' });
        done(new Error(`this task has moved ${limits.maxBytes} bytes, its limit`));
      },
    });

  async function onConnect(request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    const gone = goneWith(client);
    let upstream: Socket | undefined;
    try {
      upstream = await reach(connectTarget(request.url ?? ''), gone);
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) client.unshift(head);
      await Promise.all([pipeline(client, meter(), upstream), pipeline(upstream, meter(), client)]);
    } catch (error) {
      const refusal = counted(error);
      if (refusal && !upstream) client.end(textOf(refusal));
      else client.destroy();
    } finally {
      upstream?.destroy();
    }
  }

  async function onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = goneWith(response);
    let upstream: Socket | undefined;
    try {
      const target = absoluteTarget(request.url ?? '');
      upstream = await reach(target, gone);
      const { host, port, path } = target as NonNullable<typeof target>;
      const authority = port === 80 ? host : `${host}:${port}`;
      await forward(request, response, { upstream, authority, path, meter, signal: gone });
    } catch (error) {
      const refusal = counted(error);
      if (refusal && !response.headersSent) {
        response.writeHead(refusal.status, { 'Content-Type': 'text/plain', Connection: 'close' });
        response.end(`${refusal.message}\n`);
      } else response.destroy();
    } finally {
      upstream?.destroy();
    }
  }

  /** Anything else is a connection that broke: nobody is there to be told. */
  function counted(error: unknown): Refusal | undefined {
    if (!(error instanceof Refusal)) return undefined;
    metrics.count('sandbox_egress_total', { answer: error.type.answer });
    return error;
  }

  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES });
  // Twice as many as are served: those between are told why not.
  server.maxConnections = 2 * limits.maxConnections;
  server.timeout = limits.idleMs;
  server.on('error', () => metrics.count('sandbox_egress_total', { answer: 'broken' }));
  server.on('connection', socket => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // Without a listener an error of a tunnel would end the process; the close that follows is what counts.
    socket.on('error', () => socket.destroy());
    socket.on('timeout', () => socket.destroy());
  });
  server.on('connect', (request, client, head) => void onConnect(request, client, head));
  server.on('request', (request, response) => void onRequest(request, response));
  return {
    server,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Aborts when the other side is seen to be gone: for a tunnel that is not read yet, only once something is written to it. */
function goneWith(client: Duplex | ServerResponse): AbortSignal {
  const gone = new AbortController();
  client.once('close', () => gone.abort());
  return gone.signal;
}

function textOf({ status, message }: Refusal): string {
  const body = `${message}\n`;
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: text/plain',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
