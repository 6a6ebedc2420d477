import type { Disks } from './disks.ts';
import type { Egress } from './egress/egress.ts';
import { type ExtraNeeds, hasNetwork } from './task.ts';

/** What one box gets beside the usual, whatever runs it. */
export interface Extras {
  /** The folder with its proxy's socket, to be shown inside, read-only. */
  readonly socketFolder: string | undefined;
  /** Its own file system, to be shown as /task. */
  readonly diskPath: string | undefined;
  /** Once the box is removed. Never rejects. */
  release(): Promise<void>;
}

export type TakeExtras = (needs: ExtraNeeds, uid: number) => Promise<Extras>;

/** @returns what takes them: on any failure nothing of them stays. */
export function createExtras({
  egress,
  disks,
}: {
  readonly egress: Egress | undefined;
  readonly disks: Disks | undefined;
}): TakeExtras {
  return async (needs, uid) => {
    const door = hasNetwork(needs) ? await egress?.open(uid, needs.allowHosts ?? []) : undefined;
    try {
      const disk = needs.diskBytes === undefined ? undefined : await disks?.open(uid, needs.diskBytes);
      return {
        socketFolder: door?.folder,
        diskPath: disk?.path,
        async release() {
          await door?.close();
          await disk?.close();
        },
      };
    } catch (error) {
      await door?.close();
      throw error;
    }
  };
}
