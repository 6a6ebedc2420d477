import type { Client, ElementReply, TaskResultReply } from '../api/client.ts';
import { saveOutputs, sink, stderrOf, stdoutOf } from './follow.ts';
import type { Io } from './io.ts';
import { plainLine } from './print.ts';

/** Elements asked for at a time. */
const PAGE = '1000';

/** All elements, page by page, in the order of their indices. */
export async function* elementsOf(
  client: Client,
  taskId: string,
  { status, signal }: { status?: ElementReply['status'] | undefined; signal: AbortSignal },
): AsyncGenerator<ElementReply> {
  for (let cursor: string | undefined; ; ) {
    const query = { status, limit: PAGE, cursor };
    const { body } = await client.listElements({ params: { task_id: taskId }, query }, { signal });
    yield* body.elements;
    if (body.cursor === null) return;
    cursor = body.cursor;
  }
}

/** What the elements that have run wrote, one after another; their files below a folder for each. */
export async function printElements(
  io: Io,
  client: Client,
  taskId: string,
  out: string | undefined,
): Promise<void> {
  const { signal } = io;
  const write = sink(io.outIsTerminal, content => io.out(content));
  const complain = sink(io.errIsTerminal, content => io.err(content));
  for await (const { index, status } of elementsOf(client, taskId, { signal })) {
    if (status !== 'completed' && status !== 'failed') continue;
    const params = { task_id: taskId };
    const { body } = await client.getTaskResult({ params, query: { index: String(index) } }, { signal });
    const result = body as TaskResultReply;
    await write(stdoutOf(result));
    await complain(stderrOf(result));
    if (result.error) await io.err(`element ${index}: ${plainLine(result.error.message)}\n`);
    if (out !== undefined) await saveOutputs(client, result, `${out}/${index}`, signal, String(index));
  }
}
