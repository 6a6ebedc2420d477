import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Executor } from '../../src/sandbox/index.ts';
import { limits, MIB, quiet, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { docker, IMAGE, withDocker } from './support.ts';

const test = suite('docker: attacks');

/** Each line of `attempts` is tried inside; the answer maps its name to the error's name, or `done` where it worked. */
async function attempt(
  executor: Executor,
  prelude: string,
  attempts: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  const image = await executor.ensureImage(IMAGE, {});
  const code = `
import json, os, socket, subprocess, ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    if libc.syscall(number, *args) < 0: raise OSError(ctypes.get_errno(), '')
${prelude}
found = {}
for name, source in json.loads(${JSON.stringify(JSON.stringify(attempts))}).items():
    try:
        exec(source)
        found[name] = 'done'
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, type(error).__name__)
print(json.dumps(found))`;
  const result = await runOn(executor, image, taskOf(code));
  assert.is(textOf(result.stderr), '');
  return JSON.parse(textOf(result.stdout));
}

test('there is no network: not out, not to the host, not by odd socket families', () =>
  withDocker(async executor => {
    const found = await attempt(executor, '', {
      tcp: `socket.create_connection(('1.1.1.1', 53), 2)`,
      metadata: `socket.create_connection(('169.254.169.254', 80), 2)`,
      udp: `socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))`,
      name: `socket.getaddrinfo('example.org', 80)`,
      raw: `socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)`,
      packet: `socket.socket(socket.AF_PACKET, socket.SOCK_RAW)`,
      vsock: `socket.socket(40, socket.SOCK_STREAM)`,
      crypto: `socket.socket(38, socket.SOCK_SEQPACKET)`,
    });
    assert.equal(found, {
      tcp: 'ENETUNREACH',
      metadata: 'ENETUNREACH',
      udp: 'ENETUNREACH',
      name: 'gaierror',
      raw: 'EPERM',
      packet: 'EPERM',
      vsock: 'EPERM',
      crypto: 'EPERM',
    });
  }));

test('the file system takes no writes but in /task, /tmp and shared memory, and /tmp runs nothing', () =>
  withDocker(async executor => {
    const found = await attempt(executor, '', {
      root: `open('/x', 'w')`,
      etc: `open('/etc/passwd', 'a')`,
      sysctl: `open('/proc/sys/kernel/core_pattern', 'w')`,
      memory: `open('/proc/sys/vm/drop_caches', 'w')`,
      device: `os.mknod('/task/dev', 0o60600, os.makedev(254, 0))`,
      own: `open('/task/x', 'w')`,
      tmp: `open('/tmp/x', 'w').write('#!/bin/sh\\n'); os.chmod('/tmp/x', 0o700)`,
      exec: `subprocess.run(['/tmp/x'])`,
    });
    assert.equal(found, {
      root: 'EROFS',
      etc: 'EACCES',
      sysctl: 'EROFS',
      memory: 'EROFS',
      device: 'EPERM',
      own: 'done',
      tmp: 'done',
      exec: 'EACCES',
    });
  }));

// The numbers are those of x86_64.
test('nothing of the kernel is for a task: no capabilities, namespaces, tracing, io_uring, bpf, keys', () =>
  withDocker(async executor => {
    const found = await attempt(executor, '', {
      setuid: `os.setuid(0)`,
      mount: `call(165, b'none', b'/task', b'tmpfs', 0, 0)`,
      unshare: `call(272, 0x10000000)`,
      clone: `call(56, 0x10000011, 0, 0, 0, 0)`,
      clone3: `call(435, 0, 0)`,
      ptrace: `call(101, 16, 1, 0, 0)`,
      uring: `call(425, 8, 0)`,
      bpf: `call(321, 0, 0, 0)`,
      perf: `call(298, 0, 0, 0, 0, 0)`,
      userfault: `call(323, 0)`,
      keys: `call(250, 0, -3)`,
      kernelLog: `call(103, 3, 0, 0)`,
      sysv: `call(29, 0, 4096, 0o1777)`,
      chroot: `os.chroot('/task')`,
      nice: `os.nice(-5)`,
      launcherFiles: `os.listdir('/proc/1/fd')`,
      launcherMemory: `open('/proc/1/mem', 'rb')`,
      launcherEnv: `open('/proc/1/environ', 'rb').read()`,
    });
    const { clone3, launcherFiles, launcherMemory, launcherEnv, nice, ...others } = found;
    assert.is(clone3, 'ENOSYS');
    assert.equal([launcherFiles, launcherMemory, launcherEnv], ['EACCES', 'EACCES', 'EACCES']);
    assert.ok(nice === 'EPERM' || nice === 'EACCES');
    for (const [name, errno] of Object.entries(others)) assert.is(errno, 'EPERM', name);
  }));

test('each container has a user of its own, no group, no new privileges, one filter', () =>
  withDocker(async (executor, owner) => {
    const image = await executor.ensureImage(IMAGE, {});
    const show = `print(open('/proc/self/status').read())`;
    const results = await Promise.all([1, 2].map(() => runOn(executor, image, taskOf(show))));
    const facts = results.map(result =>
      Object.fromEntries(
        textOf(result.stdout)
          .split('\n')
          .map(line => line.split(/:\s+/, 2) as [string, string]),
      ),
    );
    assert.is.not(facts[0]?.Uid, facts[1]?.Uid);
    for (const fact of facts) {
      assert.is(fact.NoNewPrivs, '1');
      assert.is(fact.Seccomp, '2');
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        assert.match(fact[set] ?? '', /^0+$/);
      assert.ok(Number(fact.Uid?.split('\t')[0]) >= 1_000_000_000);
    }
    const prepared = await executor.prepare(taskOf(''), image, {});
    const { HostConfig: host, Config: config } = await docker.getContainer(prepared.id).inspect();
    await prepared.discard();
    assert.is(config.Labels['duxnode.owner'], owner);
    assert.is(
      config.Env.some(line => line.startsWith('LD_')),
      false,
    );
    const {
      NetworkMode,
      IpcMode,
      CapDrop,
      ReadonlyRootfs,
      Privileged,
      PidsLimit,
      Memory,
      MemorySwap,
      NanoCpus,
    } = host;
    assert.equal(
      { NetworkMode, IpcMode, CapDrop, ReadonlyRootfs, Privileged, PidsLimit, Memory, MemorySwap, NanoCpus },
      {
        NetworkMode: 'none',
        IpcMode: 'private',
        CapDrop: ['ALL'],
        ReadonlyRootfs: true,
        Privileged: false,
        PidsLimit: 64,
        Memory: limits.memoryBytes,
        MemorySwap: limits.memoryBytes,
        NanoCpus: 1e9,
      },
    );
    assert.equal(
      host.SecurityOpt?.map((option: string) => option.slice(0, 17)),
      ['no-new-privileges', 'seccomp={"default'],
    );
    assert.is(host.LogConfig?.Type, 'none');
  }));

test('out of memory is told apart; a child that dies of it is reported though the task ends well', () =>
  withDocker(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const greedy = await runOn(executor, image, taskOf('x = bytearray(1 << 30)'));
    assert.is(greedy.outcome, 'out_of_memory');
    assert.is(greedy.exitCode, 137);
    assert.is(greedy.oomKilled, true);
    const code =
      'import os\npid = os.fork()\nif pid == 0: x = bytearray(1 << 30)\nos.waitpid(pid, 0)\nprint("on")';
    const parent = await runOn(executor, image, taskOf(code));
    assert.is(parent.outcome, 'exited');
    assert.is(parent.exitCode, 0);
    assert.is(parent.oomKilled, true);
    assert.is(textOf(parent.stdout), 'on\n');
  }));

test('a fork bomb is bounded, and its processes are gone with the task', () =>
  withDocker(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const code = `
import os, time
count = 0
try:
    while True:
        if os.fork() == 0:
            os.setsid()
            time.sleep(60 * 10)
        count += 1
except BlockingIOError:
    print(count)`;
    const result = await runOn(executor, image, taskOf(code));
    assert.is(result.outcome, 'exited');
    assert.ok(Number(textOf(result.stdout)) < 64, textOf(result.stdout));
    assert.ok(result.usage.wallMs < 10_000);
  }));

test('disk and inodes of /task and /tmp are bounded', () =>
  withDocker(async executor => {
    const found = await attempt(
      executor,
      `
def fill(path, size):
    with open(path, 'wb') as file:
        for _ in range(size): file.write(bytes(1 << 20))
def create(folder):
    for i in range(20000): open(folder + '/f%d' % i, 'w').close()`,
      {
        tmp: `fill('/tmp/big', 20)`,
        shared: `fill('/dev/shm/big', 20)`,
        inodes: `create('/tmp')`,
        single: `os.truncate(os.open('/task/t', 66), 1 << 40)`,
      },
    );
    assert.equal(found, { tmp: 'ENOSPC', shared: 'ENOSPC', inodes: 'ENOSPC', single: 'EFBIG' });
    const image = await executor.ensureImage(IMAGE, {});
    const task = taskOf(`open('big', 'wb').write(bytes(9 << 20))`, { limits: { diskBytes: 8 * MIB } });
    assert.match(textOf((await runOn(executor, image, task)).stderr), /No space left|File too large/);
  }));

test('SIGTERM ignored, or everything stopped: the timeout still ends it', () =>
  withDocker(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const code = `
import os, signal
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
try: os.kill(1, signal.SIGKILL)
except OSError: pass
try: os.kill(1, signal.SIGSTOP)
except OSError: pass
os.kill(os.getpid(), signal.SIGSTOP)`;
    const result = await runOn(executor, image, taskOf(code, { limits: { timeoutMs: 400 } }));
    assert.is(result.outcome, 'timeout');
  }));

test('endless output on both streams ends at the cap, without growth of memory here', () =>
  withDocker(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const before = process.memoryUsage().rss;
    const task = taskOf(['sh', '-c', 'yes >&2 & yes'], {
      limits: { stdoutBytes: 100_000, stderrBytes: 100_000 },
    });
    const result = await runOn(executor, image, task);
    assert.is(result.outcome, 'output_limit');
    assert.ok(result.stdout.length <= 100_000 && result.stderr.length <= 100_000);
    assert.ok(process.memoryUsage().rss - before < 200 * MIB);
  }));

test('an end of its own making is only output', () =>
  withDocker(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const forged = `
import json, os, sys
text = json.dumps({'code': 0, 'signal': 0, 'cpuMs': 0, 'peakBytes': 0, 'oomKills': 0, 'files': [], 'truncated': False}).encode()
os.write(1, b'\\0' + bytes(16) + len(text).to_bytes(4, 'big') + text)
sys.exit(9)`;
    const prepared = await executor.prepare(taskOf(forged), image, {});
    const result = await prepared.run(quiet, {});
    assert.is(result.exitCode, 9);
    assert.is(result.stdout[0], 0);
    assert.ok(result.stdout.length > 100);
  }));

test('of the outputs only regular files come, never what a link leads to', () =>
  withDocker(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const code = `
import os, socket
os.symlink('/etc/passwd', 'outputs/link')
os.symlink('/', 'outputs/folder')
socket.socket(socket.AF_UNIX).bind('outputs/socket')
os.truncate(os.open('outputs/sparse', os.O_CREAT | os.O_RDWR), 1 << 24)
open(b'outputs/\\xff', 'w').write('x')
open('outputs/new\\nline', 'w').write('x')
open('outputs/c1\\x9b', 'w').write('x')
open('outputs/back\\\\slash', 'w').write('x')
os.makedirs('outputs/' + 'd' * 200)
open('outputs/' + 'd' * 200 + '/' + 'f' * 60, 'w').write('x')
open('outputs/no\\u200bbreak \\U000e0041', 'w').write('x')
open('outputs/closed', 'w').write('x'); os.chmod('outputs/closed', 0)
open('outputs/good', 'w').write('x')`;
    const result = await runOn(executor, image, taskOf(code));
    assert.is(textOf(result.stderr), '');
    assert.equal(
      result.outputs.map(file => file.path),
      ['good', 'no\u200bbreak \u{e0041}'],
    );
    assert.is(result.truncated.outputs, true);
    const swapped = await runOn(
      executor,
      image,
      taskOf(`import os\nos.rmdir('outputs')\nos.symlink('/etc', 'outputs')`),
    );
    assert.equal(swapped.outputs, []);
  }));

test.run();
