import { posix } from 'node:path';
import { type Gpus, isCleanPath, MAX_RESUMABLE_OUTPUT_BYTES, type Runtime } from '../wire/index.ts';
import { hostNotLent } from './egress/rules.ts';
import { refused } from './errors.ts';
import { gpusLacking } from './gpus.ts';
import type { FileInput, SandboxInput, SandboxLimits, SandboxTask } from './interface.ts';

/** What one machine can enforce; a task that asks for more is refused. */
export interface TaskBounds {
  readonly milliCpus: number;
  readonly memoryBytes: number;
  readonly minMemoryBytes: number;
  readonly maxTmpfsBytes: number;
  readonly maxDiskBytes: number;
  /** Why no task has a disk of its own here; null: some have. */
  readonly noDisks: string | null;
  readonly maxInputFiles: number;
  readonly runtimes: readonly Runtime[];
  /** What tasks may be let to at all. */
  readonly allowedHosts: readonly string[];
  readonly gpus: Gpus | null;
  /** Input files up to this size are copied into the sandbox, larger ones are mounted. */
  readonly copiedInputBytes: number;
}

/** A task with its defaults filled in and every claim checked; `inputs` are those to be copied. */
export interface CheckedTask extends SandboxTask {
  /** Absolute. */
  readonly cwd: string;
  /** Its /task is a disk of its own, not memory. */
  readonly ownDisk: boolean;
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
  if (task.resumable && task.limits.outputBytes > MAX_RESUMABLE_OUTPUT_BYTES)
    throw refused(`a resumable task hands over at most ${MAX_RESUMABLE_OUTPUT_BYTES} bytes of files`);
  checkHosts(task, bounds);
  checkGpus(task, bounds);
  checkInputs(task, bounds);
  checkEnv(task.env);
  const cwd = posix.resolve('/task', task.workingDir ?? '.');
  if (cwd.includes('\0') || Buffer.byteLength(cwd) > 4095)
    throw refused('the working directory is not a path');
  const argv = 'argv' in task.program ? task.program.argv : [];
  if ('argv' in task.program) checkArguments(argv);
  else if (Buffer.byteLength(task.program.code) > MAX_CODE_BYTES)
    throw refused(`the source is longer than ${MAX_CODE_BYTES} bytes: send it as an input file`);
  const ownDisk = bounds.noDisks === null && wantsDisk(task.limits, bounds);
  const checked = { ...task, ...dividedInputs(task, bounds), cwd, argv, ownDisk };
  // a box with extras is one task's alone, as is one whose output is kept
  return { ...checked, reuseBy: extrasOf(checked) || task.resumable ? undefined : task.reuseBy };
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
  const maxDiskBytes = largestDisk(bounds);
  const why = bounds.noDisks === null ? '' : `, as no task has a disk of its own (${bounds.noDisks})`;
  if (diskBytes < 1 || diskBytes > maxDiskBytes)
    throw refused(`diskBytes must be from 1 to ${maxDiskBytes} here${why}`);
  if (limits.timeoutMs < 1) throw refused('timeoutMs must be at least 1');
}

/** The largest disk that a task may ask for. */
export function largestDisk(bounds: Pick<TaskBounds, 'maxTmpfsBytes' | 'maxDiskBytes' | 'noDisks'>): number {
  return bounds.noDisks === null ? bounds.maxDiskBytes : bounds.maxTmpfsBytes;
}

/** A small /task is memory of the task's own, whatever that is: 5 ms faster, and it may wait for its task in the pool. */
const ALWAYS_TMPFS_BYTES = 64 * 2 ** 20;
/** Files on tmpfs count as the task's memory: with more than half of it, filling the disk would kill the task. */
const TMPFS_SHARE = 0.5;

function wantsDisk({ diskBytes, memoryBytes }: SandboxLimits, { maxTmpfsBytes }: TaskBounds): boolean {
  return diskBytes > Math.max(ALWAYS_TMPFS_BYTES, Math.min(maxTmpfsBytes, memoryBytes * TMPFS_SHARE));
}

function checkHosts({ allowHosts = [], runtime }: SandboxTask, bounds: TaskBounds): void {
  const host = hostNotLent(allowHosts, bounds.allowedHosts);
  if (host) throw refused(`no task may reach ${host} from here`);
  if (allowHosts.length > 0 && runtime === 'runsc')
    throw refused('gVisor lets no task reach its proxy: leave out the network, or runtime: runsc');
}

function checkGpus({ gpus, runtime }: SandboxTask, bounds: TaskBounds): void {
  const reason = gpus && gpusLacking(gpus, bounds.gpus);
  if (reason) throw refused(`this machine: ${reason}`);
  if (gpus && runtime === 'runsc') throw refused('gVisor gives no GPU: leave out gpus, or runtime: runsc');
}

/** What of a task makes its box one that no other task could have. */
export type ExtraNeeds = Pick<CheckedTask, 'allowHosts' | 'gpus'> & {
  /** Size of a disk of its own. */
  readonly diskBytes: number | undefined;
};

/** Undefined: each box of the right class will do. */
export function extrasOf(task: CheckedTask): ExtraNeeds | undefined {
  const { allowHosts, gpus, ownDisk, limits } = task;
  const diskBytes = ownDisk ? limits.diskBytes : undefined;
  return hasNetwork(task) || gpus || ownDisk ? { allowHosts, gpus, diskBytes } : undefined;
}

/** Whether the task gets a way to any host. */
export function hasNetwork({ allowHosts = [] }: Pick<SandboxTask, 'allowHosts'>): boolean {
  return allowHosts.length > 0;
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
