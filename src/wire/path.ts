import * as z from 'zod';

/** Longest path of an input or output, in bytes of UTF-8: what one name may have on a common file system. */
export const MAX_PATH_BYTES = 255;

/** Control characters (C0, DEL, C1), which a terminal obeys; halves of surrogate pairs; the other separator of Windows. */
const UNCLEAN = /[\p{Cc}\p{Cs}\\]/u;

/**
 * True for a relative POSIX path that stays where it is put and prints as it is. The launcher in the sandbox has the same rule,
 * so that what a task writes is either a clean path or left out.
 */
export function isCleanPath(path: string): boolean {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES || UNCLEAN.test(path)) return false;
  return path.split('/').every(part => part !== '' && part !== '.' && part !== '..');
}

export const relativePathSchema = z
  .string()
  .max(MAX_PATH_BYTES)
  .refine(isCleanPath, {
    message: `must be a relative path of at most ${MAX_PATH_BYTES} bytes without empty, . or .. parts, control characters and backslashes`,
  });
