import { join } from 'node:path';
import { refused } from '../errors.ts';
import { NATIVE_SOCKET_FOLDER } from '../launcher/relay.ts';
import { launcherSource } from '../launcher/source.ts';
import type { BoxLimits } from '../opener.ts';
import type { NativeOptions } from '../options.ts';
import type { CheckedTask } from '../task.ts';
import { tmpfsOptions } from '../tmpfs.ts';
import type { Group } from './cgroups.ts';
import type { Host } from './host.ts';
import type { Unpacked } from './images.ts';

/** What of a sandbox its task does not decide: it can be made before there is one. */
export interface NativePlan {
  readonly name: string;
  readonly image: Unpacked;
  readonly limits: BoxLimits;
  readonly uid: number;
  /** As in Extras. */
  readonly socketFolder?: string | undefined;
  readonly diskPath?: string | undefined;
}

/** What is started in it: our launcher in the image's Python, or a command as the first process. */
export type BoxProgram = 'launcher' | Pick<CheckedTask, 'argv' | 'cwd' | 'env'>;

/** What a sandbox is made by: a command, `bwrap`'s own arguments (each ended by a NUL), and the mounts below the stage. */
export interface Making {
  readonly command: readonly string[];
  readonly bwrap: string;
  readonly fstab: string;
}

/** A making with some protection taken out of it. */
export type NativeWeakening = (making: Making) => Making;

/** Descriptors that the child finds beside its stdin, stdout and stderr. */
export const STATUS_FD = 3;
export const ARGS_FD = 4;
const SECCOMP_FD = 9;
/** Folders that may be below the stage, where nobody sees them by name any more once it is mounted. */
const DISK_FD = 7;
const SOCKET_FD = 8;

/** What images that say none get; as Docker does. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** In the mount namespace of one sandbox alone, its root is put together here: a folder that every machine has. */
const STAGE = '/tmp';
/** It is shown where /dev/shm is, which is the stage's /dev. */
const SOCKET_STAGE = join(STAGE, NATIVE_SOCKET_FOLDER.replace('/dev/shm', '/dev'));
/** Where the whole machine runs out of memory, tasks go before the daemon. */
const OOM_SCORE = 500;
/** bwrap takes 9000 at most, three of them for each variable; some are the launcher's. */
const MAX_WORDS = 8900;
/** The shell's unit of the largest file. */
const FSIZE_UNIT = 512;

/**
 * Run as the first of the child's programs, in a mount namespace of its own: joins the control group, mounts what the
 * sandbox is made of, sets limits, and becomes `bwrap`. All but the last word is ours, none of it the task's.
 */
const SCRIPT = `
set -e
fstab=$1 seccomp=$2 files=$3 blocks=$4 disk=$5 socket=$6
shift 6
while [ "$1" != -- ]; do echo $$ >"$1"; shift; done
shift
echo ${OOM_SCORE} >/proc/self/oom_score_adj
exec ${SECCOMP_FD}<"$seccomp"
[ -z "$disk" ] || exec ${DISK_FD}<"$disk"
[ -z "$socket" ] || exec ${SOCKET_FD}<"$socket"
mount -caT "$fstab"
exec ${DISK_FD}<&- ${SOCKET_FD}<&-
ulimit -c 0
ulimit -n "$files"
ulimit -f "$blocks"
exec "$@"
`;

/** The program and arguments that make a sandbox, to be started by the daemon itself: it dies with its parent. */
export function boxCommand(
  host: Host,
  plan: NativePlan,
  group: Group,
  fstab: string,
  program: BoxProgram,
  options: NativeOptions,
): string[] {
  const id = String(plan.uid);
  // As root each sandbox has a user of its own on the host too; else only inside, where it is mapped to the daemon's.
  const become = host.isRoot
    ? ['setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups', '--no-new-privs']
    : [];
  return [
    ...withoutLeaked(host),
    'unshare',
    ...(host.isRoot ? [] : ['--user', '--map-root-user']),
    '--mount',
    ...['sh', '-c', SCRIPT, 'sh'],
    ...[fstab, host.seccompFile, String(options.maxOpenFiles)],
    String(Math.ceil(plan.limits.diskBytes / FSIZE_UNIT)),
    ...[plan.diskPath ?? '', plan.socketFolder ?? ''],
    ...group.joinFiles,
    '--',
    ...become,
    ...['bwrap', '--args', String(ARGS_FD), '--'],
    // -I: neither the environment nor the working folder changes what the launcher imports.
    ...(program === 'launcher' ? ['python3', '-I', '-B', '-X', 'utf8', '-c', launcherSource] : program.argv),
  ];
}

/** What closes them before anything else: bash, as the usual sh knows no number above 9. */
function withoutLeaked({ leaked }: Host): string[] {
  const closed = leaked.filter(fd => fd !== STATUS_FD && fd !== ARGS_FD);
  if (closed.length === 0) return [];
  // A bash whose stdin is a socket takes itself for a remote login, and would run the user's own start-up file.
  return [
    'bash',
    '--norc',
    '--noprofile',
    '-c',
    `exec ${closed.map(fd => `${fd}>&-`).join(' ')}; exec "$@"`,
    'bash',
  ];
}

/** The mounts below the stage, in order. */
export function fstabOf(
  host: Host,
  { image, limits, uid, socketFolder, diskPath }: NativePlan,
  options: NativeOptions,
): string {
  const owner = host.isRoot ? uid : 0;
  const tmpfs = (at: string, exec: 'exec' | 'noexec', bytes: number, mode?: string) =>
    `tmpfs ${escaped(join(STAGE, at))} tmpfs ${tmpfsOptions({ exec, bytes, uid: owner, ...(mode ? { mode } : {}) })}`;
  return [
    `${escaped(image.root)} ${STAGE} none bind,ro,nosuid,nodev`,
    ...image.volumes.map(path => tmpfs(path, 'noexec', options.tmpBytes)),
    tmpfs('/tmp', 'noexec', options.tmpBytes),
    diskPath === undefined
      ? tmpfs('/task', 'exec', limits.diskBytes)
      : `/proc/self/fd/${DISK_FD} ${join(STAGE, 'task')} none bind,nosuid,nodev`,
    // bwrap's own /dev comes over it; it is shown again as /dev/shm.
    tmpfs('/dev', 'noexec', options.shmBytes, '1777'),
    ...(socketFolder === undefined
      ? []
      : [`/proc/self/fd/${SOCKET_FD} ${SOCKET_STAGE} none bind,ro,nosuid,nodev,X-mount.mkdir`]),
    '',
  ].join('\n');
}

/** Octal for what separates or comments in fstab(5). */
function escaped(path: string): string {
  return path.replace(/[\s\\#]/g, char => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/**
 * The whole hardened configuration, for `bwrap --args`; each line is proved by an attack in test/native.
 * @throws CodedError `SANDBOX_REFUSED` when there are more words than it takes.
 */
export function bwrapArgs(host: Host, plan: NativePlan, group: Group, program: BoxProgram): string {
  const { at, folder } = group.shown;
  const words = [
    ...['--unshare-user', '--unshare-ipc', '--unshare-pid', '--unshare-net', '--unshare-uts'],
    ...['--unshare-cgroup', '--as-pid-1', '--die-with-parent', '--new-session', '--cap-drop', 'ALL'],
    ...['--uid', String(plan.uid), '--gid', String(plan.uid), '--hostname', 'sandbox'],
    ...['--seccomp', String(SECCOMP_FD), '--json-status-fd', String(STATUS_FD)],
    ...['--bind', STAGE, '/', '--proc', '/proc', ...host.masks, '--dev', '/dev'],
    ...['--bind', join(STAGE, 'dev'), '/dev/shm', '--remount-ro', '/dev'],
    ...['--tmpfs', '/sys', '--ro-bind', folder, at, '--remount-ro', '/sys', '--clearenv'],
    ...environment(plan.image, program === 'launcher' ? {} : program.env),
    ...(program === 'launcher' ? ['--chdir', '/'] : folderOf(program.cwd)),
  ];
  const argv = program === 'launcher' ? [] : program.argv;
  if (words.length + argv.length > MAX_WORDS)
    throw refused(`there are more than ${MAX_WORDS} arguments and variables together`);
  return `${words.join('\0')}\0`;
}

/** The image's variables, and over them the task's; never those of the daemon. */
function environment(image: Unpacked, own: Readonly<Record<string, string>>): string[] {
  const said = image.env.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
  const all: Record<string, string> = {
    PATH: DEFAULT_PATH,
    HOME: '/tmp',
    ...Object.fromEntries(said),
    ...own,
  };
  return Object.entries(all).flatMap(([name, value]) => ['--setenv', name, value]);
}

/** Below /task it is made where it is missing, as Docker does. */
function folderOf(cwd: string): string[] {
  return [...(cwd.startsWith('/task/') ? ['--dir', cwd] : []), '--chdir', cwd];
}
