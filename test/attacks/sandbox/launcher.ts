import { codeOf } from '../../../src/util/index.ts';
import { textOf } from '../../sandbox/conformance.ts';
import { byTrying, runIn, type SandboxAttack, saidBy, tried, verdictOf } from './lab.ts';
import { notFirst, unfiltered } from './native-weakenings.ts';
import { host, launcher, noSeccomp } from './weakenings.ts';

const MIB = 1024 * 1024;

/** A launcher that tells the task the nonce which only the end of its output may hold. */
const toldNonce = launcher(
  ['    open_gate(latch)\n', "    os.write(latch, b'G' + mark[1:])\n"],
  ['    os.close(gate)\n    if argv:', "    os.environ['NONCE'] = os.read(gate, 16).hex()\n    if argv:"],
);

export const launcherAttacks: readonly SandboxAttack[] = [
  {
    name: 'reading the launcher: its memory, files, environment',
    by: '`PR_SET_DUMPABLE 0`',
    notOn: {
      runsc: 'gVisor closes its memory, but shows its open files and environment, which hold nothing to keep',
    },
    attack: byTrying({
      files: tried(`os.listdir('/proc/1/fd')`, 'EACCES'),
      memory: tried(`open('/proc/1/mem', 'rb')`, 'EACCES'),
      environment: tried(`open('/proc/1/environ', 'rb').read()`, 'EACCES'),
    }),
    control: launcher(['libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)', '']),
  },
  {
    name: 'killing or stopping the launcher',
    by: 'it is PID 1 of a namespace: the kernel passes no deadly signal from inside',
    notOn: { runsc: 'gVisor lets PID 1 be killed: the task ends its own sandbox, and loses its result' },
    async attack(lab) {
      try {
        const code = `import os\nfor number in (9, 15, 19): os.kill(os.getppid(), number)\nprint('here')`;
        const result = await runIn(lab, code);
        const unharmed = result.outcome === 'exited' && textOf(result.stdout) === 'here\n';
        return { verdict: unharmed ? 'stopped' : 'partly', seen: saidBy(result) };
      } catch (error) {
        if (codeOf(error) !== 'SANDBOX_FAILED') throw error;
        return verdictOf(true, String(error));
      }
    },
    // The engine's own PID 1, or bwrap's, with the launcher as its child.
    control: { docker: host({ Init: true }), native: notFirst },
  },
  {
    name: 'changing the launcher’s limits (prlimit of PID 1)',
    by: 'seccomp: `prlimit64` of oneself only',
    attack: byTrying(
      { limits: tried(`call('prlimit64', 1, resource.RLIMIT_CORE, at, 0)`, 'EPERM') },
      `import struct\nspace = ctypes.create_string_buffer(struct.pack('2Q', 0, 0), 16)\nat = ctypes.addressof(space)`,
    ),
    control: { docker: noSeccomp, native: unfiltered },
  },
  {
    name: 'a forged end of its output',
    by: 'a random mark that only the launcher holds, and says when all of the task is dead',
    async attack(lab) {
      const end = { code: 0, signal: 0, cpuMs: 0, peakBytes: 0, oomKills: 0, files: [], truncated: false };
      const code = `
import os, signal, sys
text = b'''${JSON.stringify(end)}'''
def stolen():
    try:
        with open('/proc/1/fd/0', 'rb', 0) as pipe:
            os.set_blocking(pipe.fileno(), False)
            return pipe.read(16)
    except OSError: pass
nonce = bytes.fromhex(os.environ.get('NONCE', '')) or stolen()
mark = b'\\0' + (nonce or bytes(16))
os.write(2, mark)
os.write(1, mark + len(text).to_bytes(4, 'big') + text)
# the launcher's own end right behind the forged one would give it away
if nonce: signal.pause()
sys.exit(9)`;
      const result = await runIn(lab, code);
      return verdictOf(!(result.exitCode === 9 && result.stdout.length > 100), saidBy(result));
    },
    control: toldNonce,
  },
  {
    name: 'daemons that hold the output open',
    by: 'the launcher kills all that a task left',
    async attack(lab) {
      const code = `
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
        time.sleep(600)
    os._exit(0)
os.wait()`;
      const result = await runIn(lab, code);
      if (result.outcome === 'exited') return verdictOf(result.exitCode !== 0, saidBy(result));
      return { verdict: result.outcome === 'timeout' ? 'succeeded' : 'partly', seen: saidBy(result) };
    },
    control: { ...launcher(['os.kill(-1, signal.SIGKILL)', 'pass']), limits: { timeoutMs: 1500 } },
  },
  {
    name: 'zombies until no process can be made',
    by: 'the launcher reaps what it did not start',
    async attack(lab) {
      // A busy launcher may lag behind: a fork that fails is tried again for a second.
      const code = `
import os, time
def fork():
    for _ in range(100):
        try: return os.fork()
        except BlockingIOError: time.sleep(0.01)
def orphan():
    child = fork()
    if child == 0: os._exit(fork() is None)
    return child is not None and os.waitpid(child, 0)[1] == 0
print('room' if all(orphan() for _ in range(150)) else 'full')`;
      const result = await runIn(lab, code);
      const said = textOf(result.stdout);
      if (said === 'room\n') return verdictOf(false, said);
      return { verdict: said === 'full\n' ? 'succeeded' : 'partly', seen: saidBy(result) };
    },
    control: launcher(['os.wait4(-1, 0)', 'os.wait4(task, 0)']),
  },
  {
    name: 'links, sockets and odd names among the outputs',
    by: '`lstat`, `O_NOFOLLOW`; paths checked again outside',
    async attack(lab) {
      const code = `
import os, socket
os.symlink('/etc/passwd', 'outputs/link')
os.symlink('/etc', 'outputs/folder')
socket.socket(socket.AF_UNIX).bind('outputs/socket')
try: os.mkfifo('outputs/pipe')
except PermissionError: pass
open(b'outputs/\\xff', 'w').write('x')
open('outputs/new\\nline', 'w').write('x')
open('outputs/c1\\x9b', 'w').write('x')
open('outputs/back\\\\slash', 'w').write('x')
os.makedirs('outputs/' + 'd' * 200)
open('outputs/' + 'd' * 200 + '/' + 'f' * 60, 'w').write('x')
open('outputs/no\\u200bbreak \\U000e0041', 'w').write('x')
open('outputs/closed', 'w').write('x'); os.chmod('outputs/closed', 0)
open('outputs/good', 'w').write('x')`;
      const result = await runIn(lab, code);
      const paths = result.outputs.map(file => file.path);
      const seen = `${JSON.stringify(paths)} ${saidBy(result)}`;
      if (paths.includes('link')) return verdictOf(true, seen);
      const clean = JSON.stringify(paths) === JSON.stringify(['good', 'no\u200bbreak \u{e0041}']);
      return { verdict: clean && result.truncated.outputs ? 'stopped' : 'partly', seen };
    },
    control: launcher(['facts = os.lstat(path)', 'facts = os.stat(path)'], ['os.O_NOFOLLOW', '0']),
  },
  {
    name: 'the folder of outputs itself as a link',
    by: '`lstat`',
    async attack(lab) {
      const code = `import os\nos.rmdir('outputs')\nos.makedirs('other')\nopen('other/x', 'w').write('x')\nos.symlink('other', 'outputs')`;
      const result = await runIn(lab, code);
      return verdictOf(result.outputs.length > 0, saidBy(result));
    },
    control: launcher(['os.lstat(OUTPUTS)', 'os.stat(OUTPUTS)']),
  },
  {
    name: 'a bomb of outputs: sparse, or very many',
    by: 'sizes and counts by `lstat`, before a byte is read, and again outside',
    async attack(lab) {
      const code = `
import os
os.truncate(os.open('outputs/sparse', os.O_CREAT | os.O_RDWR), 4 << 20)
for i in range(100): open('outputs/%03d' % i, 'w').write('x')`;
      const { outputs, truncated } = await runIn(lab, code);
      const bytes = outputs.reduce((sum, file) => sum + file.size, 0);
      const seen = `${outputs.length} files, ${bytes} bytes, truncated ${truncated.outputs}`;
      if (outputs.length <= 16 && bytes <= MIB && truncated.outputs) return verdictOf(false, seen);
      return { verdict: bytes > 4 * MIB && outputs.length === 101 ? 'succeeded' : 'partly', seen };
    },
    control: { limits: { outputBytes: 8 * MIB, outputFiles: 256 } },
  },
];
