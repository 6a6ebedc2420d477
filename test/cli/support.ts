import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Io } from '../../src/cli/io.ts';
import { runProgram } from '../../src/cli/program.ts';
import { startServer, type TestServer, TOKEN } from '../fixtures/api/server.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Shell {
  readonly server: TestServer;
  /** A data directory that names the server, as a daemon would have written it. */
  readonly dir: string;
  run(args: readonly string[], how?: How): Promise<Ran>;
}

export interface How {
  readonly stdin?: string;
  readonly env?: Record<string, string>;
  readonly signal?: AbortSignal;
  readonly terminal?: boolean;
  /** What is typed when a secret is asked for, one after the other; absent: nobody is there to type. */
  readonly secrets?: readonly string[];
  /** Sees stderr as it comes. */
  readonly onErr?: (text: string) => void;
}

/** Runs one command line in this process, over the real client. */
export const runCli = (args: readonly string[], how: How = {}): Promise<Ran> =>
  recorded(io => runProgram(io, args), how);

/** Runs `command` with all that it prints kept. */
export async function recorded(command: (io: Io) => Promise<number>, how: How = {}): Promise<Ran> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const secrets = how.secrets ? [...how.secrets] : null;
  const io: Io = {
    env: how.env ?? {},
    async out(content) {
      out.push(Buffer.from(content));
    },
    async err(content) {
      err.push(Buffer.from(content));
      how.onErr?.(String(content));
    },
    outIsTerminal: how.terminal ?? false,
    errIsTerminal: how.terminal ?? false,
    stdin: async () => how.stdin ?? '',
    askSecret: secrets && (async () => secrets.shift() ?? ''),
    signal: how.signal ?? new AbortController().signal,
  };
  const code = await command(io);
  return { code, out: Buffer.concat(out).toString('utf8'), err: Buffer.concat(err).toString('utf8') };
}

export async function withDir(fn: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-cli-'));
  try {
    await fn(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Runs `fn` with a daemon to talk to: the real server over ports in memory. */
export function withShell(fn: (shell: Shell) => Promise<void>): Promise<void> {
  return withDir(async dir => {
    const server = await startServer();
    try {
      await writeFile(join(dir, 'api.json'), JSON.stringify({ url: server.url, pid: process.pid }));
      await writeFile(join(dir, 'api.token'), `${TOKEN}\n`);
      const env = { DUXNODE_DATA: dir };
      await fn({
        server,
        dir,
        run: (args, how = {}) => runCli(args, { ...how, env: { ...env, ...how.env } }),
      });
    } finally {
      await server.stop();
    }
  });
}
