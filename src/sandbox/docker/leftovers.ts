import { join } from 'node:path';
import { type Clock, codeOf, type Logger, messageOf } from '../../util/index.ts';
import type { Box } from '../box.ts';
import { readHierarchies } from '../hierarchies.ts';
import { removeFolder } from '../native/cgroups.ts';
import { type Engine, statusOf } from './engine.ts';

/** Which containers of this owner are in use, and the removal of all others. */
export interface Leftovers {
  /** From now on the container of this name is in use. */
  hold(name: string): void;
  /** Removes it; one that cannot be removed now is left to the next sweep. Never rejects. */
  release(name: string, box: Box | undefined): Promise<void>;
  /** Removes this owner's containers that are not in use; returns how many of those are from an earlier run. */
  sweep(): Promise<number>;
  /** The same behind everybody's back, after the engine was away. */
  sweepLater(): void;
  /** Removes what is in use too, and waits for removals in flight. */
  removeAll(): Promise<void>;
}

export function createLeftovers(
  { engine, logger, clock }: { readonly engine: Engine; readonly logger: Logger; readonly clock: Clock },
  { owner, boot }: { readonly owner: string; readonly boot: string },
): Leftovers {
  const held = new Set<string>();
  const removals = new Set<Promise<void>>();
  /** The engine was away once: what was made before that may have groups that it has forgotten. */
  let wasAway = false;

  function track(work: Promise<void>): Promise<void> {
    const tracked: Promise<void> = work.then(
      () => void removals.delete(tracked),
      error => {
        removals.delete(tracked);
        logger.warn(
          { code: codeOf(error), reason: messageOf(error) },
          'a sandbox is left for the next sweep',
        );
      },
    );
    removals.add(tracked);
    return tracked;
  }

  async function removeById(id: string): Promise<void> {
    try {
      await engine.call('removing a sandbox', docker =>
        docker.getContainer(id).remove({ force: true, v: true }),
      );
    } catch (error) {
      if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error;
    }
  }

  async function removeWhere(isLeft: (name: string) => boolean): Promise<number> {
    const list = await engine.call('listing sandboxes', docker =>
      docker.listContainers({ all: true, filters: { label: [`duxnode.owner=${owner}`] } }),
    );
    const left = list.filter(found => isLeft(found.Names[0]?.slice(1) ?? ''));
    await Promise.all(left.map(found => removeById(found.Id)));
    await removeGroups(
      left.map(found => found.Id),
      clock,
    );
    return left.filter(found => found.Labels['duxnode.boot'] !== boot).length;
  }

  const sweep = () => removeWhere(name => !held.has(name));

  return {
    hold(name) {
      held.add(name);
    },
    release(name, box) {
      const isForgotten = wasAway || !engine.status().available;
      const removed = (async () => {
        await box?.remove();
        if (box && isForgotten) await removeGroups([box.id], clock);
      })();
      return track(removed.finally(() => held.delete(name)));
    },
    sweep,
    sweepLater() {
      wasAway = true;
      void track(
        sweep().then(sandboxes => {
          if (sandboxes > 0) logger.info({ sandboxes }, 'removed sandboxes of an earlier run');
        }),
      );
    },
    async removeAll() {
      if (engine.status().available) await track(removeWhere(() => true).then(() => undefined));
      while (removals.size > 0) await Promise.all(removals);
    },
  };
}

/**
 * An engine that dies while it starts a container forgets its control groups, and in them the process that was to become the task. Those
 * of removed containers are ended and removed, where the engine makes them itself (cgroupfs) and this user may.
 */
async function removeGroups(ids: readonly string[], clock: Clock): Promise<void> {
  if (ids.length === 0 || process.platform !== 'linux') return;
  const folders = (await readHierarchies()).map(({ mount }) => join(mount, 'docker'));
  await Promise.allSettled(ids.flatMap(id => folders.map(folder => removeFolder(clock, join(folder, id)))));
}
