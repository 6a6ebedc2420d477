import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Writes a file that only its owner reads, whole or not at all. */
export async function writePrivateFile(file: string, content: Uint8Array | string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${process.pid}.part`;
  await writeFile(temporary, content, { mode: 0o600 });
  await rename(temporary, file);
}

/** The control port's token: made once, kept with mode 0600. */
export async function loadToken(dataDir: string): Promise<string> {
  const file = join(dataDir, 'api.token');
  try {
    const token = (await readFile(file, 'utf8')).trim();
    await chmod(file, 0o600);
    if (token.length >= 32) return token;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  const token = randomBytes(32).toString('base64url');
  await writePrivateFile(file, `${token}\n`);
  return token;
}
