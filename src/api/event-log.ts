import type { TaskMarket } from '../market/index.ts';
import { BoundedQueue, type Clock, hasCode } from '../util/index.ts';
import { EVENT_HISTORY, FOLLOWER_QUEUE } from './options.ts';
import type { Frame } from './route.ts';
import type { TaskEventReply } from './task-replies.ts';
import { eventOf } from './task-views.ts';

type EventFrame = Frame<TaskEventReply>;

/** Task events for many followers, with the last of them kept for those who come back. */
export interface EventLog {
  start(): void;
  /** Ends every follower. */
  stop(): void;
  /**
   * From now on, or from behind `after` (the id of an event) where that is still kept. A follower that lags too far behind is
   * ended; it comes back with its last id.
   */
  follow(
    query: { after?: string | undefined; taskId?: string | undefined },
    options: { signal: AbortSignal },
  ): AsyncIterable<EventFrame>;
}

export function createEventLog({ market, clock }: { market: TaskMarket; clock: Clock }): EventLog {
  /** Ids of another run of this node are not of this one. */
  const boot = clock.now().toString(36);
  const kept: EventFrame[] = [];
  const followers = new Set<BoundedQueue<EventFrame>>();
  let off: (() => void) | undefined;

  const since = (after: string | undefined): EventFrame[] => {
    if (after === undefined) return [];
    const seq = Number(/^([0-9a-z]+)-(\d{1,15})$/.exec(after)?.[2] ?? -1);
    const sameRun = after.startsWith(`${boot}-`);
    return sameRun ? kept.filter(frame => Number(frame.id.split('-')[1]) > seq) : [...kept];
  };
  const deliver = (queue: BoundedQueue<EventFrame>, frame: EventFrame): void => {
    try {
      queue.push(frame);
    } catch (error) {
      if (!hasCode(error, 'QUEUE_FULL')) throw error;
      followers.delete(queue);
      queue.close();
    }
  };
  async function* drain(
    queue: BoundedQueue<EventFrame>,
    missed: EventFrame[],
    taskId: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<EventFrame> {
    const close = () => queue.close();
    signal.addEventListener('abort', close, { once: true });
    try {
      const wanted = (frame: EventFrame) => taskId === undefined || frame.data.task_id === taskId;
      for (const frame of missed) if (wanted(frame)) yield frame;
      for (;;) {
        const frame = signal.aborted ? undefined : await queue.next();
        if (frame === undefined) return;
        if (wanted(frame)) yield frame;
      }
    } finally {
      signal.removeEventListener('abort', close);
      followers.delete(queue);
    }
  }
  return {
    start() {
      off = market.onEvent(event => {
        const frame = { id: `${boot}-${event.seq}`, event: 'task', data: eventOf(event) };
        kept.push(frame);
        if (kept.length > EVENT_HISTORY) kept.shift();
        for (const queue of followers) deliver(queue, frame);
      });
    },
    stop() {
      off?.();
      for (const queue of followers) queue.close();
      followers.clear();
    },
    follow({ after, taskId }, { signal }) {
      const queue = new BoundedQueue<EventFrame>(FOLLOWER_QUEUE);
      const missed = since(after);
      if (!signal.aborted) followers.add(queue);
      return drain(queue, missed, taskId, signal);
    },
  };
}
