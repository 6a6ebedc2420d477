import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Connections on which no request came yet. Node counts them as busy, so that a close would wait for them: clients open some
 * ahead of need. Returns what ends them, and those that still come.
 */
export function watchUnused(server: Server): () => void {
  const unused = new Set<Socket>();
  let ending = false;
  server.on('connection', (socket: Socket) => {
    if (ending) return void socket.destroy();
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  server.on('request', (request: IncomingMessage) => unused.delete(request.socket));
  return () => {
    ending = true;
    for (const socket of unused) socket.destroy();
  };
}
