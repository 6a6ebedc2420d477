import { deferred, Semaphore } from '../../util/index.ts';
import type { Accepted } from './awarding.ts';
import type { Follower } from './follow.ts';
import { isTaken, type LiveTask } from './task-store.ts';

/** What attempts of one task that run beside each other have in common. */
export interface Beside {
  /** Aborted when the task needs no further result. */
  readonly over: AbortSignal;
  /** Only one of them ends at a time: the first good result is the one. */
  readonly turn: Semaphore;
}

export interface RaceEnd {
  /** Whose result was taken. */
  readonly winner: Follower | null;
  /** Settles when the others have been told. */
  readonly rest: Promise<unknown>;
}

interface RaceParts {
  /** One attempt to its end. */
  run(accepted: Accepted, beside: Beside): Promise<void>;
  /** Another attempt, if there can be one. */
  hedge(): Promise<Accepted[]>;
}

/**
 * Runs the attempts of a task until a result is taken, or all have come to nothing. A single one that falls silent gets another beside it,
 * once (Dean and Barroso, "The Tail at Scale", CACM 2013: hedged requests).
 */
export async function runRace(
  task: LiveTask,
  accepted: readonly Accepted[],
  { run, hedge }: RaceParts,
): Promise<RaceEnd> {
  const over = new AbortController();
  const beside = { over: over.signal, turn: new Semaphore(1) };
  const taken = deferred<void>();
  let winner: Follower | null = null;
  const enter = async (one: Accepted) => {
    await run(one, beside);
    if (!isTaken(task.record)) return;
    if (task.record.result?.attempt === one.attempt) winner = one.follower;
    over.abort();
    taken.resolve();
  };
  const hedged = async ({ follower }: Accepted, end: Promise<void>) => {
    const isSilent = await Promise.race([follower.silence.suspect.then(() => true), end.then(() => false)]);
    for (const other of isSilent ? await hedge() : []) await enter(other);
  };
  const lanes = accepted.map(enter);
  const [first] = accepted;
  if (first && accepted.length === 1) lanes.push(hedged(first, lanes[0] as Promise<void>));
  try {
    await Promise.race([Promise.all(lanes), taken.promise]);
  } catch (error) {
    over.abort();
    throw error;
  }
  return { winner, rest: Promise.allSettled(lanes) };
}
