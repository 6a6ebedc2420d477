import type { Client, TaskResultReply, TaskStatusReply } from '../api/client.ts';
import { sleep } from '../util/index.ts';
import type { Io } from './io.ts';
import { colour } from './print.ts';

/** Between two looks; a task that starts at once is never looked at. */
const LOOK_MS = 500;
/** A line for so many per cent more. */
const STEP = 10;
const BEFORE = ['queued', 'offering', 'awarding'];

/** What a look at a task shows: a line; null for nothing new; undefined when there is nothing more to come. */
type LineOf = (status: TaskStatusReply) => string | null | undefined;

/** Says on stderr how far a task is while `fn` follows it. Progress is a comfort: what is wrong with the daemon is told by `fn` alone. */
export async function withProgress<T>(
  { io, client, taskId }: { readonly io: Io; readonly client: Client; readonly taskId: string },
  lineOf: LineOf,
  fn: () => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const showing = show(io, client, taskId, lineOf, over.signal);
  const result = fn().finally(() => over.abort());
  await Promise.allSettled([result, showing]);
  return result;
}

async function show(
  io: Io,
  client: Client,
  taskId: string,
  lineOf: LineOf,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await sleep(LOOK_MS, { signal });
    const { body } = await client.getTaskStatus({ params: { task_id: taskId } }, { signal });
    const line = lineOf(body);
    if (line === undefined) return;
    if (line !== null) await io.err(`${colour(io, 'dim', line, io.errIsTerminal)}\n`);
  }
}

/** While a worker pulls the task's image. */
export function pullingLines(): LineOf {
  let next = 0;
  return ({ phase, progress }) => {
    if (phase !== 'pulling') return BEFORE.includes(phase) ? null : undefined;
    const percent = Math.floor(progress ?? 0);
    if (percent < next) return null;
    next = percent - (percent % STEP) + STEP;
    return `pulling the image: ${percent} %`;
  };
}

/** Whenever the elements of an array, or what it waits for, have changed. */
export function arrayLines(): LineOf {
  let said = '';
  return ({ array, waiting }) => {
    if (!array) return undefined;
    const line = `${progressOf(array)}${waiting ? `, waits: ${waiting}` : ''}`;
    if (line === said) return null;
    said = line;
    return line;
  };
}

/** `120 of 200 completed, 3 failed, 40 running`. */
export function progressOf({
  total,
  completed,
  failed,
  running,
}: NonNullable<TaskResultReply['array']>): string {
  return `${completed} of ${total} completed, ${failed} failed, ${running} running`;
}
