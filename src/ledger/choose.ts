import type { Committee } from './committee.ts';
import { isAbove, type KnownValue, type Rank } from './slot.ts';
import type { ValueKind } from './value-kind.ts';

/** One notary's report, its signature and the votes behind its lock checked. */
export interface CheckedReport {
  readonly signer: string;
  /** Its time T. */
  readonly at: number;
  readonly lock: (Rank & { readonly digest: string }) | null;
  readonly known: readonly Pick<KnownValue, 'digest' | 'timely' | 'afford'>[];
}

/** A statement of the reports that is valid in the slot, time and money left aside. */
export interface Candidate {
  readonly digest: string;
  readonly kind: ValueKind;
}

/** What comes to pass where no statement does. */
export interface Fallback {
  readonly digest: string;
  /** Only when every report is from then or later; null: at any time. */
  readonly notBefore: number | null;
}

/** Signed by those who may end the escrow, or by the admin: the first of these wins, whatever the time. */
const OBJECTIVE: readonly ValueKind[] = ['committee', 'accept', 'mutual', 'cancel', 'verified', 'verdict'];

/** Valid at any time, if the money is there. */
const AFFORDED: readonly ValueKind[] = ['order', 'grant', 'revoke', 'removal'];

/**
 * What a ballot must vote on, from a quorum of reports: design/ledger.md, "Per slot", 5. Pure, so that every voter comes to the
 * same. Null: nothing yet.
 */
export function choose(
  reports: readonly CheckedReport[],
  candidates: readonly Candidate[],
  fallback: Fallback | null,
  { faults }: Pick<Committee, 'faults'>,
): string | null {
  const locks = reports.flatMap(({ lock }) => (lock ? [lock] : []));
  const highest = locks.reduce<(typeof locks)[number] | null>(
    (best, lock) => (best && !isAbove(lock, best) ? best : lock),
    null,
  );
  if (highest) return highest.digest;
  const count = (digest: string, ...flags: ('timely' | 'afford')[]): number =>
    reports.filter(({ known }) =>
      known.some(entry => entry.digest === digest && flags.every(flag => entry[flag])),
    ).length;
  const sorted = [...candidates].sort((a, b) => (a.digest < b.digest ? -1 : 1));
  const ofKind = (kind: ValueKind) => sorted.find(candidate => candidate.kind === kind);
  const objective = OBJECTIVE.map(ofKind).find(candidate => candidate !== undefined);
  if (objective) return objective.digest;
  for (const { digest, kind } of sorted) {
    if ((kind === 'claim' || kind === 'dispute') && count(digest, 'timely') > faults) return digest;
    if (kind === 'redeem' && count(digest, 'timely', 'afford') > faults) return digest;
    if (AFFORDED.includes(kind) && count(digest, 'afford') > faults) return digest;
  }
  const { digest, notBefore } = fallback ?? { digest: null, notBefore: null };
  // A report from before the time-out may be older than a timely claim, which it would erase.
  return notBefore === null || reports.every(({ at }) => at >= notBefore) ? digest : null;
}
