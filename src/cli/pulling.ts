import type { Client } from '../api/client.ts';
import { sleep } from '../util/index.ts';
import type { Io } from './io.ts';
import { colour } from './print.ts';

/** Between two looks; a task that starts at once is never looked at. */
const LOOK_MS = 500;
/** A line for so many per cent more. */
const STEP = 10;
const BEFORE = ['queued', 'offering', 'awarding'];

/** Says on stderr how far the task's image is while a worker pulls it. Ends with the signal; never rejects. */
export async function showPulling(
  io: Io,
  client: Client,
  taskId: string,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  let next = 0;
  try {
    for (;;) {
      await sleep(LOOK_MS, { signal });
      const { body } = await client.getTaskStatus({ params: { task_id: taskId } }, { signal });
      if (body.phase !== 'pulling' && !BEFORE.includes(body.phase)) return;
      const percent = Math.floor(body.progress ?? 0);
      if (body.phase !== 'pulling' || percent < next) continue;
      next = percent - (percent % STEP) + STEP;
      await io.err(`${colour(io, 'dim', `pulling the image: ${percent} %`, io.errIsTerminal)}\n`);
    }
  } catch {
    // It is said for comfort alone: what is wrong with the daemon is told by what follows the task itself.
  }
}
