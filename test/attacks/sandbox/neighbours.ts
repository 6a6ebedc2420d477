import { randomUUID } from 'node:crypto';
import { attemptsFound, attemptsSource } from '../../../src/sandbox/attempts.ts';
import type { Weakening } from '../../../src/sandbox/docker/boxes.ts';
import { codeOf, deferred, messageOf } from '../../../src/util/index.ts';
import { quiet, taskOf, textOf } from '../../sandbox/conformance.ts';
import type { Lab, SandboxAttack, Verdict } from './lab.ts';
import { hostNetwork } from './native-weakenings.ts';
import { asUser, host, network } from './weakenings.ts';

/** In a network namespace that two of these tests may come to share. */
const SOCKET = `\\0duxnode-${randomUUID()}`;

/** The sandbox that runs meanwhile, for a weakening that lets the second one into it. */
let neighbour: string | undefined;

const joined =
  (join: (id: string) => Weakening, before: Weakening = config => config): Weakening =>
  config =>
    (neighbour === undefined ? before : join(`container:${neighbour}`))(config);

/** Runs `attempt` in one sandbox while `holder` is ready in another. */
function beside(holder: string, attempt: string, errors: readonly string[]): SandboxAttack['attack'] {
  return async lab => {
    const ready = deferred<void>();
    const over = new AbortController();
    const { executor, image } = lab;
    const source = `import ctypes, os, socket, subprocess, time\n${holder}\nprint('ready')\ntime.sleep(600)`;
    const prepared = await executor.prepare(taskOf(source), image, {});
    let said = '';
    const sink = {
      ...quiet,
      stdout: () => ready.resolve(),
      stderr: (bytes: Uint8Array) => {
        said += textOf(bytes);
      },
    };
    const holding = prepared.run(sink, { signal: over.signal }).then(
      ({ outcome }) => ready.reject(new Error(`the neighbour ended: ${outcome} ${said}`)),
      error => ready.reject(error),
    );
    try {
      await ready.promise;
      neighbour = prepared.id;
      return await tryOnce(lab, attempt, errors);
    } finally {
      neighbour = undefined;
      over.abort(new Error('seen enough'));
      await holding;
    }
  };
}

/** What it prints is read as it comes: in another's namespaces a sandbox does not end as it should. */
async function tryOnce(
  { executor, image }: Lab,
  attempt: string,
  errors: readonly string[],
): Promise<Verdict> {
  const prepared = await executor.prepare(taskOf(attemptsSource({ attempt })), image, {});
  const pieces: Uint8Array[] = [];
  let seen = '';
  try {
    await prepared.run({ ...quiet, stdout: bytes => void pieces.push(bytes) }, {});
  } catch (error) {
    if (codeOf(error) !== 'SANDBOX_FAILED') throw error;
    seen = messageOf(error);
  }
  const end = attemptsFound(Buffer.concat(pieces))?.attempt ?? 'NONE';
  const verdict = end === 'done' ? 'succeeded' : errors.includes(end) ? 'stopped' : 'partly';
  return { verdict, seen: `${end} ${seen}` };
}

export const neighbourAttacks: readonly SandboxAttack[] = [
  {
    name: 'another task’s sockets',
    by: 'a network namespace for each',
    attack: beside(
      `s = socket.socket(socket.AF_UNIX); s.bind('${SOCKET}'); s.listen()`,
      `socket.socket(socket.AF_UNIX).connect('${SOCKET}')`,
      ['ECONNREFUSED'],
    ),
    control: { docker: joined(network), native: hostNetwork },
  },
  {
    name: 'another task’s shared memory',
    by: 'a /dev/shm for each (`IpcMode: private`)',
    attack: beside(
      `open('/dev/shm/secret', 'w').write('x'); os.chmod('/dev/shm/secret', 0o644)`,
      `open('/dev/shm/secret').read()`,
      ['ENOENT'],
    ),
    control: { docker: joined(id => host({ IpcMode: id }), host({ IpcMode: 'shareable' })) },
  },
  {
    name: 'another task’s files in /tmp and /task',
    by: 'a tmpfs for each',
    attack: beside(
      `
for folder in ('/tmp', '/task'):
    os.chmod(folder, 0o777)
    open(folder + '/secret', 'w').write('x')`,
      `open('/tmp/secret' if os.path.exists('/tmp/secret') else '/task/secret')`,
      ['ENOENT'],
    ),
    control: { notTried: 'no setting: there is nothing that they share' },
  },
  {
    name: 'another task’s processes',
    by: 'a PID namespace for each',
    attack: beside(
      `subprocess.Popen(['sleep', '654.321'])`,
      `
def line(pid):
    try: return open('/proc/' + pid + '/cmdline').read()
    except OSError: return ''
if not any('654.321' in line(pid) and pid != str(os.getpid()) for pid in os.listdir('/proc') if pid.isdigit()):
    raise OSError(errno.ENOENT, '')`,
      ['ENOENT'],
    ),
    control: { docker: joined(id => host({ PidMode: id })) },
  },
  {
    name: 'using up what the kernel counts by user (inotify)',
    by: 'a user id for each',
    notOn: { runsc: 'gVisor has inotify of its own' },
    attack: beside(
      `
libc = ctypes.CDLL(None)
while libc.inotify_init1(0) >= 0: pass`,
      `if libc.inotify_init1(0) < 0: pass\nelse: raise OSError(errno.EEXIST, '')`,
      ['EEXIST'],
    ),
    control: { docker: asUser(1_999_999_999) },
  },
];
