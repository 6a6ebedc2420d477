import type { Awake, Box } from './box.ts';
import type { ExtraNeeds } from './task.ts';
import type { Uids } from './uids.ts';

export interface HolderComponents<Extras extends { release(): Promise<void> }> {
  readonly uids: Uids;
  readonly leftovers: {
    hold(name: string): void;
    /** Removes the box. Never rejects. */
    release(name: string, box: Box | undefined): Promise<void>;
  };
  readonly takeExtras: (needs: ExtraNeeds, uid: number) => Promise<Extras>;
}

export interface HeldPlan<Extras> {
  readonly name: string;
  /** Of a box that is there already. */
  readonly uid?: number | undefined;
  readonly needs: ExtraNeeds | undefined;
  create(uid: number, extras: Extras | undefined): Promise<Box>;
}

/**
 * Makes boxes that each hold a name, a user id and what they need beside the usual. These are given back once, after the box
 * itself is gone, as its mounts and processes are theirs; where none can be made, before the error is told.
 */
export function createHolder<Extras extends { release(): Promise<void> }>({
  uids,
  leftovers,
  takeExtras,
}: HolderComponents<Extras>): (plan: HeldPlan<Extras>) => Promise<Awake> {
  return async ({ name, uid: known, needs, create }) => {
    const uid = uids.take(known);
    leftovers.hold(name);
    let box: Box | undefined;
    let extras: Extras | undefined;
    let released: Promise<void> | undefined;
    async function remove(): Promise<void> {
      await leftovers.release(name, box);
      await extras?.release();
      uids.giveBack(uid);
    }
    const release = () => {
      released ??= remove();
      return released;
    };
    try {
      extras = needs && (await takeExtras(needs, uid));
      box = await create(uid, extras);
      return { box, release };
    } catch (error) {
      await release();
      throw error;
    }
  };
}
