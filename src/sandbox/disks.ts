import { execFile } from 'node:child_process';
import { access, chmod, mkdir, open, readFile, rm, rmdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Logger, messageOf } from '../util/index.ts';
import { asSandboxError, failed } from './errors.ts';

/** Disks of their own for tasks that ask for more than memory should hold: sparse ext4 images, mounted by loop devices. */
export interface Disks {
  /** Why there are none; null: there are. */
  readonly reason: string | null;
  /** Unmounts and removes what an earlier run left, and tries whether this machine can do it. Never rejects for want of it. */
  start(): Promise<void>;
  /** Unmounts and removes all. */
  stop(): Promise<void>;
  /** @throws CodedError `SANDBOX_FAILED` when there is no room, no loop device left, or a tool fails. */
  open(uid: number, bytes: number): Promise<Disk>;
}

export interface Disk {
  /** Of the mounted, empty file system, which belongs to the task's user. */
  readonly path: string;
  /** Unmounts and removes it. Never rejects: what cannot be removed now is left for the next start, and logged. */
  close(): Promise<void>;
}

export interface DisksInit {
  /** Of this node alone. */
  readonly dir: string;
  /** Loop devices are shared by the whole machine: the kernel makes more when asked, but snapshots and other daemons want some as well. */
  readonly maxDisks?: number;
  /** What stays free on the file system that the images are on: the node's own database must be able to write. */
  readonly reserveBytes?: number;
}

const MAX_DISKS = 16;
const RESERVE_BYTES = 2 ** 30;
/** Enough for ext4 to be made and mounted. */
const TRIAL_BYTES = 8 * 2 ** 20;
/** Each takes a few milliseconds; a machine that needs longer has a disk that hangs. */
const TOOL_MS = 30_000;

const run = promisify(execFile);
const tool = (name: string, args: readonly string[]) =>
  run(name, args, { timeout: TOOL_MS, env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C' } });

export function createDisks({ logger }: { readonly logger: Logger }, init: DisksInit): Disks {
  const { dir, maxDisks = MAX_DISKS, reserveBytes = RESERVE_BYTES } = init;
  let reason: string | null = 'it was not started yet';
  /** Bytes promised to each open disk, by its image. */
  const promised = new Map<string, number>();
  const disks = new Set<Disk>();
  let count = 0;

  async function remove(image: string, path: string): Promise<void> {
    try {
      for (const mounted of await mountsBelow(path)) await tool('umount', [mounted]);
      await rm(path, { recursive: true, force: true });
      await rm(image, { force: true });
    } catch (error) {
      logger.warn({ image, error: messageOf(error) }, 'a task’s disk is left for the next start');
    } finally {
      promised.delete(image);
    }
  }

  async function removeAll(): Promise<void> {
    // the latest first: a mount in a mount goes before what it is in
    for (const mounted of (await mountsBelow(dir)).reverse()) await tool('umount', [mounted]);
    await rm(dir, { recursive: true, force: true });
  }

  /** Sparse images take their room later: what was promised and is not taken yet is spoken for. */
  async function checkRoom(): Promise<void> {
    if (promised.size > maxDisks) throw failed(`${maxDisks} tasks have disks of their own already`);
    const { bavail, bsize } = await statfs(dir);
    let free = bavail * bsize - reserveBytes;
    for (const [image, size] of promised) {
      const { blocks } = await stat(image).catch(() => ({ blocks: 0 }));
      free -= Math.max(0, size - blocks * 512);
    }
    if (free < 0) throw failed(`there is no room for another disk: ${-free} bytes are missing`);
  }

  async function openDisk(uid: number, bytes: number): Promise<Disk> {
    const size = imageBytes(bytes);
    const path = join(dir, String(++count));
    const image = `${path}.img`;
    // promised before it is looked for, so that two at once do not take the same room
    promised.set(image, size);
    try {
      await checkRoom();
      await makeImage(image, uid, size);
      // an engine that does not see the mount finds a folder that the task may not use
      await mkdir(path, { mode: 0o700 });
      await tool('mount', ['-t', 'ext4', '-o', MOUNT_OPTIONS, image, path]);
      await rmdir(join(path, 'lost+found'));
      await chmod(path, 0o700);
    } catch (error) {
      await remove(image, path);
      throw asSandboxError(error, 'no disk could be made');
    }
    let closed: Promise<void> | undefined;
    const disk: Disk = {
      path,
      close() {
        closed ??= remove(image, path).finally(() => disks.delete(disk));
        return closed;
      },
    };
    disks.add(disk);
    return disk;
  }

  return {
    get reason() {
      return reason;
    },
    async start() {
      try {
        await removeAll();
        await mkdir(dir, { recursive: true, mode: 0o700 });
        if (process.getuid?.() !== 0) throw new Error('only root may mount');
        await access('/dev/loop-control');
        await (await openDisk(0, TRIAL_BYTES)).close();
        reason = null;
      } catch (error) {
        reason = messageOf(error);
      }
    },
    async stop() {
      reason = 'it was stopped';
      await Promise.all([...disks].map(disk => disk.close()));
      await removeAll().catch(error =>
        logger.warn({ error: messageOf(error) }, 'disks of tasks are left for the next start'),
      );
    },
    open: openDisk,
  };
}

/** The device goes with the mount (autoclear). `noinit_itable`: a sparse file reads as zeros, no thread needs to write them. */
const MOUNT_OPTIONS = 'loop,nosuid,nodev,noatime,noinit_itable';

/** So that files of `bytes` fit: ext4 takes a 64th for its inodes, and keeps a 50th, 16 MiB at most, for its own growth. */
function imageBytes(bytes: number): number {
  const room = bytes + Math.min(bytes / 50, 16 * 2 ** 20) + 2 ** 20;
  return Math.ceil((room * 65) / 64 / 4096) * 4096;
}

/**
 * No journal: nobody reads it after a crash. One inode for 16 KiB, as on tmpfs. Nothing reserved for root. What is not written at
 * once is never written, so that a large disk costs no more to make than a small one.
 */
async function makeImage(image: string, uid: number, bytes: number): Promise<void> {
  const file = await open(image, 'wx', 0o600);
  try {
    await file.truncate(bytes);
  } finally {
    await file.close();
  }
  const extended = `lazy_itable_init=1,nodiscard,root_owner=${uid}:${uid}`;
  await tool('mkfs.ext4', [
    ...['-q', '-F', '-m', '0', '-i', '16384', '-b', '4096'],
    ...['-O', '^has_journal,^resize_inode', '-E', extended, image],
  ]);
}

/** Where something is mounted at or below `path`, in the order of mounting. Format: proc(5), mountinfo. */
async function mountsBelow(path: string): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  const points = text.split('\n').map(line => unescaped(line.split(' ')[4] ?? ''));
  return points.filter(point => point === path || point.startsWith(`${path}/`));
}

/** Spaces and the like are octal there. */
function unescaped(point: string): string {
  return point.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
}
