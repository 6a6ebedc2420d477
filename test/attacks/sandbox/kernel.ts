import { byTrying, type SandboxAttack, tried } from './lab.ts';
import { natively, nativeRoot, unfiltered } from './native-weakenings.ts';
import { all, host, newPrivileges, noSeccomp, rootWith } from './weakenings.ts';

const SECCOMP = 'seccomp';
/** Room for what a call reads or writes. */
const SPACE = `
import signal, struct
space = ctypes.create_string_buffer(4096)
at = ctypes.addressof(space)
def put(data):
    space[:len(data)] = data
    return at
def child():
    pid = os.fork()
    if pid == 0:
        signal.pause()
    return pid
def is_child(pid):
    if pid == 0: os._exit(0)`;

/** Root, all that an engine would give, and no filter: a call then reaches the kernel. Nothing is called that changes the host. */
const kernelOpen = (...capabilities: string[]) => all(noSeccomp, rootWith(...capabilities));

export const kernelAttacks: readonly SandboxAttack[] = [
  {
    name: 'io_uring',
    by: SECCOMP,
    attack: byTrying({ setup: tried(`call('io_uring_setup', 8, at)`, 'EPERM') }, SPACE),
    control: { docker: noSeccomp, native: unfiltered },
  },
  {
    name: 'ptrace, another process’s memory',
    by: SECCOMP,
    attack: byTrying(
      {
        attach: tried(`call('ptrace', 16, child(), 0, 0)`, 'EPERM'),
        read: tried(`call('process_vm_readv', child(), 0, 0, 0, 0, 0)`, 'EPERM'),
      },
      SPACE,
    ),
    control: { docker: noSeccomp, native: unfiltered },
  },
  {
    name: 'user namespaces: unshare, clone, clone3',
    by: SECCOMP,
    attack: byTrying(
      {
        clone3: tried(
          `is_child(call('clone3', put(struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0)), 64))`,
          'ENOSYS',
        ),
        clone: tried(`is_child(call('clone', 0x10000011, 0, 0, 0, 0))`, 'EPERM'),
        unshare: tried(`call('unshare', 0x10000000)`, 'EPERM'),
      },
      SPACE,
    ),
    control: { docker: noSeccomp, native: unfiltered },
  },
  {
    name: 'mounts and chroot',
    by: 'own user, no capabilities; mounts by seccomp too',
    attack: byTrying({
      mount: tried(`call('mount', b'none', b'/tmp', b'tmpfs', 0, 0)`, 'EPERM'),
      chroot: tried(`os.chroot('/tmp')`, 'EPERM'),
    }),
    control: {
      docker: all(
        kernelOpen('SYS_ADMIN'),
        host({ SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'] }),
      ),
      native: natively(unfiltered, nativeRoot),
    },
  },
  {
    name: 'device nodes',
    by: 'seccomp; no capabilities',
    // 1:3 is /dev/null: harmless where it works.
    attack: byTrying({ mknod: tried(`os.mknod('/tmp/dev', 0o20600, os.makedev(1, 3))`, 'EPERM') }),
    notOn: { runsc: 'the node is made, of a device that only gVisor has' },
    control: { docker: kernelOpen() },
  },
  {
    name: 'bpf, perf',
    by: 'seccomp; no capabilities',
    attack: byTrying(
      {
        bpf: tried(`call('bpf', 0, put(struct.pack('4I', 2, 4, 4, 1)), 16)`, 'EPERM'),
        perf: tried(
          `call('perf_event_open', put(struct.pack('2I', 1, 64) + bytes(56)), 0, -1, -1, 0)`,
          'EPERM',
        ),
      },
      SPACE,
    ),
    control: { docker: kernelOpen('SYS_ADMIN') },
  },
  {
    name: 'userfaultfd',
    by: SECCOMP,
    attack: byTrying({ open: tried(`call('userfaultfd', 1)`, 'EPERM') }),
    control: { docker: noSeccomp, native: unfiltered },
  },
  {
    name: 'the kernel’s keys',
    by: SECCOMP,
    attack: byTrying({ keyring: tried(`call('keyctl', 0, -2, 1)`, 'EPERM') }),
    control: { docker: noSeccomp, native: unfiltered },
  },
  {
    name: 'the kernel’s log (dmesg)',
    by: 'seccomp; no capabilities',
    attack: byTrying({ read: tried(`call('syslog', 3, at, 16)`, 'EPERM') }, SPACE),
    control: { docker: kernelOpen('SYSLOG') },
  },
  {
    name: 'System V shared memory',
    by: SECCOMP,
    attack: byTrying({ get: tried(`call('shmget', 0, 4096, 0o1600)`, 'EPERM') }),
    control: { docker: noSeccomp, native: unfiltered },
  },
  {
    name: 'a better priority',
    by: 'own user, no capabilities',
    notOn: { runsc: 'a priority in gVisor means nothing outside of it' },
    attack: byTrying({ nice: tried(`os.nice(-5)`, 'EPERM', 'EACCES') }),
    control: { docker: rootWith('SYS_NICE') },
  },
  {
    name: 'another user or group by setuid and setgid',
    by: 'own user, no capabilities',
    // EINVAL: a user namespace that knows no other id.
    attack: byTrying({
      group: tried(`os.setgid(12345)`, 'EPERM', 'EINVAL'),
      user: tried(`os.setuid(12345)`, 'EPERM', 'EINVAL'),
    }),
    control: { docker: rootWith() },
  },
  {
    name: 'root by a setuid program of the image',
    by: '`no-new-privileges`',
    image:
      'RUN p=$(command -v python3) && cp -L "$p" "$(dirname "$p")/suid-python" && chmod 4755 "$(dirname "$p")/suid-python"',
    notOn: { native: 'the bits are stripped where an image becomes a folder' },
    attack: byTrying({
      run: tried(
        `
show = ['suid-python', '-I', '-S', '-c', 'import os; print(os.geteuid())']
if subprocess.run(show, capture_output=True, check=True).stdout != b'0\\n': raise OSError(errno.EPERM, '')`,
        'EPERM',
      ),
    }),
    control: { docker: newPrivileges },
  },
];
