import { quiet, taskOf, textOf } from '../../sandbox/conformance.ts';
import type { Lab, SandboxAttack, Verdict } from './lab.ts';
import { launcher } from './weakenings.ts';

interface Look {
  /** Python: prints `clean`, or what it finds. */
  readonly code: string;
  /** A look into another sandbox proves nothing. */
  readonly sameBox?: boolean;
}

/** One task leaves something, and the next one of the same owner looks for it. */
function leaving(code: string, { code: look, sameBox = true }: Look): SandboxAttack['attack'] {
  return async lab => {
    const [first, second] = [await ran(lab, code), await ran(lab, look)];
    const seen = `${first.said} ${second.said}`;
    if (first.said !== 'left\n' || second.said === '') return { verdict: 'partly', seen };
    if (second.said !== 'clean\n') return { verdict: 'succeeded', seen };
    return { verdict: sameBox && second.id !== first.id ? 'partly' : 'stopped', seen } satisfies Verdict;
  };
}

async function ran({ executor, image }: Lab, code: string): Promise<{ id: string; said: string }> {
  const prepared = await executor.prepare(taskOf(code, { reuseBy: 'alice' }), image, {});
  const { stdout, stderr } = await prepared.run(quiet, {});
  return { id: prepared.id, said: textOf(stdout) + textOf(stderr) };
}

/** What a task that is reused may do to PID 1, which has its user. */
const CHANGES = [
  'os.setpriority(os.PRIO_PROCESS, 1, 7)',
  'os.sched_setaffinity(1, {max(os.sched_getaffinity(1))})',
  'os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))',
  "os.chmod('/tmp', 0o500)",
];

const notOn = { runsc: 'in gVisor a sandbox was not seen to serve a second task' };

export const reuseAttacks: readonly SandboxAttack[] = [
  {
    name: 'files left for the owner’s next task (`reuse`)',
    by: 'the launcher wipes all that can be written to',
    notOn,
    attack: leaving(
      `
import os
for folder in ('/task', '/tmp', '/dev/shm'):
    os.mkdir(folder + '/deep')
    open(folder + '/deep/left', 'w').write('x')
    os.chmod(folder + '/deep', 0)
print('left')`,
      {
        code: `
import os
print([p for f in ('/task', '/tmp', '/dev/shm') for p in os.listdir(f) if p != 'outputs'] or 'clean')`,
      },
    ),
    control: launcher(['        wipe(folder)', '        pass']),
  },
  {
    name: 'processes and listening sockets left for the owner’s next task (`reuse`)',
    by: 'the launcher kills all that a task left, before it says that it ended',
    notOn,
    attack: leaving(
      `
import os, signal, socket, time
s = socket.socket(socket.AF_UNIX)
s.bind('\\0left')
s.listen()
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
print('left')`,
      {
        code: `
import os, socket
found = [pid for pid in os.listdir('/proc') if pid.isdigit() and pid not in ('1', str(os.getpid()))]
try:
    socket.socket(socket.AF_UNIX).connect('\\0left')
    found.append('socket')
except ConnectionRefusedError: pass
print(found or 'clean')`,
      },
    ),
    control: launcher([
      '        if used is not None:\n',
      '        if used is not None:\n            return used, seconds * 1000, peak * 1024\n',
    ]),
  },
  {
    name: 'a slower or closed sandbox left for the owner’s next task (`reuse`)',
    by: 'a launcher whose priority, scheduler, processors or folders are not what they were takes its sandbox along',
    notOn,
    attack: leaving(
      `
import os
for change in ${JSON.stringify(CHANGES)}:
    try: exec(change)
    except OSError: pass
print('left')`,
      {
        sameBox: false,
        code: `
import os
now = (os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), os.access('/tmp', os.W_OK))
print('clean' if now == (0, os.SCHED_OTHER, True) else now)`,
      },
    ),
    control: launcher(['if condition() != born:', 'if False:']),
  },
];
