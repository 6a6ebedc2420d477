import { taskSource } from './task-source.ts';

/**
 * PID 1 of a sandbox whose image has Python 3 (3.6 and later): stages the inputs, runs the task as a child, reaps it,
 * kills what it left, and hands over the outputs. Text in a module, so that it is the same file for tsx and the bundle.
 *
 *   stdout  u32 length | JSON {ready}
 *   stdin   u32 length | JSON header | the inputs' bytes ...... then, to start the task: 'G' | 16-byte nonce
 *   stdout  u32 length | JSON {staged} or {refused} | the task's own stdout | \0 nonce | u32 length | JSON end | outputs
 *   stderr  the task's own stderr | \0 nonce
 *
 * The sandbox ends with its task, unless the header says that its owner's tasks may follow one another: then 'N' makes it
 * wipe what can be written to and begin again at {ready}, if it is itself as it was. It waits before the header for as long as it takes.
 *
 * The task's process waits at a gate, everything done but its own code, until the start. The nonce is read before the gate
 * opens, so that a task which can open the launcher's stdin (in gVisor) finds nothing there, and after the fork, so that it is
 * in no memory of the task's. It is said only when every process of the task is dead. PR_SET_DUMPABLE 0 closes the launcher's
 * memory to the task (same user). So no task can write an end of its own.
 *
 * A task that outlives its daemon ('alone': for so many seconds) is ended here when it is overdue, as there may be nobody else. It can send that signal itself,
 * which kills all but PID 1. Its files go as hexadecimal digits: the engine, which keeps all that is said, adds 30 bytes to every line.
 *
 * Files go as a list of sizes and their plain bytes, not as a tar: no
 * format that links, sparse files or long names could hide in, no tarfile to import (13 ms), no copy in the task's
 * memory. The json module would cost 8 ms: what JSON.stringify makes of strings, numbers, lists and objects reads the
 * same as a Python literal, and the few answers are written by hand.
 */
export const launcherSource: string = String.raw`
import _signal as signal, atexit, ctypes, gc, os, stat, sys, types

TASK = '/task'
OUTPUTS = TASK + '/outputs'
WRITABLE = (TASK, '/tmp', '/dev/shm')
PIECE = 65536
PR_SET_DUMPABLE = 4
libc = ctypes.CDLL(None)

def read(size):
    got = bytearray()
    while len(got) < size:
        piece = os.read(0, min(PIECE, size - len(got)))
        if not piece:
            os._exit(125)
        got += piece
    return bytes(got)

def write(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]

def is_control(c):
    return c < ' ' or 127 <= ord(c) < 160 or 0xd800 <= ord(c) < 0xe000

def encode(value):
    if isinstance(value, dict):
        return '{%s}' % ','.join(encode(name) + ':' + encode(value[name]) for name in value)
    if isinstance(value, (list, tuple)):
        return '[%s]' % ','.join(map(encode, value))
    if isinstance(value, str):
        return '"%s"' % ''.join('\\u%04x' % ord(c) if is_control(c) or c in '"\\' else c for c in value)
    return str(value).lower() if isinstance(value, bool) else repr(value)

def answer(facts, mark=b''):
    text = encode(facts).encode()
    write(1, mark + len(text).to_bytes(4, 'big') + text)

def stage(inputs, links):
    for path, size in inputs:
        target = os.path.join(TASK, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, 'xb') as file:
            while size > 0:
                piece = read(min(PIECE, size))
                file.write(piece)
                size -= len(piece)
    for path, file in links:
        target = os.path.join(TASK, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(file, target)
    os.makedirs(OUTPUTS, exist_ok=True)

def kill_all(*_):
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass

def reap(task):
    used, seconds, peak = None, 0, 0
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return used, seconds * 1000, peak * 1024
        seconds += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
        if pid == task:
            used = status
        if used is not None:
            kill_all()

def readable(path):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        os.close(fd)
        return True
    except OSError:
        return False

def clean_path(path, max_bytes):
    raw = os.fsencode(path)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if len(raw) <= max_bytes and not any(is_control(c) or c == '\\' for c in text) else None

def collect(max_bytes, max_files, max_path):
    files, missed, left = [], [], max_bytes
    if not stat.S_ISDIR(os.lstat(OUTPUTS).st_mode):
        return files, True
    for folder, folders, names in os.walk(OUTPUTS, onerror=missed.append):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            facts = os.lstat(path)
            if not stat.S_ISREG(facts.st_mode):
                continue
            short = clean_path(os.path.relpath(path, OUTPUTS), max_path)
            if not short or facts.st_size > left or len(files) >= max_files or not readable(path):
                missed.append(name)
                continue
            left -= facts.st_size
            files.append((short, facts.st_size))
    return files, bool(missed)

def send(path, size, alone):
    with open(os.path.join(OUTPUTS, path).encode(), 'rb') as file:
        while size > 0:
            piece = file.read(min(PIECE, size)) or bytes(min(PIECE, size))
            write(1, piece.hex().encode() if alone else piece)
            size -= len(piece)

def words_of(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, PIECE).split()
    finally:
        os.close(fd)

def cgroup_peak():
    for path in ('/sys/fs/cgroup/memory/memory.max_usage_in_bytes', '/sys/fs/cgroup/memory.peak'):
        try:
            return int(words_of(path)[0])
        except (OSError, ValueError, IndexError):
            pass
    return 0

def cgroup_cpu_ms():
    for path, per_ms in (('/sys/fs/cgroup/cpuacct/cpuacct.usage', 1e6), ('/sys/fs/cgroup/cpu.stat', 1e3)):
        try:
            return int(words_of(path)[1 if per_ms == 1e3 else 0]) / per_ms
        except (OSError, ValueError, IndexError):
            pass
    return sum(os.times()[:4]) * 1000

def oom_kills():
    for path in ('/sys/fs/cgroup/memory/memory.oom_control', '/sys/fs/cgroup/memory.events'):
        try:
            words = words_of(path)
            return int(words[words.index(b'oom_kill') + 1])
        except (OSError, ValueError, IndexError):
            pass
    return -1

def open_gate(latch):
    try:
        os.write(latch, b'G')
    except BrokenPipeError:
        pass
    os.close(latch)

def supervise(task, mark, limits, first, oom_before, alone):
    if alone:
        signal.signal(signal.SIGALRM, kill_all)
        signal.setitimer(signal.ITIMER_REAL, alone)
    status, cpu_ms, peak = reap(task)
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    code = 128 + ended_by if ended_by else os.WEXITSTATUS(status)
    oom_now = oom_kills()
    try:
        files, truncated = collect(limits['outputBytes'], limits['outputFiles'], limits['pathBytes'])
    except OSError:
        files, truncated = [], True
    write(2, mark)
    answer({'code': code, 'signal': ended_by, 'cpuMs': cpu_ms, 'peakBytes': max(peak, cgroup_peak()) if first else peak,
            'oomKills': oom_now if oom_now < 0 else oom_now - oom_before, 'files': files,
            'truncated': truncated}, mark)
    for path, size in files:
        send(path, size, alone)
    return code

def wipe(folder):
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, 0o700)
                wipe(entry.path)
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)

# what a task of the same user can change of PID 1 and of these folders, and its owner's next one would feel
def condition():
    fields = words_of('/proc/self/stat')
    nice_and_scheduler = fields[18:19] + fields[39:41]
    return nice_and_scheduler, os.sched_getaffinity(0), [os.stat(folder).st_mode for folder in WRITABLE]

libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
born = condition()
first = True
# the child's collections then leave the pages of these objects shared
gc.freeze()
while True:
    answer({'ready': True})
    header = eval(read(int.from_bytes(read(4), 'big')).decode(), {'__builtins__': {}})
    try:
        stage(header['inputs'], header['links'])
    except OSError as error:
        answer({'refused': 'the inputs do not fit into /task: ' + str(error.strerror)})
        os._exit(125)
    if header.get('relay'):
        try:
            exec(header.pop('relay'), {})
        except Exception as error:
            answer({'refused': 'its proxy cannot be reached from inside: %s' % error})
            os._exit(125)
    before = {'staged': True, 'cpuMs': cgroup_cpu_ms(), 'peakBytes': cgroup_peak()}
    oom_before = oom_kills()
    gate, latch = os.pipe()
    task = os.fork()
    if not task:
        os.close(latch)
        break
    os.close(gate)
    answer(before)
    if read(1) != b'G':
        os._exit(125)
    mark = b'\0' + read(16)
    open_gate(latch)
    code = supervise(task, mark, header['limits'], first, oom_before, header['alone'])
    if not header['reuse'] or read(1) != b'N':
        os._exit(code)
    for folder in WRITABLE:
        wipe(folder)
    if condition() != born:
        os._exit(code)
    first = False

${taskSource}`;
