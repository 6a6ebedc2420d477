import { isCleanPath } from '../wire/index.ts';
import { failed } from './errors.ts';
import type { SandboxFile, SandboxLimits } from './interface.ts';

/**
 * Cuts the outputs' plain bytes into files, having checked again what the sandbox said: clean and distinct paths, no file
 * that is a folder of another, count and sizes within the limits.
 * @throws CodedError `SANDBOX_FAILED` for anything else.
 */
export function collectedFiles(
  list: readonly (readonly [path: string, size: number])[],
  contents: Buffer,
  limits: Pick<SandboxLimits, 'outputBytes' | 'outputFiles'>,
): SandboxFile[] {
  if (list.length > limits.outputFiles) throw failed('the sandbox hands over more files than were asked for');
  const total = list.reduce((sum, [, size]) => sum + size, 0);
  if (total > limits.outputBytes || contents.length !== total)
    throw failed('the sandbox hands over files of another size than it said');
  checkPaths(list.map(([path]) => path));
  let offset = 0;
  return list.map(([path, size]) => {
    const bytes = contents.subarray(offset, offset + size);
    offset += size;
    return { path, bytes };
  });
}

function checkPaths(paths: readonly string[]): void {
  const seen = new Set<string>();
  for (const path of paths) {
    if (!isCleanPath(path) || seen.has(path))
      throw failed(`the sandbox hands over a file with an unusable name`);
    seen.add(path);
  }
  for (const path of paths)
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1))
      if (seen.has(path.slice(0, at))) throw failed('the sandbox hands over a file inside a file');
}
