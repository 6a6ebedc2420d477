import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, type Logger, messageOf } from '../../util/index.ts';
import type { Box } from '../box.ts';
import type { NativeOptions } from '../options.ts';
import { boxFolder } from './box.ts';
import type { Cgroups } from './cgroups.ts';

/** Which boxes of this owner are in use, and the removal of all others. */
export interface NativeLeftovers {
  hold(name: string): void;
  /** Notes whose box it is, for whoever finds it after this process. */
  assign(name: string, key: string): Promise<void>;
  /** Removes it; one that cannot be removed now is left to the next sweep. Never rejects. */
  release(name: string, box: Box | undefined): Promise<void>;
  /** Kills and removes what an earlier run left; returns the keys of its tasks. */
  sweep(cgroups: Cgroups): Promise<string[]>;
  /** Waits for removals in flight. */
  settled(): Promise<void>;
}

const KEY_FILE = 'task';

export function createNativeLeftovers(
  { logger }: { readonly logger: Logger },
  options: NativeOptions,
): NativeLeftovers {
  const held = new Set<string>();
  const removals = new Set<Promise<void>>();
  const keyFile = (name: string) => join(boxFolder(options, name), KEY_FILE);

  return {
    hold: name => void held.add(name),
    assign: (name, key) => writeFile(keyFile(name), key),
    release(name, box) {
      const removal: Promise<void> = (box?.remove() ?? Promise.resolve())
        .catch(error =>
          logger.warn(
            { code: codeOf(error), reason: messageOf(error) },
            'a sandbox is left for the next sweep',
          ),
        )
        .finally(() => {
          held.delete(name);
          removals.delete(removal);
        });
      removals.add(removal);
      return removal;
    },
    async sweep(cgroups) {
      const names = new Set([...(await cgroups.list()), ...(await namesIn(boxFolder(options)))]);
      const left = [...names].filter(name => !held.has(name));
      const keys = await Promise.all(
        left.map(async name => {
          const key = await textOf(keyFile(name));
          await cgroups.remove(name);
          await rm(boxFolder(options, name), { recursive: true, force: true });
          return key;
        }),
      );
      return keys.filter(key => key !== undefined);
    },
    async settled() {
      while (removals.size > 0) await Promise.all(removals);
    },
  };
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
