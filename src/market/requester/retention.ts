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
  const past: TaskRecord[] = [];
  for await (const [, record] of tasks.iterate(ALL)) {
    if (isOld(record, before) && !isOfLive(store, record) && old.length < MAX_REMOVED) old.push(record);
    else for (const cid of cidsOf(record)) kept.add(cid);
    if (isForgotten(record, before - options.retentionMs)) past.push(record);
  }
  for (const record of old) {
    const result = record.result && { ...record.result, expired: true };
    await db.write([tasks.putOp(record.taskId, { ...record, result })]);
  }
  const usedBytes = blobs.size();
  await blobs.sweep(kept, clock.now() - YOUNG_MS);
  const bytes = Math.max(0, usedBytes - blobs.size());
  // an array's bundles are what it is known by: they go after it
  const going = new Set(past.map(({ taskId }) => taskId));
  const forgotten = past.filter(
    ({ bundle }) => !bundle || going.has(bundle.array) || !store.has(bundle.array),
  );
  for (const record of forgotten) await db.write(store.forget(record));
  await forgetKeys(components, new Set(forgotten.map(({ taskId }) => taskId)));
  return { results: old.length, tasks: forgotten.length, bytes };
}

/** The results of an array's elements are as young as its last one. */
function isOfLive(store: TaskStore, { bundle }: TaskRecord): boolean {
  return bundle !== null && store.live.has(bundle.array);
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
