import { randomBytes } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where a node's own clients find it: `<data>/api.json`. */
export interface Endpoint {
  readonly url: string;
  readonly pid: number;
}

const ENDPOINT_FILE = 'api.json';
const TOKEN_FILE = 'api.token';

/** The token of a data directory, made at the first start (256 bits, readable by its owner alone). */
export async function ensureToken(dataDir: string): Promise<string> {
  const path = join(dataDir, TOKEN_FILE);
  const token = randomBytes(32).toString('base64url');
  try {
    await writeFile(path, `${token}\n`, { mode: 0o600, flag: 'wx' });
    return token;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    return (await readFile(path, 'utf8')).trim();
  }
}

/** Replaced at once, so that no reader sees half of it. */
export async function writeEndpoint(dataDir: string, endpoint: Endpoint): Promise<void> {
  const path = join(dataDir, ENDPOINT_FILE);
  await writeFile(`${path}.new`, `${JSON.stringify(endpoint)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

export async function removeEndpoint(dataDir: string): Promise<void> {
  await rm(join(dataDir, ENDPOINT_FILE), { force: true });
}
