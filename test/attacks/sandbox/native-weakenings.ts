import type { NativeWeakening } from '../../../src/sandbox/native/command.ts';
import { replaced } from './replaced.ts';

/** Each of these takes one protection out of what a native sandbox is made by, and no other. */

export const natively =
  (...weakenings: readonly NativeWeakening[]): NativeWeakening =>
  making =>
    weakenings.reduce((weaker, weaken) => weaken(weaker), making);

/** Words of `bwrap`'s own arguments: each ends with a NUL. */
const bwrap =
  (from: string | RegExp, to: string): NativeWeakening =>
  making => ({ ...making, bwrap: replaced(making.bwrap, from, to) });

export const hostNetwork = bwrap('--unshare-net\0', '');
export const unfiltered = bwrap(/--seccomp\0\d+\0/, '');
export const notFirst = bwrap('--as-pid-1\0', '');
/** Root in its own user namespace, with all that this gives there. */
export const nativeRoot = natively(
  bwrap('--cap-drop\0ALL\0', '--cap-add\0ALL\0'),
  bwrap(/--uid\0\d+\0--gid\0\d+\0/, ['--uid', '0', '--gid', '0', ''].join('\0')),
);

/** Replaces text in the options of the tmpfs that a sandbox has at `path`. */
export const nativeTmpfs =
  (path: string, from: string | RegExp, to: string): NativeWeakening =>
  making => {
    const lines = making.fstab.split('\n');
    const fstab = lines
      .map(line => (line.includes(`${path} tmpfs `) ? replaced(line, from, to) : line))
      .join('\n');
    return { ...making, fstab: replaced(making.fstab, making.fstab, fstab) };
  };

/** Replaces text in the one word of the command that has it: the script, or the launcher. */
export const inCommand =
  (from: string, to: string): NativeWeakening =>
  making => {
    const at = making.command.findIndex(word => word.includes(from));
    return { ...making, command: making.command.with(at, replaced(making.command[at] ?? '', from, to)) };
  };
