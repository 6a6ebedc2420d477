import { readdir, rm } from 'node:fs/promises';
import { codeOf, type Logger, messageOf } from '../../util/index.ts';
import type { Box } from '../box.ts';
import type { NativeOptions } from '../options.ts';
import { boxFolder } from './box.ts';
import type { Cgroups } from './cgroups.ts';

/** Which boxes of this owner are in use, and the removal of all others. */
export interface NativeLeftovers {
  hold(name: string): void;
  /** Removes it; one that cannot be removed now is left to the next sweep. Never rejects. */
  release(name: string, box: Box | undefined): Promise<void>;
  /** Kills and removes what an earlier run left; returns how many sandboxes that were. */
  sweep(cgroups: Cgroups): Promise<number>;
  /** Kills and removes what is in use too, and waits for removals in flight. */
  removeAll(cgroups: Cgroups): Promise<void>;
}

export function createNativeLeftovers(
  { logger }: { readonly logger: Logger },
  options: NativeOptions,
): NativeLeftovers {
  const held = new Set<string>();
  const removals = new Set<Promise<void>>();

  return {
    hold: name => void held.add(name),
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
    sweep: cgroups => removeWhere(cgroups, name => !held.has(name)),
    async removeAll(cgroups) {
      await removeWhere(cgroups, () => true);
      while (removals.size > 0) await Promise.all(removals);
    },
  };

  async function removeWhere(cgroups: Cgroups, isLeft: (name: string) => boolean): Promise<number> {
    const names = new Set([...(await cgroups.list()), ...(await namesIn(boxFolder(options)))]);
    const left = [...names].filter(isLeft);
    await Promise.all(
      left.map(async name => {
        await cgroups.remove(name);
        await rm(boxFolder(options, name), { recursive: true, force: true });
      }),
    );
    return left.length;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
