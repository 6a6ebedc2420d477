import { allowedSyscalls } from './syscalls.ts';

/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. The engine's own default lets AF_VSOCK through, which reaches the hypervisor. */
const SOCKET_FAMILIES = [1, 2, 10, 16];
/** CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}: a clone with any of them makes a namespace. */
const CLONE_NAMESPACES = 0x7e020000;
/** PER_LINUX, and the value that only asks for the present one. */
const PERSONALITIES = [0, 0xffffffff];
const EPERM = 1;
const ENOSYS = 38;

const allow = (names: readonly string[], ...args: object[]) => ({
  names,
  action: 'SCMP_ACT_ALLOW',
  ...(args.length > 0 ? { args } : {}),
});
const equals = (index: number, value: number) => ({ index, value, op: 'SCMP_CMP_EQ' });

/**
 * The seccomp profile of every container, as the text that goes inline into `SecurityOpt`. Default: EPERM.
 * `clone3` answers ENOSYS, because its flags are in memory where a filter cannot look; C libraries then use `clone`.
 * Format: https://docs.docker.com/engine/security/seccomp/
 */
export const seccompProfile: string = JSON.stringify({
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: EPERM,
  archMap: [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: [] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: [] },
  ],
  syscalls: [
    allow(allowedSyscalls),
    ...SOCKET_FAMILIES.map(family => allow(['socket'], equals(0, family))),
    ...PERSONALITIES.map(persona => allow(['personality'], equals(0, persona))),
    allow(['clone'], { index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }),
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
  ],
});
