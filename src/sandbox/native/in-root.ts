import { lstat, mkdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../util/index.ts';

/** As many links as the kernel follows in one path. */
const MAX_LINKS = 40;

/**
 * Where `path` leads inside of `root`, every link followed as if `root` were `/`: never out of it. Undefined when there is
 * nothing; with `create`, folders are made for what is missing.
 */
export async function resolveInRoot(
  root: string,
  path: string,
  { create = false }: { readonly create?: boolean } = {},
): Promise<string | undefined> {
  const left = path.split('/');
  const done: string[] = [];
  let links = 0;
  while (left.length > 0) {
    const part = left.shift() as string;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      done.pop();
      continue;
    }
    const here = join(root, ...done, part);
    const target = await linkTarget(here, create);
    if (target === undefined) return undefined;
    if (target === null) {
      done.push(part);
      continue;
    }
    if (++links > MAX_LINKS) return undefined;
    if (target.startsWith('/')) done.length = 0;
    left.unshift(...target.split('/'));
  }
  return join(root, ...done);
}

/** Null for what is no link, undefined for what is not there. */
async function linkTarget(path: string, create: boolean): Promise<string | null | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : null;
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') throw error;
    if (!create || codeOf(error) === 'ENOTDIR') return undefined;
    await mkdir(path, { mode: 0o755 });
    return null;
  }
}
