import { randomInt } from 'node:crypto';
import type { BoxOptions } from './options.ts';

export interface Uids {
  take(): number;
  giveBack(uid: number): void;
}

/** User ids for sandboxes: random, so that the daemons of one machine need not agree, and never two at once. */
export function createUids({ uidFirst, uidCount }: Pick<BoxOptions, 'uidFirst' | 'uidCount'>): Uids {
  const taken = new Set<number>();
  return {
    take() {
      let uid = uidFirst + randomInt(uidCount);
      while (taken.has(uid)) uid = uidFirst + randomInt(uidCount);
      taken.add(uid);
      return uid;
    },
    giveBack: uid => void taken.delete(uid),
  };
}
