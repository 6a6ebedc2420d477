import { codeOf, messageOf, withDeadline } from '../../util/index.ts';
import { failureShare } from '../../verification/index.ts';
import { offerKind, open } from '../../wire/index.ts';
import { CANCEL_WAIT_MS } from '../options.ts';
import type { Follower } from './follow.ts';
import type { RequesterComponents } from './interface.ts';
import type { Treasurer } from './money.ts';
import { attemptOf, type LiveTask } from './task-store.ts';

/**
 * Tells the worker to stop, and keeps what it signs for that: the lock given back, or a split for the time used. A worker that
 * stays silent is not waited for: its lock comes back when nothing was claimed in time.
 */
export async function cancelAttempt(
  components: RequesterComponents,
  treasurer: Treasurer,
  task: LiveTask,
  { attempt, follower }: { attempt: number; follower: Follower },
): Promise<void> {
  const { clock, logger } = components;
  await follower.cancel('cancelled by its requester');
  try {
    const end = await withDeadline(CANCEL_WAIT_MS, 'the worker', signal => follower.run({ signal }), {
      clock,
    });
    const bytes = end.kind === 'failed' ? end.message.evidence : end.delivery.message.mutual;
    if (bytes) await treasurer.keep(task, attempt, agreed(components, treasurer, task, attempt, bytes));
  } catch (error) {
    logger.info(
      { task: task.record.taskId, code: codeOf(error), error: messageOf(error) },
      'no word of the cancelled worker',
    );
  }
  await follower.finish({ type: 'heartbeat' });
}

/** A split is countersigned when it asks for no more than the time since the start gives; a cancellation needs no signature of ours. */
function agreed(
  { clock }: RequesterComponents,
  treasurer: Treasurer,
  task: LiveTask,
  attempt: number,
  bytes: Uint8Array,
): Uint8Array {
  const entry = attemptOf(task.record, attempt);
  if (!entry.escrowId || !entry.worker || entry.price === null) return bytes;
  const { limits, failureFloorPermille } = open(offerKind, entry.offer).body.terms;
  // from the award on, since a task may have started before we heard of it
  const usedMs = clock.now() - (entry.awardedAt ?? clock.now());
  const most = failureShare({
    ask: entry.price,
    wallMs: usedMs,
    timeoutMs: limits.runMs,
    floorPermille: failureFloorPermille,
  });
  return treasurer.agree(bytes, entry.escrowId, entry.worker, most) ?? bytes;
}
