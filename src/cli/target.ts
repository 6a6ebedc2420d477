import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Client, createClient } from '../api/client.ts';
import { CliError, usage } from './exit.ts';
import type { Io } from './io.ts';

/** The flags that say which daemon is meant. */
export interface TargetOptions {
  readonly data?: string | undefined;
  readonly api?: string | undefined;
  readonly tokenFile?: string | undefined;
}

export interface Target {
  readonly url: string;
  readonly token: string | undefined;
  /** Known for a local daemon alone. */
  readonly pid: number | undefined;
}

export function dataDirOf(io: Io, options: TargetOptions = {}): string {
  return resolve(options.data ?? (io.env.DUXNODE_DATA || join(homedir(), '.duxnode')));
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function remoteTarget(url: string, tokenFile: string | undefined): Promise<Target> {
  if (!/^https?:\/\//.test(url)) throw usage(`--api must be a URL such as http://127.0.0.1:8001, not ${url}`);
  const token = tokenFile === undefined ? undefined : await readIfThere(tokenFile);
  if (tokenFile !== undefined && token === undefined) throw usage(`there is no token file ${tokenFile}`);
  return { url, token, pid: undefined };
}

/** What a daemon in `dataDir` has written of itself; undefined when none runs there. */
export async function readEndpoint(dataDir: string): Promise<{ url: string; pid: number } | undefined> {
  const text = await readIfThere(join(dataDir, 'api.json'));
  if (text === undefined) return undefined;
  const { url, pid } = JSON.parse(text) as { url?: unknown; pid?: unknown };
  return typeof url === 'string' && typeof pid === 'number' ? { url, pid } : undefined;
}

/** Flags over environment over the local daemon. @throws CliError `DAEMON_NOT_RUNNING`, `USAGE`. */
export async function targetOf(io: Io, options: TargetOptions): Promise<Target> {
  const url = options.api ?? (options.data === undefined ? io.env.DUXNODE_API : undefined);
  const tokenFile = options.tokenFile ?? io.env.DUXNODE_TOKEN_FILE;
  if (url) return remoteTarget(url, tokenFile);
  const dataDir = dataDirOf(io, options);
  const endpoint = await readEndpoint(dataDir);
  if (!endpoint)
    throw new CliError(
      { code: 'DAEMON_NOT_RUNNING', dataDir },
      `no daemon runs in ${dataDir}: start one with "duxnode start", or name another with --data or --api`,
    );
  return { ...endpoint, token: await readIfThere(tokenFile ?? join(dataDir, 'api.token')) };
}

export async function clientOf(io: Io, options: TargetOptions): Promise<Client> {
  return createClient(await targetOf(io, options));
}
