import { messageOf } from '../../util/index.ts';
import type { TaskRecord } from '../../wire/index.ts';
import type { RequesterComponents } from './interface.ts';
import { hasEnded, moneyMoves, type TaskStore } from './task-store.ts';
import { attested } from './views.ts';

/** Records read in one go; older ones follow in the next. */
const PAGE = 10_000;

/**
 * Removes the bytes of results past their retention time, unless a younger result or a kept lease has the same bytes; and
 * after the same time again the task's record. Receipts stay.
 */
export async function pruneResults(components: RequesterComponents, store: TaskStore): Promise<void> {
  const { tasks, worker, blobs, clock, options, db, logger } = components;
  const before = clock.now() - options.retentionMs;
  const kept = new Set(worker.liveCids());
  const old: TaskRecord[] = [];
  const forgotten: string[] = [];
  for await (const [, record] of tasks.iterate({ limit: PAGE })) {
    if (isForgotten(record, before - options.retentionMs)) forgotten.push(record.taskId);
    if (!record.result || record.result.expired) continue;
    if (hasEnded(record) && (record.endedAt ?? 0) < before) old.push(record);
    else for (const cid of cidsOf(record)) kept.add(cid);
  }
  try {
    for (const record of old) {
      for (const cid of cidsOf(record)) if (!kept.has(cid)) await blobs.delete(cid);
      const result = record.result && { ...record.result, expired: true };
      await db.write([tasks.putOp(record.taskId, { ...record, result })]);
    }
    for (const taskId of forgotten) await db.write(store.forget(taskId));
  } catch (error) {
    logger.warn({ error: messageOf(error) }, 'old results could not be removed; will try again');
  }
}

function isForgotten(record: TaskRecord, before: number): boolean {
  return hasEnded(record) && (record.endedAt ?? 0) < before && !record.attempts.some(moneyMoves);
}

function cidsOf({ result }: TaskRecord): string[] {
  if (!result) return [];
  const { stdoutCid, stderrCid } = attested(result);
  return [stdoutCid, stderrCid, ...result.outputs.map(output => output.cid)];
}
