import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, constants, openSync, unlinkSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { toolEnvironment } from './tools.ts';

/** Both ends of a pipe, as file descriptors. */
export interface PipeEnds {
  readonly read: number;
  readonly write: number;
}

export interface Pipes {
  start(): Promise<void>;
  take(): Promise<PipeEnds>;
  stop(): Promise<void>;
}

/** Each lot costs a process, 1 ms: so many that its cost for one sandbox is nothing. */
const LOT = 64;

/**
 * Real pipes for what a task writes. Node gives its children sockets, which a task cannot open by name: `echo >/dev/stderr`
 * would fail. Made as named pipes, a lot at a time, whose names go as soon as both ends are open.
 */
export function createPipes({ folder }: { readonly folder: string }): Pipes {
  let names: string[] = [];
  let making: Promise<void> | undefined;

  async function make(): Promise<void> {
    const lot = Array.from({ length: LOT }, () => join(folder, randomUUID()));
    // The other end's user is the task's own.
    await promisify(execFile)('mkfifo', ['-m', '0666', ...lot], { env: toolEnvironment() });
    names.push(...lot);
  }

  async function refill(): Promise<void> {
    making ??= make().finally(() => {
      making = undefined;
    });
    await making;
  }

  return {
    async start() {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await refill();
    },
    async take() {
      while (names.length === 0) await refill();
      const name = names.pop() as string;
      const read = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        const write = openSync(name, constants.O_WRONLY);
        unlinkSync(name);
        return { read, write };
      } catch (error) {
        closeSync(read);
        throw error;
      }
    },
    async stop() {
      names = [];
      await rm(folder, { recursive: true, force: true });
    },
  };
}
