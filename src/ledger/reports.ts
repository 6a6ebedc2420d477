import { CodedError } from '../util/index.ts';
import {
  open,
  type Report,
  reportKind,
  type ShownReport,
  sameBytes,
  toHex,
  type Vote,
  voteKind,
} from '../wire/index.ts';
import { checkCertificate } from './certificates.ts';
import type { CheckedReport } from './choose.ts';
import type { Committee } from './committee.ts';
import type { Signed } from './evidence.ts';
import type { Witness } from './interface.ts';
import { isAbove } from './slot.ts';

export type ReportsErrorType = { code: 'REPORTS_INSUFFICIENT'; slot: string; reports: number };

/** A report as it came, each signature checked: its own, and those of the votes that it shows. */
export interface SignedReport {
  readonly report: Signed<Report>;
  readonly qc: Signed<Vote> | null;
}

/** A report, and the votes behind its lock, as they are shown. */
export function openShown(shown: ShownReport, witness: Witness | undefined): SignedReport {
  const [report, qc] = [open(reportKind, shown.report), shown.qc && open(voteKind, shown.qc)];
  witness?.saw({ kind: 'report', signed: report });
  if (qc) witness?.saw({ kind: 'vote', signed: qc });
  return { report, qc };
}

/**
 * The reports among `shown` that count for a ballot.
 * @throws CodedError `REPORTS_INSUFFICIENT` where they are no quorum.
 */
export function checkReports(
  slot: string,
  ballot: number,
  shown: readonly SignedReport[],
  committee: Committee,
): CheckedReport[] {
  const counted = new Map<string, CheckedReport>();
  for (const { report, qc } of shown) {
    const { body, signers } = report;
    const [signer] = signers;
    if (signer === undefined || signers.length !== 1 || !committee.keys.includes(signer)) continue;
    if (!sameBytes(body.net, committee.info.net) || body.epoch !== committee.epoch) continue;
    if (body.slot !== slot || body.ballot !== ballot || !isProven(body, qc, committee)) continue;
    const lock = body.lock && { ...body.lock, digest: toHex(body.lock.value) };
    const entries = body.known.map(({ value, timely, afford }) => ({ digest: toHex(value), timely, afford }));
    counted.set(signer, { signer, at: body.at, lock, known: entries });
  }
  if (counted.size < committee.quorum)
    throw new CodedError<ReportsErrorType>(
      { code: 'REPORTS_INSUFFICIENT', slot, reports: counted.size },
      `${counted.size} of ${committee.quorum} reports for ballot ${ballot} of ${slot}`,
    );
  return [...counted.values()];
}

/** True when a report's lock is behind it in time, and a quorum voted for it. */
function isProven(
  { slot, epoch, ballot, lock }: Report,
  qc: Signed<Vote> | null,
  committee: Committee,
): boolean {
  if (!lock) return true;
  if (!qc || !isAbove({ epoch, ballot }, lock)) return false;
  try {
    checkCertificate(qc, committee);
  } catch (error) {
    if (error instanceof CodedError) return false;
    throw error;
  }
  const { body } = qc;
  const isSame = body.slot === slot && body.epoch === lock.epoch && body.ballot === lock.ballot;
  return isSame && sameBytes(body.value, lock.value);
}
