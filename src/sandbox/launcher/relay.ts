/** Where the folder with the socket of a task's proxy is in a container; and in a native sandbox, whose root has no room for it. */
export const SOCKET_FOLDER = '/run/duxnode';
export const NATIVE_SOCKET_FOLDER = '/dev/shm/duxnode';
/** In that folder. */
export const SOCKET_NAME = 'proxy.sock';

/** The task has a network namespace of its own, so that this port is always free. */
const PORT = 3128;
const PROXY = `http://127.0.0.1:${PORT}`;

/** What programs look at for a proxy; most read only one of the two spellings. */
export const proxyEnv: Readonly<Record<string, string>> = {
  HTTP_PROXY: PROXY,
  HTTPS_PROXY: PROXY,
  http_proxy: PROXY,
  https_proxy: PROXY,
  NO_PROXY: 'localhost,127.0.0.1',
  no_proxy: 'localhost,127.0.0.1',
};

/**
 * Carries TCP connections of a task to its proxy's Unix socket, as HTTP clients speak to no other than TCP proxies. Run by the
 * launcher before the task: it listens, then goes on in a process of its own (same user, closed to the task by the launcher's
 * PR_SET_DUMPABLE 0), which dies with all others at the task's end. Nothing here is a wall: the proxy decides. It holds at most
 * 64 KiB for each direction, and takes no more connections than `LIMIT`, which is more than the proxy serves at a time.
 */
export const relaySource: string = `
import os, select, socket

LIMIT = 64
PIECE = 65536
FOLDER = '${SOCKET_FOLDER}' if os.path.isdir('${SOCKET_FOLDER}') else '${NATIVE_SOCKET_FOLDER}'
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('127.0.0.1', ${PORT}))
listener.listen(LIMIT)

class Way:
    def __init__(self, source, sink):
        self.source, self.sink, self.data, self.ended = source, sink, b'', False

    def take(self):
        self.data = self.source.recv(PIECE)
        if not self.data:
            self.ended = True
            self.sink.shutdown(socket.SHUT_WR)

    def give(self):
        self.data = self.data[self.sink.send(self.data):]

def accept(pairs):
    near = listener.accept()[0]
    far = socket.socket(socket.AF_UNIX)
    try:
        far.connect(FOLDER + '/${SOCKET_NAME}')
    except OSError:
        near.close()
        far.close()
        return
    near.setblocking(False)
    far.setblocking(False)
    pairs.append((Way(near, far), Way(far, near)))

def relay():
    pairs = []
    while True:
        ways = [way for pair in pairs for way in pair]
        reads = {way.source: way for way in ways if not way.data and not way.ended}
        writes = {way.sink: way for way in ways if way.data}
        ears = [listener] if len(pairs) < LIMIT else []
        readable, writable, _ = select.select(ears + list(reads), list(writes), [])
        broken = set()
        for sockets, known, act in ((readable, reads, Way.take), (writable, writes, Way.give)):
            for end in sockets:
                if end is listener:
                    accept(pairs)
                    continue
                try:
                    act(known[end])
                except BlockingIOError:
                    pass
                except OSError:
                    broken.add(known[end])
        for pair in list(pairs):
            if all(way.ended for way in pair) or not broken.isdisjoint(pair):
                pairs.remove(pair)
                for way in pair:
                    way.source.close()

if os.fork():
    listener.close()
else:
    try:
        null = os.open('/dev/null', os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        relay()
    finally:
        os._exit(0)
`;
