import { randomInt } from 'node:crypto';
import type { BoxOptions } from './options.ts';

export interface Uids {
  /** A free one; `uid`, where a box has it already. */
  take(uid?: number): number;
  giveBack(uid: number): void;
}

/** User ids for sandboxes: random, so that the daemons of one machine need not agree, and never two at once. */
export function createUids({ uidFirst, uidCount }: Pick<BoxOptions, 'uidFirst' | 'uidCount'>): Uids {
  const taken = new Set<number>();
  return {
    take(known) {
      let uid = known ?? uidFirst + randomInt(uidCount);
      while (known === undefined && taken.has(uid)) uid = uidFirst + randomInt(uidCount);
      taken.add(uid);
      return uid;
    },
    giveBack: uid => void taken.delete(uid),
  };
}
