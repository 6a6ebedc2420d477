import { checkpointKind, type LedgerAnswer, MAX_LOG_PAGE, open } from '../wire/index.ts';
import { readSlots } from './notary-desk.ts';
import { countKey } from './notary-store.ts';
import type { RoundNotary } from './round-job.ts';

/** Who signed a checkpoint has all before it; who is new reads it for as long as it is here. */
export async function readLog(
  { store, counts, checkpoints }: RoundNotary,
  from: number,
  asking: string,
): Promise<LedgerAnswer> {
  const { last } = checkpoints;
  const isBefore = last !== undefined && from < last.height;
  if (isBefore && open(checkpointKind, last.bytes).signers.includes(asking))
    return { type: 'compacted', checkpoint: last.bytes };
  const count = Math.max(0, Math.min(MAX_LOG_PAGE, counts.log - from));
  const entries = await store.log.getMany(Array.from({ length: count }, (_, i) => countKey(from + i)));
  if (isBefore && entries.includes(undefined)) return { type: 'compacted', checkpoint: last.bytes };
  const slots = entries.flatMap(entry => entry?.slot ?? []);
  return { type: 'log', slots, more: from + count < counts.log };
}

/** Of one answer: large orders would otherwise make it 4 MiB. */
const MAX_ANSWER_BYTES = 1024 * 1024;

export async function readDecisions(notary: RoundNotary, slots: readonly string[]): Promise<LedgerAnswer> {
  let bytes = 0;
  const entries = (await readSlots(notary, slots)).filter(({ value }, i) => {
    bytes += value.length;
    return i === 0 || bytes <= MAX_ANSWER_BYTES;
  });
  return { type: 'trail', entries, more: false };
}
