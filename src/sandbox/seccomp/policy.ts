import { syscalls } from './syscalls.ts';

/** A system call that is allowed for some values of one argument. */
export type Condition = {
  readonly name: string;
  /** Of the argument, from 0. */
  readonly index: number;
} & (
  | { readonly oneOf: readonly number[] }
  /** Allowed only while none of these bits is set. */
  | { readonly withoutBits: number }
);

/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Docker's own default lets AF_VSOCK through, which reaches the hypervisor. */
const SOCKET_FAMILIES = [1, 2, 10, 16];
/** CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}: a clone with any of them makes a namespace. */
const CLONE_NAMESPACES = 0x7e020000;
/** PER_LINUX, and the value that only asks for the present one. */
const PERSONALITIES = [0, 0xffffffff];

const conditions: readonly Condition[] = [
  { name: 'socket', index: 0, oneOf: SOCKET_FAMILIES },
  { name: 'personality', index: 0, oneOf: PERSONALITIES },
  // Only its own: the launcher, which has the same user, must keep its limits.
  { name: 'prlimit64', index: 0, oneOf: [0] },
  { name: 'clone', index: 0, withoutBits: CLONE_NAMESPACES },
];

/** Its flags are in memory, where a filter cannot look; told that there is none, C libraries use `clone`. */
const missing: readonly string[] = ['clone3'];

const special = new Set([...conditions.map(({ name }) => name), ...missing]);

/** What a task may ask of the kernel, in every runtime. Anything else is refused with EPERM. */
export const policy = {
  allowed: [...syscalls.keys()].filter(name => !special.has(name)),
  conditions,
  /** Answered with ENOSYS. */
  missing,
};

export const EPERM = 1;
export const ENOSYS = 38;
