import { messageOf, Semaphore } from '../../util/index.ts';
import type { TaskRecord } from '../../wire/index.ts';
import type { PrunedTasks } from '../interface.ts';
import type { RequesterComponents } from './interface.ts';
import { hasEnded, moneyMoves, type TaskStore } from './task-store.ts';
import { attested } from './views.ts';

/** Results removed in one go; the others follow in the next. */
const MAX_REMOVED = 10_000;

/** Bytes this young may belong to a result that is not written down yet. */
const YOUNG_MS = 3_600_000;

export interface Retention {
  /**
   * Removes the bytes that no unexpired result and no kept lease needs, of this node's own tasks and of those that it ran for
   * others; and after the retention time again the task's record. Receipts stay.
   */
  prune(): Promise<PrunedTasks>;
  /** The same by itself. Never rejects. */
  sweep(): Promise<void>;
}

export function createRetention(components: RequesterComponents, store: TaskStore): Retention {
  /** Of two at once each would miss what the other removed. */
  const turns = new Semaphore(1);
  const pruneInTurn = () => turns.run(() => prune(components, store));
  return {
    prune: pruneInTurn,
    async sweep() {
      try {
        await pruneInTurn();
      } catch (error) {
        components.logger.warn(
          { error: messageOf(error) },
          'old results could not be removed; will try again',
        );
      }
    },
  };
}

async function prune(components: RequesterComponents, store: TaskStore): Promise<PrunedTasks> {
  const { tasks, worker, blobs, clock, options, db } = components;
  const before = clock.now() - options.retentionMs;
  const kept = new Set(await worker.liveCids());
  const old: TaskRecord[] = [];
  const forgotten: string[] = [];
  for await (const [, record] of tasks.iterate(ALL)) {
    if (isOld(record, before) && old.length < MAX_REMOVED) old.push(record);
    else for (const cid of cidsOf(record)) kept.add(cid);
    if (isForgotten(record, before - options.retentionMs)) forgotten.push(record.taskId);
  }
  for (const record of old) {
    const result = record.result && { ...record.result, expired: true };
    await db.write([tasks.putOp(record.taskId, { ...record, result })]);
  }
  const usedBytes = blobs.size();
  await blobs.sweep(kept, clock.now() - YOUNG_MS);
  const bytes = Math.max(0, usedBytes - blobs.size());
  for (const taskId of forgotten) await db.write(store.forget(taskId));
  await forgetKeys(components, new Set(forgotten));
  return { results: old.length, tasks: forgotten.length, bytes };
}

/** An idempotency key lives as long as its task. */
async function forgetKeys(
  { idempotency, db }: RequesterComponents,
  forgotten: ReadonlySet<string>,
): Promise<void> {
  if (forgotten.size === 0) return;
  for await (const [key, { taskId }] of idempotency.iterate(ALL))
    if (forgotten.has(taskId)) await db.write([idempotency.delOp(key)]);
}

const ALL = { limit: Number.MAX_SAFE_INTEGER };

/** Its result is past its time; while money moves, the record changes elsewhere. */
function isOld(record: TaskRecord, before: number): boolean {
  const { result, endedAt } = record;
  if (!result || result.expired || record.attempts.some(moneyMoves)) return false;
  return hasEnded(record) && (endedAt ?? 0) < before;
}

function isForgotten(record: TaskRecord, before: number): boolean {
  return hasEnded(record) && (record.endedAt ?? 0) < before && !record.attempts.some(moneyMoves);
}

function cidsOf(record: TaskRecord): readonly string[] {
  const { result } = record;
  const inputs = hasEnded(record) ? [] : record.inputs;
  if (!result || result.expired) return inputs;
  const { stdoutCid, stderrCid } = attested(result);
  return [...inputs, stdoutCid, stderrCid, ...result.outputs.map(output => output.cid)];
}
