import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import type { Client, LogLine, TaskResultReply } from '../api/client.ts';
import { usage } from './exit.ts';
import type { Io } from './io.ts';
import { plain } from './print.ts';

/** One long poll; the daemon allows 60 s. */
const WAIT_SECONDS = 30;

/** The result, however long it takes. With `paid`, also after the payment is through. */
export async function waitForResult(
  client: Client,
  taskId: string,
  {
    signal,
    timeoutMs = Number.POSITIVE_INFINITY,
    index,
  }: { signal: AbortSignal; timeoutMs?: number; index?: string | undefined },
): Promise<TaskResultReply | undefined> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const left = Math.ceil((end - performance.now()) / 1000);
    const wait = String(Math.max(0, Math.min(WAIT_SECONDS, left)));
    const reply = await client.getTaskResult(
      { params: { task_id: taskId }, query: { wait, index } },
      { signal },
    );
    const waitsForUser = reply.status === 200 && reply.body.waiting === 'awaiting_accept';
    if (reply.status === 200 && (reply.body.status !== 'paying' || waitsForUser)) return reply.body;
    if (left <= 0) return reply.status === 200 ? reply.body : undefined;
  }
}

/** A stream of other people's bytes: raw into a pipe, plain text onto a terminal. */
export function sink(isTerminal: boolean, write: (content: string | Uint8Array) => Promise<void>) {
  const decoder = new TextDecoder();
  return (bytes: Uint8Array): Promise<void> =>
    write(isTerminal ? plain(decoder.decode(bytes, { stream: true })) : bytes);
}

export function bytesOfLine({ text, base64 }: LogLine): Uint8Array {
  return base64 === undefined ? Buffer.from(text, 'utf8') : Buffer.from(base64, 'base64');
}

/** Writes a task's output as it comes; `written` counts the bytes of each stream. */
export async function followLogs(
  io: Io,
  client: Client,
  taskId: string,
  {
    follow,
    signal,
    written = { stdout: 0, stderr: 0 },
  }: { follow: boolean; signal: AbortSignal; written?: { stdout: number; stderr: number } },
): Promise<void> {
  const sinks = {
    stdout: sink(io.outIsTerminal, content => io.out(content)),
    stderr: sink(io.errIsTerminal, content => io.err(content)),
  };
  const query = { follow: follow ? ('true' as const) : ('false' as const) };
  const { body } = await client.getTaskLogs({ params: { task_id: taskId }, query }, { signal });
  for await (const line of body) {
    await sinks[line.stream](bytesOfLine(line));
    written[line.stream] = line.offset + line.size;
  }
}

/** stdout of a result as bytes. */
export function stdoutOf(result: TaskResultReply): Uint8Array {
  if (result.stdout_base64 !== undefined) return Buffer.from(result.stdout_base64, 'base64');
  return Buffer.from(result.stdout ?? '', 'utf8');
}

export function stderrOf(result: TaskResultReply): Uint8Array {
  if (result.stderr_base64 !== undefined) return Buffer.from(result.stderr_base64, 'base64');
  return Buffer.from(result.stderr ?? '', 'utf8');
}

/** Fetches each output file into `dir`; answers their paths. The names are a worker's: none may lead out of `dir`. */
export async function saveOutputs(
  client: Client,
  result: TaskResultReply,
  dir: string,
  signal: AbortSignal,
  index?: string,
): Promise<string[]> {
  const root = resolve(dir);
  const saved: string[] = [];
  for (const { path } of result.outputs) {
    const file = resolve(join(root, path));
    const below = relative(root, file);
    if (below === '' || below === '..' || below.startsWith(`..${sep}`))
      throw usage(`the output ${plain(path)} would land outside ${root}`);
    const params = { task_id: result.task_id, path };
    const query = index === undefined ? {} : { index };
    const { body } = await client.getTaskOutput({ params, query }, { signal });
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, body.bytes, { signal });
    saved.push(file);
  }
  return saved;
}
