import { readdir, readFile, stat } from 'node:fs/promises';
import { join, posix, relative } from 'node:path';
import type { Client, TaskResultReply } from '../../api/client.ts';
import { codeOf } from '../../util/index.ts';
import { printElements } from '../array.ts';
import { EXIT, exitCodeOfTask, usage } from '../exit.ts';
import { followLogs, saveOutputs, stderrOf, stdoutOf, waitForResult } from '../follow.ts';
import { type InputBody, InputFiles } from '../inputs.ts';
import type { Io } from '../io.ts';
import { money } from '../money.ts';
import { colour, plainLine, shortPeer } from '../print.ts';
import { arrayLines, progressOf, pullingLines, withProgress } from '../progress.ts';
import { clientOf, type TargetOptions } from '../target.ts';
import type { TaskBody } from '../task-file.ts';
import { usedLine } from '../used.ts';

export interface RunOptions extends TargetOptions {
  readonly image?: string;
  readonly name?: string;
  readonly code?: string;
  readonly entrypoint?: string;
  readonly workdir?: string;
  readonly cpus?: string;
  readonly memory?: string;
  readonly disk?: string;
  readonly timeout?: string;
  readonly runtime?: string;
  readonly reuse?: boolean;
  readonly idempotent?: boolean;
  readonly after?: readonly string[];
  readonly from?: readonly string[];
  readonly resumable?: boolean;
  readonly allowHost?: readonly string[];
  readonly gpus?: string;
  readonly array?: string;
  readonly matrix?: readonly string[];
  readonly arrayRetries?: string;
  readonly pay?: string;
  readonly maxTotal?: string;
  readonly verify?: string;
  readonly retries?: string;
  readonly priority?: string;
  readonly env?: readonly string[];
  readonly volume?: readonly string[];
  readonly label?: readonly string[];
  readonly avoid?: readonly string[];
  readonly require?: readonly string[];
  readonly arbiter?: readonly string[];
  readonly out?: string;
  readonly quiet?: boolean;
}

function numberOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw usage(`${flag} must be a number, not ${text}`);
  return value;
}

/** Megabytes of `512`, `512m` or `1.5g`. */
function megabytesOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d+(?:\.\d+)?)([mg]?)b?$/i.exec(text);
  if (!match) throw usage(`${flag} must be megabytes, or a size such as 512m or 2g; not ${text}`);
  return Math.ceil(Number(match[1]) * (match[2]?.toLowerCase() === 'g' ? 1024 : 1));
}

/** `NAME=value`; a bare NAME takes the value of this environment, as docker does. */
function pairsOf(io: Io, flag: string, items: readonly string[] = []): Record<string, string> {
  const pairs = items.map(item => {
    const at = item.indexOf('=');
    if (at > 0) return [item.slice(0, at), item.slice(at + 1)];
    const value = io.env[item];
    if (at === 0 || value === undefined) throw usage(`${flag} must be NAME=value, not ${item}`);
    return [item, value];
  });
  return Object.fromEntries(pairs);
}

async function filesBelow(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name));
}

/** `-v dir:/inputs`: each file below becomes an input. */
async function inputsOf(volumes: readonly string[], files: InputFiles): Promise<InputBody[]> {
  const inputs: InputBody[] = [];
  for (const volume of volumes) {
    const at = volume.lastIndexOf(':');
    if (at <= 0) throw usage(`-v must be PATH:TARGET such as data:/inputs, not ${volume}`);
    const [from, target] = [volume.slice(0, at), volume.slice(at + 1)];
    for (const file of await filesBelow(from)) {
      const below = relative(from, file).split('\\').join('/');
      inputs.push(await files.take({ file, target: below === '' ? target : posix.join(target, below) }));
    }
  }
  return inputs;
}

/** `--matrix lr=0.1,0.2 --matrix seed=1,2,3`: six elements. */
function arrayOf({ array, matrix, arrayRetries }: RunOptions): Record<string, unknown> | undefined {
  if (array === undefined && matrix === undefined) return undefined;
  const pairs = matrix?.map(item => {
    const at = item.indexOf('=');
    if (at <= 0) throw usage(`--matrix must be NAME=VALUE,VALUE,…, not ${item}`);
    return [item.slice(0, at), item.slice(at + 1).split(',')];
  });
  const given = {
    count: numberOf('--array', array),
    matrix: pairs && Object.fromEntries(pairs),
    retries: numberOf('--array-retries', arrayRetries),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** What other tasks write. */
function givenOf(items: readonly string[] = []): InputBody[] {
  return items.map(item => {
    const [task, output, target, ...rest] = item.split(':');
    if (!task || !output || !target || rest.length > 0)
      throw usage(`--from must be TASK:OUTPUT:TARGET such as bafy…:result.csv:inputs/data.csv, not ${item}`);
    return { task, output, target };
  });
}

/** The flags as a task. Fields that no flag names are left to the daemon's defaults. */
export async function taskOfFlags(
  io: Io,
  command: readonly string[],
  options: RunOptions,
  files: InputFiles,
): Promise<TaskBody> {
  if (command.length === 0 && options.code === undefined && options.entrypoint === undefined)
    throw usage('give a command after --, or Python with --code FILE');
  const code =
    options.code === '-' ? await io.stdin() : options.code && (await readFile(options.code, 'utf8'));
  const task = {
    service_name: options.name ?? 'run',
    code: code || undefined,
    command: command.length > 0 ? [...command] : undefined,
    entrypoint: options.entrypoint === undefined ? undefined : [options.entrypoint],
    image: options.image,
    working_dir: options.workdir,
    cpu_cores: numberOf('--cpus', options.cpus),
    memory_mb: megabytesOf('--memory', options.memory),
    disk_mb: megabytesOf('--disk', options.disk),
    timeout_seconds: numberOf('--timeout', options.timeout),
    runtime: options.runtime,
    reuse: options.reuse,
    idempotent: options.idempotent,
    resumable: options.resumable,
    network: options.allowHost && { allow: [...options.allowHost] },
    gpus: options.gpus === undefined ? undefined : { count: numberOf('--gpus', options.gpus) },
    array: arrayOf(options),
    payment_amount: options.pay,
    max_total: options.maxTotal,
    verification: options.verify,
    retries: numberOf('--retries', options.retries),
    priority: numberOf('--priority', options.priority),
    env: options.env && pairsOf(io, '-e', options.env),
    labels: options.label && pairsOf(io, '--label', options.label),
    inputs: (options.volume || options.from) && [
      ...(await inputsOf(options.volume ?? [], files)),
      ...givenOf(options.from),
    ],
    after: options.after && [...options.after],
    avoid: options.avoid && [...options.avoid],
    require: options.require && [...options.require],
    arbiters: options.arbiter && [...options.arbiter],
  };
  return Object.fromEntries(Object.entries(task).filter(([, value]) => value !== undefined));
}

async function lastLine(io: Io, client: Client, result: TaskResultReply): Promise<string> {
  const { usage: used, payment, error } = result;
  const isUnpaid = payment === null || payment.amount === '0';
  const price = isUnpaid
    ? 'unpaid'
    : money(payment.amount, (await client.getNode({}, { signal: io.signal })).body);
  const how =
    error === null ? result.status : `${result.status} (${error.class}: ${plainLine(error.message)})`;
  const use = used === null ? 'time -' : usedLine(used);
  return `${how}  worker ${shortPeer(result.worker)}  ${use}  price ${price}  receipt: duxnode receipt ${result.task_id}`;
}

/** Cancels after Ctrl-C. Where the task has ended in the meantime, there is nothing to cancel. */
async function cancel(io: Io, client: Client, taskId: string): Promise<number> {
  try {
    await client.cancelTask({ params: { task_id: taskId } });
    await io.err(`cancelled ${taskId}\n`);
  } catch (error) {
    if (codeOf(error) !== 'TASK_OVER') throw error;
  }
  return EXIT.interrupted;
}

/** A broken log stream costs nothing but its being live. */
async function liveLogs(io: Io, client: Client, taskId: string): Promise<{ stdout: number; stderr: number }> {
  const written = { stdout: 0, stderr: 0 };
  try {
    await followLogs(io, client, taskId, { follow: true, signal: io.signal, written });
  } catch (error) {
    if (codeOf(error) !== 'STREAM_BROKEN') throw error;
  }
  return written;
}

async function follow(io: Io, client: Client, taskId: string, options: RunOptions): Promise<number> {
  const { signal } = io;
  const logs = () => liveLogs(io, client, taskId);
  const written = await (options.quiet ? logs() : withProgress({ io, client, taskId }, pullingLines(), logs));
  const result = await waitForResult(client, taskId, { signal });
  if (result === undefined) return EXIT.failed;
  // Live logs are a help, the result is the truth: what they missed comes now.
  await io.out(stdoutOf(result).subarray(written.stdout));
  await io.err(stderrOf(result).subarray(written.stderr));
  if (options.out !== undefined) {
    const saved = await saveOutputs(client, result, options.out, signal);
    for (const file of saved) await io.err(`saved ${plainLine(file)}\n`);
  }
  const good = result.status === 'completed' || result.status === 'paying';
  if (!options.quiet)
    await io.err(
      `${colour(io, good ? 'green' : 'red', await lastLine(io, client, result), io.errIsTerminal)}\n`,
    );
  return result.exit_code ?? exitCodeOfTask(result);
}

/** An array's output comes when all of it is there, in the order of its elements. */
async function followArray(io: Io, client: Client, taskId: string, options: RunOptions): Promise<number> {
  const { signal } = io;
  const wait = () => waitForResult(client, taskId, { signal });
  const result = await (options.quiet ? wait() : withProgress({ io, client, taskId }, arrayLines(), wait));
  if (result === undefined) return EXIT.failed;
  await printElements(io, client, taskId, options.out);
  const good = result.status === 'completed' || result.status === 'paying';
  if (!options.quiet) {
    const { array, error } = result;
    const paid = money(array?.paid ?? '0', (await client.getNode({}, { signal })).body);
    const how = error === null ? result.status : `${result.status}: ${plainLine(error.message)}`;
    const line = `${how}  ${array ? progressOf(array) : ''}  paid ${paid}`;
    await io.err(`${colour(io, good ? 'green' : 'red', line, io.errIsTerminal)}\n`);
  }
  return good ? EXIT.done : exitCodeOfTask(result);
}

/** Like docker run, on the network: live output, Ctrl-C cancels, the task's own exit code. */
export async function run(io: Io, command: readonly string[], options: RunOptions): Promise<number> {
  const files = new InputFiles(() => clientOf(io, options), io.signal);
  const body = await taskOfFlags(io, command, options, files);
  const client = await clientOf(io, options);
  const submitted = await client.submitTask({ body }, { signal: io.signal });
  const { task_id: taskId } = submitted.body;
  if (!options.quiet) await io.err(`${colour(io, 'dim', `task ${taskId}`, io.errIsTerminal)}\n`);
  try {
    return await (submitted.body.array ? followArray : follow)(io, client, taskId, options);
  } catch (error) {
    if (!io.signal.aborted) throw error;
    return cancel(io, client, taskId);
  }
}
