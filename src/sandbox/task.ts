import { posix } from 'node:path';
import { isCleanPath, type Runtime } from '../wire/index.ts';
import { refused } from './errors.ts';
import type { FileInput, SandboxInput, SandboxLimits, SandboxTask } from './interface.ts';

/** What one machine can enforce; a task that asks for more is refused. */
export interface TaskBounds {
  readonly milliCpus: number;
  readonly memoryBytes: number;
  readonly minMemoryBytes: number;
  readonly maxDiskBytes: number;
  readonly maxInputFiles: number;
  readonly runtimes: readonly Runtime[];
  /** Input files up to this size are copied into the sandbox, larger ones are mounted. */
  readonly copiedInputBytes: number;
}

/** A task with its defaults filled in and every claim checked; `inputs` are those to be copied. */
export interface CheckedTask extends SandboxTask {
  /** Absolute. */
  readonly cwd: string;
  /** Empty for a task of Python source. */
  readonly argv: readonly string[];
  /** Of its inputs, those that its box is to mount. */
  readonly bound: readonly FileInput[];
}

/** The kernel takes no single argument or variable longer than 128 KiB, and 2 MiB of them in all. */
const MAX_ARGUMENT_BYTES = 128 * 1024 - 1;
const MAX_ARGUMENTS_BYTES = 1024 * 1024;
/** Source goes in the launcher's header, which is held in memory on both sides. */
const MAX_CODE_BYTES = 8 * 1024 * 1024;
/** Ten milliseconds of CPU a second, the least that the kernel's quota can express. */
const MIN_MILLI_CPUS = 10;

/** @throws CodedError `SANDBOX_REFUSED` with the first reason found. */
export function checkTask(task: SandboxTask, bounds: TaskBounds): CheckedTask {
  checkLimits(task.limits, bounds);
  if (task.runtime && !bounds.runtimes.includes(task.runtime))
    throw refused(`there is no ${task.runtime} here, only ${bounds.runtimes.join(' and ')}`);
  checkInputs(task, bounds);
  checkEnv(task.env);
  const cwd = posix.resolve('/task', task.workingDir ?? '.');
  if (cwd.includes('\0') || Buffer.byteLength(cwd) > 4095)
    throw refused('the working directory is not a path');
  const argv = 'argv' in task.program ? task.program.argv : [];
  if ('argv' in task.program) checkArguments(argv);
  else if (Buffer.byteLength(task.program.code) > MAX_CODE_BYTES)
    throw refused(`the source is longer than ${MAX_CODE_BYTES} bytes: send it as an input file`);
  return { ...task, ...dividedInputs(task, bounds), cwd, argv };
}

function dividedInputs(
  { inputs }: SandboxTask,
  { copiedInputBytes }: TaskBounds,
): Pick<CheckedTask, 'inputs' | 'bound'> {
  const isBound = (input: SandboxInput): input is FileInput =>
    'file' in input && input.size > copiedInputBytes;
  return { inputs: inputs.filter(input => !isBound(input)), bound: inputs.filter(isBound) };
}

function checkLimits(limits: SandboxLimits, bounds: TaskBounds): void {
  for (const [name, value] of Object.entries(limits))
    if (!Number.isSafeInteger(value) || value < 0) throw refused(`${name} is not a whole number from 0 up`);
  const { milliCpus, memoryBytes, diskBytes } = limits;
  if (milliCpus < MIN_MILLI_CPUS || milliCpus > bounds.milliCpus)
    throw refused(`milliCpus must be from ${MIN_MILLI_CPUS} to ${bounds.milliCpus} here`);
  if (memoryBytes < bounds.minMemoryBytes || memoryBytes > bounds.memoryBytes)
    throw refused(`memoryBytes must be from ${bounds.minMemoryBytes} to ${bounds.memoryBytes} here`);
  if (diskBytes < 1 || diskBytes > bounds.maxDiskBytes)
    throw refused(`diskBytes must be from 1 to ${bounds.maxDiskBytes} here`);
  if (limits.timeoutMs < 1) throw refused('timeoutMs must be at least 1');
}

function checkInputs(task: SandboxTask, bounds: TaskBounds): void {
  if (task.inputs.length > bounds.maxInputFiles)
    throw refused(`there are more than ${bounds.maxInputFiles} inputs`);
  const bad = task.inputs.find(file => !isCleanPath(file.path));
  if (bad)
    throw refused(`the input path ${JSON.stringify(bad.path.slice(0, 100))} is not clean and relative`);
  if (new Set(task.inputs.map(file => file.path)).size < task.inputs.length)
    throw refused('two inputs have the same path');
  const { inputs } = dividedInputs(task, bounds);
  if (inputs.reduce((sum, input) => sum + sizeOfInput(input), 0) > task.limits.diskBytes)
    throw refused('the inputs are larger than diskBytes');
}

export function sizeOfInput(input: SandboxInput): number {
  return 'bytes' in input ? input.bytes.length : input.size;
}

function checkEnv(env: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(env)) {
    if (!/^[^=\0]+$/.test(name) || value.includes('\0'))
      throw refused(`the variable ${JSON.stringify(name.slice(0, 100))} is not one`);
    if (Buffer.byteLength(name) + Buffer.byteLength(value) > MAX_ARGUMENT_BYTES)
      throw refused(`the variable ${JSON.stringify(name.slice(0, 100))} is longer than the kernel takes`);
  }
  checkTotal(Object.entries(env).flat(), 'the environment is');
}

function checkArguments(argv: readonly string[]): void {
  if (argv.length === 0 || argv[0] === '') throw refused('the command line is empty');
  for (const argument of argv) {
    if (argument.includes('\0')) throw refused('an argument has a NUL in it');
    if (Buffer.byteLength(argument) > MAX_ARGUMENT_BYTES)
      throw refused(`an argument is longer than ${MAX_ARGUMENT_BYTES} bytes: send it as an input file`);
  }
  checkTotal(argv, 'the arguments are');
}

function checkTotal(texts: readonly string[], what: string): void {
  if (texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) > MAX_ARGUMENTS_BYTES)
    throw refused(`${what} longer than ${MAX_ARGUMENTS_BYTES} bytes in all`);
}
