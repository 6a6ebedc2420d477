import type { SandboxLimits, SandboxResult } from './interface.ts';

/** What a run showed: its result, or how the sandbox failed. */
export type Shown = SandboxResult | { readonly failed: string };

export interface SandboxProbe {
  /** One word for it. */
  readonly check: string;
  /** What holds where it passes. */
  readonly proved: string;
  /** What to do where it does not. */
  readonly mend: string;
}

/** Python statements by name: each of them must be stopped. */
export interface TriedProbe extends SandboxProbe {
  readonly tries: Readonly<Record<string, string>>;
}

/** A program that goes over a bound. */
export interface BoundProbe extends SandboxProbe {
  readonly code: string;
  readonly limits?: Partial<SandboxLimits>;
  readonly judge: (shown: Shown) => boolean;
}

const DO_NOT_LEND = 'Lend nothing until it holds: `worker.enabled: false`';

export const triedProbes: readonly TriedProbe[] = [
  {
    check: 'network',
    proved: 'no network: connections to 1.1.1.1 and to this host were refused inside',
    mend: `Something gives sandboxes a network: look for plugins and wrappers of the engine. ${DO_NOT_LEND}`,
    tries: {
      '1.1.1.1': `socket.create_connection(('1.1.1.1', 53), 2)`,
      'this host': `socket.create_connection(('127.0.0.1', HOST_PORT), 2)`,
    },
  },
  {
    check: 'privileges',
    proved: 'no privileges: root, raw sockets and the launcher’s memory were refused inside',
    mend: `Look for a wrapper of the engine that gives containers privileges. ${DO_NOT_LEND}`,
    tries: {
      root: 'os.setuid(0)',
      'raw sockets': `socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)`,
      'the launcher’s memory': `open('/proc/1/mem', 'rb')`,
    },
  },
  {
    check: 'files',
    proved:
      'read-only files: writes to /, /etc and /proc/sys, and running a program from /tmp, were refused inside',
    mend: `The engine does not keep to a read-only root or to noexec: use a current one. ${DO_NOT_LEND}`,
    tries: {
      '/': `open('/duxnode', 'w')`,
      '/etc': `open('/etc/passwd', 'a')`,
      '/proc/sys': `open('/proc/sys/kernel/core_pattern', 'r+')`,
      '/tmp': `
with open('/tmp/x', 'w') as file: file.write('#!/bin/sh\\n')
os.chmod('/tmp/x', 0o700)
subprocess.run(['/tmp/x'])`,
    },
  },
  {
    check: 'kernel',
    proved: 'system call filter: io_uring, ptrace, keys, user namespaces and odd sockets were refused inside',
    mend:
      'Kernel and engine need seccomp: `docker info` names it under Security Options. ' +
      `For gVisor run scripts/runsc.sh. ${DO_NOT_LEND}`,
    tries: {
      io_uring: `space = ctypes.create_string_buffer(256); call('io_uring_setup', 8, ctypes.addressof(space))`,
      ptrace: `call('ptrace', 0, 0, 0, 0)`,
      keys: `call('keyctl', 0, -2, 1)`,
      vsock: `socket.socket(40, socket.SOCK_STREAM)`,
      // Last of all: where it works, what follows would be tried with privileges.
      'user namespaces': `call('unshare', 0x10000000)`,
    },
  },
];

/** A bomb of so many processes is none to the host, and more than any sandbox gives. */
const BOMB = 100;

/** In gVisor a sandbox that may have no more threads, or no more memory for them, ends with all that is in it. */
const fellWith = (failure: string): boolean => failure.includes('ended before its task did');

export const boundProbes: readonly BoundProbe[] = [
  {
    check: 'memory',
    proved: 'memory limit: a task that took more was killed at 64 MiB',
    mend: 'The kernel does not limit memory: boot it with `cgroup_enable=memory swapaccount=1`',
    code: 'x = bytearray(128 << 20)',
    judge: shown => ('failed' in shown ? fellWith(shown.failed) : shown.outcome === 'out_of_memory'),
  },
  {
    check: 'processes',
    proved: `process limit: a task that forked on and on had fewer than ${BOMB} processes`,
    mend: 'The kernel does not count processes: it needs the pids cgroup',
    code: `
import os, sys, time
try:
    for _ in range(${BOMB}):
        if os.fork() == 0: time.sleep(60)
except BlockingIOError: sys.exit(0)
sys.exit(1)`,
    limits: { memoryBytes: 256 * 1024 * 1024 },
    judge: shown => ('failed' in shown ? fellWith(shown.failed) : shown.exitCode === 0 || shown.oomKilled),
  },
  {
    check: 'cpu',
    proved: 'CPU limit: a task that spins was held to its share of a core',
    mend: 'The kernel gives no CPU quota: it needs the cpu cgroup with CONFIG_CFS_BANDWIDTH',
    // It got a tenth of a core, or, in gVisor, whose times are not the machine's, was held up in pauses that a busy machine makes of itself less.
    code: `
import sys, time
last, used, held = time.monotonic(), time.process_time(), 0
end = last + 1
while last < end:
    now = time.monotonic()
    if now - last > 0.06: held += now - last
    last = now
sys.exit(held < 0.5 and time.process_time() - used > 0.15)`,
    limits: { milliCpus: 100 },
    judge: shown => !('failed' in shown) && shown.exitCode === 0,
  },
  {
    check: 'time',
    proved: 'time limit: a task that ignores signals was killed after 300 ms',
    mend: 'A kill does not end a sandbox: restart the engine',
    code: `
import signal
for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
while True: pass`,
    limits: { timeoutMs: 300 },
    judge: shown => !('failed' in shown) && shown.outcome === 'timeout',
  },
  {
    check: 'output',
    proved: 'output limit: a task that writes without end was killed at 64 KiB',
    mend: 'A kill does not end a sandbox: restart the engine',
    code: `while True: print('x' * 1000)`,
    judge: shown => !('failed' in shown) && shown.outcome === 'output_limit',
  },
];
