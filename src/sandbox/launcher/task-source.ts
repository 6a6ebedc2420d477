/**
 * The launcher's part that runs in the task's own process, once it was forked. The child leaves this script by its last line, so
 * that the interpreter itself ends the task: exit handlers, threads, tracebacks and exit codes are those of a plain
 * `python3 main.py`. Where that has nothing to do (no handler, no thread, no object with a finalizer, no library that may have
 * one), the child ends as a C program does, 5 ms earlier.
 */
export const taskSource: string = String.raw`
# counting them takes no longer than what it saves
MANY = 5000
SUSPENDED = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)

def become(header, gate):
    os.setsid()
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    try:
        score = os.open('/proc/self/oom_score_adj', os.O_WRONLY)
        os.write(score, b'1000')
        os.close(score)
    except OSError:
        pass
    null = os.open('/dev/null', os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.environ.update(header['env'])
    folder = header['cwd']
    try:
        if folder.startswith(TASK + '/'):
            os.makedirs(folder, exist_ok=True)
        os.chdir(folder)
    except OSError as error:
        write(2, ('cannot use the working directory: %s\n' % error).encode())
        os._exit(126)
    argv = header.get('argv')
    if os.read(gate, 1) != b'G':
        os._exit(125)
    os.close(gate)
    if argv:
        try:
            os.execvp(argv[0], argv)
        except (OSError, ValueError) as error:
            write(2, ('cannot run %s: %s\n' % (argv[0], error)).encode())
            os._exit(127 if isinstance(error, FileNotFoundError) else 126)

def main_module(code):
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(line_buffering=True)
    sys.argv = ['main.py']
    sys.path.insert(0, TASK)
    module = type(sys)('__main__')
    module.__file__ = 'main.py'
    def show(kind, error, trace):
        import linecache, traceback
        linecache.cache['main.py'] = (len(code), None, code.splitlines(True), 'main.py')
        while trace and trace.tb_frame.f_code.co_filename != 'main.py':
            trace = trace.tb_next
        traceback.print_exception(kind, error, trace)
    sys.excepthook = show
    module.__dict__['__builtins__'] = __builtins__
    sys.modules['__main__'] = module
    return module

def has_finalizer(o):
    return hasattr(o if isinstance(o, type) else type(o), '__del__') or isinstance(o, SUSPENDED)

def is_foreign(module):
    path = getattr(module, '__file__', None) or ''
    return path.endswith('.so') and '/lib-dynload/' not in path

def leave():
    try:
        objects = gc.get_objects()
        if 'threading' in sys.modules or atexit._ncallbacks() > 0 or len(objects) > MANY:
            return
        if any(map(has_finalizer, objects)) or any(map(is_foreign, sys.modules.values())):
            return
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            stream.flush()
    except Exception:
        return
    libc.exit(0)

become(header, gate)
source = header['code']
module = main_module(source)
del header
exec(compile(source, 'main.py', 'exec', dont_inherit=True), module.__dict__)
leave()
`;
