/** Bytes of tmpfs for which one inode is allowed; a full set of empty files costs the kernel about 1 KiB each. */
const BYTES_PER_INODE = 16 * 1024;
const MIN_INODES = 4096;

/** How a tmpfs of a sandbox is mounted: of one user alone, bounded in bytes and inodes. */
export function tmpfsOptions({
  exec,
  bytes,
  uid,
  mode = '0700',
}: {
  readonly exec: 'exec' | 'noexec';
  readonly bytes: number;
  readonly uid: number;
  readonly mode?: string;
}): string {
  const inodes = Math.max(MIN_INODES, Math.floor(bytes / BYTES_PER_INODE));
  return `rw,${exec},nosuid,nodev,size=${bytes},nr_inodes=${inodes},uid=${uid},gid=${uid},mode=${mode}`;
}
