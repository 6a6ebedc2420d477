import type { Committee } from './committee.ts';
import type { Member } from './member-book.ts';

/** Who was here for so long since the last change may become a notary; who is away for so long is replaced. So changes are at least that far apart. */
export const LONG_MS = 24 * 3_600_000;
/** More is not counted: who was here for longer comes first. */
const MAX_HERE_MS = 7 * LONG_MS;
/** An hour away takes back four: a notary is here for four fifths of the time at least. */
const AWAY_WEIGHT = 4;
/** Each bears more than all smaller numbers of notaries: the loss of one, a lie of one, of two. */
const SIZES = [3, 4, 7];

/** How the admin's node has seen a peer since an epoch began. */
export interface Presence {
  readonly epoch: number;
  readonly hereMs: number;
  /** Since it was last here. */
  readonly awayMs: number;
}

/** `elapsedMs` more of being here, or away. */
export function notePresence(
  before: Presence | undefined,
  { epoch, isHere, elapsedMs }: { epoch: number; isHere: boolean; elapsedMs: number },
): Presence {
  const { hereMs, awayMs } = before?.epoch === epoch ? before : { hereMs: 0, awayMs: 0 };
  return isHere
    ? { epoch, hereMs: Math.min(MAX_HERE_MS, hereMs + elapsedMs), awayMs: 0 }
    : { epoch, hereMs: Math.max(0, hereMs - AWAY_WEIGHT * elapsedMs), awayMs: awayMs + elapsedMs };
}

export interface Roll {
  readonly committee: Committee;
  readonly members: readonly Member[];
  readonly presence: ReadonlyMap<string, Presence>;
}

const awayMs = ({ committee: { epoch }, presence }: Roll, peer: string): number => {
  const seen = presence.get(peer);
  return seen?.epoch === epoch ? seen.awayMs : 0;
};

/**
 * Those who may become notaries, best first: members that are here, and were for long. One of each invite, since its holder may have
 * redeemed it with many keys; and none that was a notary before: somebody removed it, or it stayed away.
 */
function candidates({ committee, members, presence }: Roll): string[] {
  const { epoch, keys } = committee;
  const taken = new Set(members.flatMap(({ account, invite }) => (keys.includes(account) ? [invite] : [])));
  for (let past: Committee | null = committee; past; past = past.previous)
    for (const key of past.keys) taken.add(key);
  const fit = members.flatMap(({ account, invite }) => {
    const seen = presence.get(account);
    const isFit = seen?.epoch === epoch && seen.awayMs === 0 && seen.hereMs >= LONG_MS;
    return invite !== null && isFit ? [{ account, invite, hereMs: seen.hereMs }] : [];
  });
  fit.sort((a, b) => b.hereMs - a.hereMs || (a.account < b.account ? -1 : 1));
  return fit.flatMap(({ account, invite }) => {
    if (taken.has(account) || taken.has(invite)) return [];
    taken.add(account).add(invite);
    return [account];
  });
}

const gone = (roll: Roll): string | undefined =>
  roll.committee.keys.find(peer => awayMs(roll, peer) >= LONG_MS);

/**
 * The notaries that should follow on those of now; null: none others. One that stays away is replaced first; else, with all of them
 * here, they become 3, 4 or 7. They never become fewer.
 */
export function nextNotaries(roll: Roll): readonly string[] | null {
  const { keys, quorum } = roll.committee;
  const here = keys.filter(peer => awayMs(roll, peer) === 0);
  // Too few to decide it.
  if (here.length < quorum) return null;
  const fit = candidates(roll);
  const lost = gone(roll);
  if (lost !== undefined) return fit[0] ? [...keys.filter(peer => peer !== lost), fit[0]] : null;
  if (here.length < keys.length) return null;
  const size = SIZES.findLast(wanted => wanted <= keys.length + fit.length) ?? 0;
  return size > keys.length ? [...keys, ...fit.slice(0, size - keys.length)] : null;
}

/** What the next change waits for, in words. */
export function outlook(roll: Roll): string {
  const { keys } = roll.committee;
  const lost = gone(roll);
  if (lost !== undefined) return `${lost} stays away, and is replaced by a member that was here for a day`;
  const size = SIZES.find(wanted => wanted > keys.length);
  if (size === undefined) return 'one that stays away for a day is replaced';
  const missing = size - keys.length - candidates(roll).length;
  if (missing <= 0) return `${size} notaries as soon as all of now are here`;
  return `${size} notaries, once ${missing} more member${missing === 1 ? ' was' : 's were'} here for a day, each by an invite of its own`;
}
