import { CodedError } from '../util/index.ts';
import {
  handoverKind,
  type LedgerAnswer,
  type LedgerRequest,
  MAX_HANDOVER_LOCKS,
  type ShownLock,
  seal,
  sha256,
} from '../wire/index.ts';
import type { BallotErrorType } from './ballots.ts';
import { committeeAt } from './committee.ts';
import type { Job, RoundNotary } from './round-job.ts';

/** Of one page: large orders would otherwise make it 4 MiB. */
const MAX_PAGE_BYTES = 1024 * 1024;

type Request = Extract<LedgerRequest, { type: 'handover' }>;

/**
 * Signs a page of what this notary leaves of an epoch in which it decides nothing any more. What it has seen decided since the page
 * before is missing from its locks, and counted in its log; where it goes on in a later epoch, a lock of that one may stand for the older.
 * @throws CodedError `WRONG_EPOCH` where it still has its part in the epoch, or never had.
 */
export async function leave(notary: RoundNotary, { epoch, after }: Request): Promise<LedgerAnswer> {
  const { signer, committee } = notary;
  const { locks, more } = await readLocks(notary, after);
  // Through the queue, so that what is not among the locks any more is in the log.
  const { intent } = await notary.do(leaveJob(epoch));
  if (intent.type !== 'left' || !committeeAt(epoch, committee)?.keys.includes(signer.peer))
    throw notOver(epoch);
  const { net } = committee.info;
  const body = { net, epoch, after, locks: locks.map(({ qc }) => sha256(qc)), more, log: intent.log };
  return { type: 'handover', handover: seal(handoverKind, body, signer).bytes, locks };
}

async function readLocks(
  notary: RoundNotary,
  after: string | null,
): Promise<{ locks: ShownLock[]; more: boolean }> {
  const locks: ShownLock[] = [];
  let bytes = 0;
  for await (const { qc, value } of notary.locks(after)) {
    bytes += value.length;
    if (locks.length === MAX_HANDOVER_LOCKS || (locks.length > 0 && bytes > MAX_PAGE_BYTES))
      return { locks, more: true };
    locks.push({ qc, value });
  }
  return { locks, more: false };
}

function leaveJob(epoch: number): Job {
  return {
    values: [],
    slots: [],
    reported: [],
    run({ book }) {
      const isOver = epoch < book.epoch || (epoch === book.epoch && book.isFrozen);
      if (!isOver || epoch < book.since) throw notOver(epoch);
      return { type: 'left', log: book.log };
    },
  };
}

function notOver(epoch: number): CodedError<BallotErrorType> {
  return new CodedError<BallotErrorType>(
    { code: 'WRONG_EPOCH', epoch },
    `this notary has not taken part in epoch ${epoch}, or does not know that it has ended`,
  );
}
