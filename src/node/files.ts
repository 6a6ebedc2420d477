import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Writes a file that only its owner reads, whole or not at all. */
export async function writePrivateFile(file: string, content: Uint8Array | string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${process.pid}.part`;
  await writeFile(temporary, content, { mode: 0o600 });
  await rename(temporary, file);
}
