import { textOf } from '../../sandbox/conformance.ts';
import { byTrying, runIn, type SandboxAttack, saidBy, type Try, tried, verdictOf } from './lab.ts';
import { inCommand, nativeTmpfs } from './native-weakenings.ts';
import { all, asUser, host, noLimit, tmpfs } from './weakenings.ts';

const MIB = 1024 * 1024;
const FILL = `
def fill(path, mib):
    with open(path, 'wb') as file:
        for _ in range(mib): file.write(bytes(1 << 20))
def create(folder, count):
    for i in range(count): open(folder + '/f%d' % i, 'w').close()`;

const onlyHardened = (code: string, ...errors: string[]): Try => ({ code, errors, onlyHardened: true });

export const fileAttacks: readonly SandboxAttack[] = [
  {
    name: 'writes to / and /etc',
    by: 'read-only root (`ReadonlyRootfs`); own user',
    attack: byTrying({
      root: tried(`open('/x', 'w')`, 'EROFS', 'EACCES'),
      passwd: tried(`open('/etc/passwd', 'a')`, 'EROFS', 'EACCES'),
    }),
    control: { docker: all(asUser(0), host({ ReadonlyRootfs: false })) },
  },
  {
    name: 'writes to /proc/sys',
    by: 'mounted read-only; own user',
    attack: byTrying({
      corePattern: onlyHardened(`open('/proc/sys/kernel/core_pattern', 'w')`, 'EROFS', 'EACCES'),
      dropCaches: onlyHardened(`open('/proc/sys/vm/drop_caches', 'w')`, 'EROFS', 'EACCES'),
      // One that each IPC namespace has of its own, which natively the task may set.
      own: {
        code: `open('/proc/sys/kernel/msgmax', 'w').write('8192')`,
        errors: ['EROFS', 'EACCES'],
        harmlessOn: 'native',
      },
    }),
    control: { docker: all(asUser(0), host({ ReadonlyPaths: [] })) },
  },
  {
    name: 'running a program from /tmp or shared memory',
    by: '`noexec`',
    attack: byTrying(
      {
        tmp: tried(`run('/tmp/x')`, 'EACCES'),
        shm: onlyHardened(`run('/dev/shm/x')`, 'EACCES'),
      },
      `
def run(path):
    with open(path, 'w') as file: file.write('#!/bin/sh\\n')
    os.chmod(path, 0o700)
    subprocess.run([path], check=True)`,
    ),
    control: {
      docker: tmpfs('/tmp', 'noexec', 'exec'),
      native: nativeTmpfs('/tmp', 'noexec', 'exec'),
    },
  },
  {
    name: 'filling /tmp',
    by: 'size of the tmpfs',
    attack: byTrying({ tmp: tried(`fill('/tmp/big', 20)`, 'ENOSPC') }, FILL),
    control: { options: { tmpBytes: 32 * MIB } },
  },
  {
    name: 'filling /task',
    by: 'size of the tmpfs, `disk_mb`',
    async attack(lab) {
      const code = `
for i in range(10): open('big%d' % i, 'wb').write(bytes(1 << 20))
print('all')`;
      const result = await runIn(lab, code, { diskBytes: 8 * MIB });
      const full = /No space left/.test(textOf(result.stderr));
      return full ? verdictOf(false, saidBy(result)) : verdictOf(result.exitCode === 0, saidBy(result));
    },
    control: { limits: { diskBytes: 16 * MIB } },
  },
  {
    name: 'filling shared memory',
    by: 'its size (`ShmSize`)',
    attack: byTrying({ shm: tried(`fill('/dev/shm/big', 20)`, 'ENOSPC') }, FILL),
    control: { options: { shmBytes: 32 * MIB } },
  },
  {
    name: 'using up inodes',
    by: '`nr_inodes` of the tmpfs',
    notOn: { runsc: 'gVisor counts no inodes: they are memory of the sandbox, which is counted' },
    attack: byTrying({ tmp: tried(`create('/tmp', 5000)`, 'ENOSPC') }, FILL),
    control: {
      docker: tmpfs('/tmp', /nr_inodes=\d+/, 'nr_inodes=6000'),
      native: nativeTmpfs('/tmp', /nr_inodes=\d+/, 'nr_inodes=6000'),
    },
  },
  {
    name: 'a file of a terabyte without content',
    by: '`fsize`',
    attack: byTrying({
      sparse: tried(`os.truncate(os.open('/task/t', os.O_CREAT | os.O_RDWR), 1 << 40)`, 'EFBIG'),
    }),
    control: { docker: noLimit('fsize'), native: inCommand('ulimit -f "$blocks"', '') },
  },
  {
    name: 'a thousand open files',
    by: '`nofile`',
    attack: byTrying({
      open: tried(`kept = [os.open('/dev/null', os.O_RDONLY) for _ in range(1100)]`, 'EMFILE'),
    }),
    control: { options: { maxOpenFiles: 2048 } },
  },
];
