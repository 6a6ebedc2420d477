import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { codeOf, messageOf } from '../../util/index.ts';
import { unavailable } from '../errors.ts';
import type { NativeOptions } from '../options.ts';
import { compileSeccomp, encodeSeccomp, isSeccompArch } from '../seccomp/bpf.ts';
import { toolEnvironment } from './tools.ts';

/** What this machine has for native sandboxes. */
export interface Host {
  /** Of bubblewrap. */
  readonly version: string;
  readonly isRoot: boolean;
  readonly seccompFile: string;
  /** Arguments of bwrap that cover what /proc tells of the machine. */
  readonly masks: readonly string[];
  /** Descriptors that whoever started this process left open in it, and that a child would get. */
  readonly leaked: readonly number[];
}

/** What Docker covers as well: keys of other users, timers, memory, devices. */
const MASKED = ['keys', 'key-users', 'kcore', 'latency_stats', 'timer_list', 'timer_stats', 'sched_debug'];
const MASKED_FOLDERS = ['acpi', 'asound', 'scsi'];
const VERSION_WAIT_MS = 5_000;
/** O_CLOEXEC, as /proc shows it. */
const CLOSE_ON_EXEC = 0o2000000;

/** Of bubblewrap on this machine; undefined where it is not installed. */
export async function bwrapVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('bwrap', ['--version'], {
      timeout: VERSION_WAIT_MS,
      env: toolEnvironment(),
    });
    return stdout.trim().split(' ').at(-1) ?? '';
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw unavailable(`bwrap does not say its version: ${messageOf(error)}`, { cause: error });
  }
}

/** @throws CodedError `SANDBOX_UNAVAILABLE` with what is missing and how to mend it. */
export async function readHost({ stateDir }: NativeOptions): Promise<Host> {
  const { platform, arch } = process;
  if (platform !== 'linux' || !isSeccompArch(arch))
    throw unavailable(`native sandboxes need Linux on x86_64 or aarch64, this is ${platform} on ${arch}`);
  const version = await bwrapVersion();
  if (version === undefined)
    throw unavailable("bubblewrap is missing: install it ('apt-get install bubblewrap')");
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const seccompFile = join(stateDir, 'seccomp.bpf');
  await writeFile(seccompFile, encodeSeccomp(compileSeccomp(arch)), { mode: 0o600 });
  const masks = await Promise.all([
    ...MASKED.map(async name => ((await isIn(name)) ? ['--ro-bind', '/dev/null', `/proc/${name}`] : [])),
    ...MASKED_FOLDERS.map(async name =>
      (await isIn(name)) ? ['--tmpfs', `/proc/${name}`, '--remount-ro', `/proc/${name}`] : [],
    ),
  ]);
  const isRoot = process.getuid?.() === 0;
  return { version, isRoot, seccompFile, masks: masks.flat(), leaked: await leakedDescriptors() };
}

/** Node closes its own in a child, and of inherited ones the first few. */
async function leakedDescriptors(): Promise<number[]> {
  const numbers = (await readdir('/proc/self/fd')).map(Number).filter(fd => fd > 2);
  const open = await Promise.all(numbers.map(async fd => ((await isInherited(fd)) ? [fd] : [])));
  return open.flat();
}

async function isInherited(fd: number): Promise<boolean> {
  try {
    const [, flags = '0'] = /^flags:\s*(\d+)$/m.exec(await readFile(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? [];
    return (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false; // closed meanwhile
    throw error;
  }
}

async function isIn(name: string): Promise<boolean> {
  try {
    await stat(`/proc/${name}`);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
