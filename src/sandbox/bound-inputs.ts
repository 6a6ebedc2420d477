import { randomUUID } from 'node:crypto';
import { chmod, constants, copyFile, link, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, type Logger, messageOf } from '../util/index.ts';
import type { FileInput } from './interface.ts';

/** The inputs of one task that its box is to mount: a folder of this machine with one file for each, called by its number. */
export interface BoundInputs {
  readonly dir: string;
  /** Removes it; never rejects. */
  release(): Promise<void>;
}

/** Lays out what is too large to be copied into a sandbox, for a read-only mount. */
export interface InputBinder {
  /** Undefined where there is nothing to lay out. */
  lay(files: readonly FileInput[]): Promise<BoundInputs | undefined>;
  /** Holds those that an earlier run laid out, by their folder's name; returns what removes them. */
  takeUp(name: string): BoundInputs['release'];
  /** Removes what an earlier run of this owner left and nobody took up. */
  sweep(): Promise<void>;
  /** Removes what is in use too. */
  removeAll(): Promise<void>;
}

/** The folder can be entered by a sandbox's user, not listed; files are for all to read. What is above it keeps this machine's others out. */
const DIR_MODE = 0o711;
const READABLE = 0o444;

/** `base` is used by nobody else; undefined: there is nothing to lay out, ever. Files are linked, not copied, where the file system lets. */
export function createInputBinder(
  { logger }: { readonly logger: Logger },
  base: string | undefined,
): InputBinder {
  return base === undefined
    ? {
        lay: async () => undefined,
        takeUp: () => async () => {},
        sweep: async () => {},
        removeAll: async () => {},
      }
    : binderIn(logger, base);
}

function binderIn(logger: Logger, base: string): InputBinder {
  const held = new Set<string>();

  async function remove(name: string): Promise<void> {
    try {
      await rm(join(base, name), { recursive: true, force: true });
      held.delete(name);
    } catch (error) {
      logger.warn(
        { code: codeOf(error), reason: messageOf(error) },
        'inputs of a task are left for the next start',
      );
    }
  }

  return {
    async lay(files) {
      if (files.length === 0) return undefined;
      const name = randomUUID();
      const dir = join(base, name);
      held.add(name);
      try {
        await mkdir(base, { recursive: true, mode: 0o700 });
        await mkdir(dir, { mode: 0o700 });
        for (const [i, { file }] of files.entries()) await provide(file, join(dir, String(i)));
        await chmod(dir, DIR_MODE);
      } catch (error) {
        await remove(name);
        throw error;
      }
      return { dir, release: () => remove(name) };
    },
    takeUp(name) {
      held.add(name);
      return () => remove(name);
    },
    async sweep() {
      await mkdir(base, { recursive: true, mode: 0o700 });
      for (const name of await readdir(base)) if (!held.has(name)) await remove(name);
    },
    async removeAll() {
      await Promise.all([...held].map(remove));
    },
  };
}

/** A second name of the file, which nobody can write through; a copy where it has no such name, or not everybody may read it. */
async function provide(file: string, path: string): Promise<void> {
  if (((await stat(file)).mode & READABLE) === READABLE) {
    try {
      return await link(file, path);
    } catch (error) {
      if (!['EXDEV', 'EPERM', 'EMLINK'].includes(codeOf(error))) throw error;
    }
  }
  await copyFile(file, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  await chmod(path, READABLE);
}
