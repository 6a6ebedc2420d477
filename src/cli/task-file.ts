import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isMap, isScalar, isSeq, type Node, parseAllDocuments } from 'yaml';
import { usage } from './exit.ts';
import type { InputFiles } from './inputs.ts';
import type { Io } from './io.ts';

/** A task as the daemon takes it; the daemon checks it. */
export type TaskBody = Record<string, unknown>;

/** Numbers that are amounts stay the text that was written. */
const AMOUNTS = ['payment_amount', 'max_total'];
/** Tasks in one file; more are more files. */
const MAX_TASKS = 10_000;

function taskOf(node: Node | null, where: string): TaskBody {
  if (!isMap(node)) throw usage(`${where}: a task must be a map of fields`);
  const task = node.toJSON() as TaskBody;
  for (const name of AMOUNTS) {
    const value = node.get(name, true);
    if (isScalar(value) && typeof value.value === 'number') task[name] = value.source ?? String(value.value);
  }
  return task;
}

/**
 * The tasks of a YAML or JSON text: one, a list, or several documents.
 * @throws CliError `USAGE` with file, line and column.
 */
function parseTasks(text: string, file: string): TaskBody[] {
  const documents = parseAllDocuments(text);
  const tasks = [...documents].flatMap(document => {
    const [error] = document.errors;
    const { line, col } = error?.linePos?.[0] ?? { line: 1, col: 1 };
    if (error) throw usage(`${file}:${line}:${col}: ${error.message.split('\n')[0]}`);
    const { contents } = document;
    if (isSeq(contents)) return contents.items.map(item => taskOf(item as Node, file));
    return [taskOf(contents as Node | null, file)];
  });
  if (tasks.length === 0) throw usage(`${file}: holds no task`);
  if (tasks.length > MAX_TASKS) throw usage(`${file}: holds more than ${MAX_TASKS} tasks`);
  return tasks;
}

/** The tasks of a file, or with `-` of stdin. */
export async function readTasks(io: Io, file: string): Promise<TaskBody[]> {
  return parseTasks(file === '-' ? await io.stdin() : await readFile(file, 'utf8'), file);
}

/** Inputs that name a `path` are read here, never by the daemon; relative ones are beside the file. */
export async function readInputs(task: TaskBody, file: string, files: InputFiles): Promise<TaskBody> {
  if (!Array.isArray(task.inputs)) return task;
  const folder = file === '-' ? '.' : dirname(file);
  const inputs: unknown[] = [];
  for (const input of task.inputs as unknown[]) {
    if (typeof input !== 'object' || input === null || !('path' in input)) inputs.push(input);
    else {
      const { path, target, ...rest } = input as { path: unknown; target?: unknown };
      if (typeof path !== 'string') throw usage(`${file}: inputs: path must be a text`);
      inputs.push({ ...rest, ...(await files.take({ file: resolve(folder, path), target })) });
    }
  }
  return { ...task, inputs };
}
