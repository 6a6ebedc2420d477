import type { Client, ElementReply, TaskReply } from '../../api/client.ts';
import { elementsOf, printElements } from '../array.ts';
import { whyOf } from '../bids.ts';
import { EXIT, exitCodeOfTask, usage } from '../exit.ts';
import { followLogs, saveOutputs, sink, stdoutOf, waitForResult } from '../follow.ts';
import { InputFiles } from '../inputs.ts';
import type { Io } from '../io.ts';
import { money } from '../money.ts';
import { duration, facts, json, phaseOf, plainLine, shortPeer, table } from '../print.ts';
import { progressOf } from '../progress.ts';
import { clientOf, type TargetOptions } from '../target.ts';
import { readInputs, readTasks } from '../task-file.ts';
import { usedLine } from '../used.ts';

export interface ReadOptions extends TargetOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const idsOf = (args: readonly string[]): readonly string[] => {
  if (args.length === 0) throw usage('give a task id');
  return args;
};

/** Prints task ids as they are taken; with --wait ends when all have ended. */
export async function submit(
  io: Io,
  [file = '-']: readonly string[],
  options: ReadOptions & { wait?: boolean },
): Promise<number> {
  const tasks = await readTasks(io, file);
  const client = await clientOf(io, options);
  const taken = [];
  for (const task of tasks) {
    const body = await readInputs(task, file, new InputFiles(async () => client, io.signal));
    const { body: status } = await client.submitTask({ body }, { signal: io.signal });
    taken.push(status);
    if (!options.json) await io.out(`${status.task_id}\n`);
  }
  if (options.json) await io.out(json(taken.length === 1 ? taken[0] : taken));
  if (!options.wait) return EXIT.done;
  const ids = taken.map(({ task_id }) => task_id);
  return waitForAll(io, client, ids, Number.POSITIVE_INFINITY);
}

async function waitForAll(
  io: Io,
  client: Client,
  ids: readonly string[],
  timeoutMs: number,
): Promise<number> {
  let worst: number = EXIT.done;
  for (const id of ids) {
    const result = await waitForResult(client, id, { signal: io.signal, timeoutMs });
    const code = result === undefined ? EXIT.failed : exitCodeOfTask(result);
    const reason = result?.error ? ` (${result.error.class}: ${plainLine(result.error.message)})` : '';
    await io.err(`${id} ${result?.status ?? 'still running'}${reason}\n`);
    worst = Math.max(worst, code);
  }
  return worst;
}

export async function wait(
  io: Io,
  args: readonly string[],
  options: ReadOptions & { timeout?: string },
): Promise<number> {
  const seconds = options.timeout === undefined ? Number.POSITIVE_INFINITY : Number(options.timeout);
  if (Number.isNaN(seconds)) throw usage(`--timeout must be seconds, not ${options.timeout}`);
  return waitForAll(io, await clientOf(io, options), idsOf(args), seconds * 1000);
}

export async function list(
  io: Io,
  _: readonly string[],
  options: ReadOptions & { status?: string; label?: string; limit?: string; cursor?: string },
): Promise<number> {
  const client = await clientOf(io, options);
  const { label, limit, cursor } = options;
  const query = { status: options.status as 'running' | undefined, label, limit, cursor };
  const { body } = await client.listTasks({ query }, { signal: io.signal });
  if (options.json) await io.out(json(body));
  else if (options.quiet) await io.out(body.tasks.map(task => `${task.task_id}\n`).join(''));
  else {
    const rows = body.tasks.map(task => [
      task.task_id,
      task.status,
      phaseOf(task),
      shortPeer(task.worker),
      task.price ?? task.payment_amount,
      duration(Date.now() - Date.parse(task.submitted_at)),
      task.service_name,
    ]);
    await io.out(table(['TASK', 'STATUS', 'PHASE', 'WORKER', 'PRICE', 'AGE', 'NAME'], rows));
    if (body.cursor) await io.err(`more: --cursor ${body.cursor}\n`);
  }
  return EXIT.done;
}

/** The state of an escrow, with the time at which it changes by itself. */
function escrowOf(payment: TaskReply['payment']): string | null {
  if (!payment?.escrow) return null;
  const { state, claim_by, dispute_by, verdict_by, arbiters, closed_by, finding } = payment.escrow;
  const found = finding === null ? '' : ` (the result is ${finding})`;
  if (closed_by !== null) return `${state} by ${closed_by}${found}`;
  if (state === 'open') return `open, to be claimed by ${claim_by}`;
  if (state === 'claimed') return `claimed, to be disputed by ${dispute_by}`;
  const judges = arbiters.length > 0 ? `, arbiters ${arbiters.map(shortPeer).join(' ')}` : '';
  return `${state}, to be judged by ${verdict_by}${judges}`;
}

function attemptsOf(task: TaskReply): string {
  return task.attempts
    .map(({ attempt, worker, price, error, bids, payment }) => {
      const escrow = escrowOf(payment);
      const end = `${escrow ? `  escrow ${escrow}` : ''}${error ? `  ${error.class}: ${plainLine(error.message)}` : ''}`;
      const answers = bids.map(
        bid =>
          `    ${shortPeer(bid.worker)} ${bid.refusal ? `refused: ${plainLine(bid.refusal.reason)}` : `bid ${bid.ask}, score ${bid.score}`}\n`,
      );
      return `  attempt ${attempt}  worker ${shortPeer(worker)}  price ${price ?? '-'}${end}\n${answers.join('')}`;
    })
    .join('');
}

export async function show(
  io: Io,
  [id]: readonly string[],
  options: ReadOptions & { why?: boolean },
): Promise<number> {
  const client = await clientOf(io, options);
  const [taskId = ''] = idsOf(id === undefined ? [] : [id]);
  const { body: task } = await client.getTask({ params: { task_id: taskId } }, { signal: io.signal });
  if (options.json) await io.out(json(task));
  else {
    const { body: node } = await client.getNode({}, { signal: io.signal });
    const { payment, error } = task;
    const pairs: (readonly [string, string | number | null])[] = [
      ['task', task.task_id],
      ['name', task.service_name],
      ['status', `${task.status} (${phaseOf(task)})`],
      ...(task.array ? ([['elements', progressOf(task.array)]] as const) : []),
      ...(task.array_of ? ([['array', task.array_of]] as const) : []),
      ['worker', task.worker],
      ['image', task.image],
      ['pays up to', money(task.payment_amount, node)],
      [
        'payment',
        task.array
          ? `paid ${money(task.array.paid, node)}`
          : payment === null
            ? null
            : `${payment.state} ${money(payment.amount, node)}, fee ${payment.fee}`,
      ],
      ['escrow', escrowOf(payment)],
      ['submitted', task.submitted_at],
      ['ended', task.ended_at],
      ['took', duration(task.timings.total_ms)],
      ['error', error === null ? null : `${error.class} ${error.code}: ${error.message}`],
    ];
    await io.out(facts(pairs) + (options.why ? task.attempts.map(whyOf).join('') : attemptsOf(task)));
  }
  return EXIT.done;
}

export async function logs(
  io: Io,
  args: readonly string[],
  options: ReadOptions & { follow?: boolean },
): Promise<number> {
  const [id = ''] = idsOf(args);
  const client = await clientOf(io, options);
  await followLogs(io, client, id, { follow: options.follow === true, signal: io.signal });
  return EXIT.done;
}

export async function result(
  io: Io,
  args: readonly string[],
  options: ReadOptions & { out?: string; wait?: boolean; index?: string },
): Promise<number> {
  const [id = ''] = idsOf(args);
  const { index } = options;
  const client = await clientOf(io, options);
  const timeoutMs = options.wait ? Number.POSITIVE_INFINITY : 0;
  const found = await waitForResult(client, id, { signal: io.signal, timeoutMs, index });
  if (found === undefined) {
    await io.err(`${id} still runs: wait for it with --wait\n`);
    return EXIT.failed;
  }
  if (options.json) await io.out(json(found));
  else if (found.array) await printElements(io, client, id, options.out);
  else await sink(io.outIsTerminal, content => io.out(content))(stdoutOf(found));
  if (found.usage && io.outIsTerminal) await io.err(`${usedLine(found.usage)}\n`);
  if (found.error) await io.err(`${found.status}: ${plainLine(found.error.message)}\n`);
  if (options.out !== undefined)
    for (const file of await saveOutputs(client, found, options.out, io.signal, index))
      await io.err(`saved ${plainLine(file)}\n`);
  return exitCodeOfTask(found.status === 'paying' ? { ...found, status: 'completed' } : found);
}

export async function elements(
  io: Io,
  args: readonly string[],
  options: ReadOptions & { status?: ElementReply['status'] },
): Promise<number> {
  const [id = ''] = idsOf(args);
  const client = await clientOf(io, options);
  const all: ElementReply[] = [];
  for await (const element of elementsOf(client, id, { status: options.status, signal: io.signal }))
    all.push(element);
  if (options.json) await io.out(json(all));
  else if (options.quiet) await io.out(all.map(({ index }) => `${index}\n`).join(''));
  else {
    const rows = all.map(({ index, status, failures, values, bundle }) => [
      String(index),
      status,
      String(failures),
      bundle ?? '-',
      Object.entries(values)
        .map(([name, value]) => `${name}=${value}`)
        .join(' '),
    ]);
    await io.out(table(['INDEX', 'STATUS', 'FAILURES', 'BUNDLE', 'VALUES'], rows));
  }
  return EXIT.done;
}

type Change = (client: Client, taskId: string) => Promise<{ body: { status: string; task_id: string } }>;

async function changeAll(
  io: Io,
  args: readonly string[],
  options: ReadOptions,
  change: Change,
): Promise<number> {
  const client = await clientOf(io, options);
  for (const id of idsOf(args)) {
    const { body } = await change(client, id);
    if (options.json) await io.out(json(body));
    else await io.out(options.quiet ? `${body.task_id}\n` : `${body.task_id} ${body.status}\n`);
  }
  return EXIT.done;
}

export const cancel = (io: Io, args: readonly string[], options: ReadOptions): Promise<number> =>
  changeAll(io, args, options, (client, id) => client.cancelTask({ params: { task_id: id } }));

export const retry = (io: Io, args: readonly string[], options: ReadOptions): Promise<number> =>
  changeAll(io, args, options, (client, id) => client.retryTask({ params: { task_id: id } }));

export const accept = (io: Io, args: readonly string[], options: ReadOptions): Promise<number> =>
  changeAll(io, args, options, (client, id) => client.acceptTask({ params: { task_id: id } }));

export const dispute = (
  io: Io,
  args: readonly string[],
  options: ReadOptions & { reason?: string },
): Promise<number> => {
  const reason = options.reason ?? 'the result is not what was asked for';
  return changeAll(io, args, options, (client, id) =>
    client.disputeTask({ params: { task_id: id }, body: { reason } }),
  );
};
