import { withDeadline } from '../../util/index.ts';
import { type Award, type Decided, MAX_OUTPUT_FILES, MAX_STREAM_BYTES } from '../../wire/index.ts';
import { openTaskStream } from './award.ts';
import type { RequesterComponents } from './interface.ts';

const FETCH_MS = 5_000;

/**
 * Shows a worker the lock of an attempt that is over, and takes what it signs for that: it may have given up before the lock was
 * certified, or while it could not be heard. Undefined when it has nothing to sign: it runs still, has a result, or knows nothing of it.
 * A result is not wanted (any more): its worker hears so, and may claim at once what it will not be paid otherwise.
 */
export function fetchEvidence(
  components: RequesterComponents,
  { taskId, replica, attempt, worker }: Award,
  lock: Decided,
  { reason, signal }: { reason: string; signal: AbortSignal },
): Promise<Uint8Array | undefined> {
  const ref = { taskId, replica, attempt };
  const all = {
    stdoutFrom: MAX_STREAM_BYTES,
    stderrFrom: MAX_STREAM_BYTES,
    filesDone: MAX_OUTPUT_FILES,
    fileFrom: 0,
  };
  const ask = async (signal: AbortSignal): Promise<Uint8Array | undefined> => {
    const channel = await openTaskStream(components, worker, { signal });
    try {
      await channel.send({ type: 'attach', ...ref, ...all }, { signal });
      await channel.send({ type: 'locked', lock }, { signal });
      await channel.send({ type: 'rejected', code: 'RESULT_DENIED', reason }, { signal });
      for (;;) {
        const message = await channel.receive({ signal });
        // a failure without evidence is said before the lock was read
        if (message?.type !== 'heartbeat' && message?.type !== 'failed') return undefined;
        if (message.type === 'failed' && message.evidence) return message.evidence;
      }
    } finally {
      await channel.close();
    }
  };
  return withDeadline(FETCH_MS, 'the worker', ask, { signal, clock: components.clock });
}
