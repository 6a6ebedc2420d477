import * as z from 'zod';

/** How each attempt ended: `done`, or the name of the error that stopped it (`EPERM`). */
export type Attempted = Readonly<Record<string, string>>;

/** By x86_64 and aarch64: the system calls that no C library offers by name, or not with these arguments. */
const NUMBERS = {
  bpf: [321, 280],
  clone: [56, 220],
  clone3: [435, 435],
  io_uring_setup: [425, 425],
  keyctl: [250, 219],
  mount: [165, 40],
  perf_event_open: [298, 241],
  process_vm_readv: [310, 270],
  prlimit64: [302, 261],
  ptrace: [101, 117],
  shmget: [29, 194],
  syslog: [103, 116],
  unshare: [272, 97],
  userfaultfd: [323, 282],
};

/**
 * A Python program that tries each of `attempts` (statements by name), in order, and prints how each ended. They share
 * the modules imported here, `call(name, ...)` for a bare system call, and what `prelude` defines.
 */
export function attemptsSource(attempts: Readonly<Record<string, string>>, prelude = ''): string {
  return `
import ctypes, errno, json, os, resource, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = ${JSON.stringify(NUMBERS)}
def call(name, *args):
    words = [ctypes.c_void_p(a) if isinstance(a, int) else a for a in args]
    got = libc.syscall(ctypes.c_long(NUMBERS[name][os.uname().machine == 'aarch64']), *words)
    if got < 0: raise OSError(ctypes.get_errno(), name)
    return got
${prelude}
found = {}
for name, source in json.loads(${JSON.stringify(JSON.stringify(attempts))}).items():
    try:
        exec(source)
        found[name] = 'done'
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, type(error).__name__)
print(json.dumps(found))
`;
}

const found = z.record(z.string(), z.string());

/** Reads what such a program printed; undefined for anything else. */
export function attemptsFound(stdout: Uint8Array): Attempted | undefined {
  try {
    return found.parse(JSON.parse(Buffer.from(stdout).toString()));
  } catch {
    return undefined;
  }
}
