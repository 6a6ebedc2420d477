import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { socketPath as engineSocket } from './support.ts';

/** A socket before the engine's that can be taken away, to see what the executor does without harming the engine. */
export interface EngineProxy {
  readonly socketPath: string;
  listen(): Promise<void>;
  /** The engine is gone: nothing listens, and all connections break. */
  cut(): Promise<void>;
  /** The engine hangs: connections stay, and nothing passes any more. */
  stall(): void;
  close(): Promise<void>;
}

export async function createEngineProxy(): Promise<EngineProxy> {
  const folder = await mkdtemp(join(tmpdir(), 'duxnode-proxy-'));
  const socketPath = join(folder, 'engine.sock');
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let stalled = false;

  function accept(client: Socket): void {
    const engine = connect(engineSocket);
    for (const [from, to] of [
      [client, engine],
      [engine, client],
    ] as const) {
      sockets.add(from);
      from.on('data', chunk => stalled || to.write(chunk));
      from.on('end', () => stalled || to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => sockets.delete(from));
    }
  }

  async function cut(): Promise<void> {
    const closing = server;
    server = undefined;
    for (const socket of sockets) socket.destroy();
    if (closing) await new Promise(resolve => closing.close(resolve));
  }

  return {
    socketPath,
    listen() {
      stalled = false;
      const opened = createServer({ allowHalfOpen: true }, accept);
      server = opened;
      return new Promise(resolve => opened.listen(socketPath, resolve));
    },
    cut,
    stall() {
      stalled = true;
    },
    async close() {
      await cut();
      await rm(folder, { recursive: true });
    },
  };
}
