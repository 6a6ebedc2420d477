import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDockerExecutor, createEgress, type Egress, type Executor } from '../../src/sandbox/index.ts';
import { codeOf, messageOf, silentLogger } from '../../src/util/index.ts';
import { keepAliveClock } from '../sandbox/clock.ts';
import { rejection, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { containersOf, IMAGE, socketPath, withImage } from './support.ts';

const test = suite('docker: allowed hosts');

interface World {
  readonly executor: Executor;
  readonly egress: Egress;
  readonly dir: string;
  /** Of a web server on this machine's loopback, which the proxy takes for `web.test`. */
  readonly port: number;
}

/** What a request was answered, or how it failed, as `status text`. */
const get = `
import os, socket, sys, threading, urllib.error, urllib.request
def get(url, data=None):
    try:
        with urllib.request.urlopen(url, data, timeout=20) as reply:
            return '%d %s' % (reply.status, reply.read().decode())
    except urllib.error.HTTPError as error:
        return '%d %s' % (error.code, error.read().decode())
    except OSError as error:
        return str(error)
`;

async function withWorld(body: (world: World) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'dux:egress-'));
  const dir = join(folder, 'sockets');
  const web = createServer((request, response) => {
    let bytes = 0;
    request.on('data', chunk => {
      bytes += chunk.length;
    });
    request.on('end', () =>
      response.end(request.method === 'POST' ? `${bytes} ${'y'.repeat(bytes)}` : 'from the web'),
    );
  });
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  const { port } = web.address() as AddressInfo;
  const owner = `test-${crypto.randomUUID()}`;
  const clock = keepAliveClock;
  const parts = { clock, resolve: async () => '127.0.0.1', problem: () => undefined };
  const egress = createEgress(parts, { dir, allowedHosts: [`web.test:${port}`] });
  const executor = createDockerExecutor({ logger: silentLogger, clock, egress }, { socketPath, owner });
  await executor.start();
  try {
    await body({ executor, egress, dir, port });
    // a socket goes with its container, which is removed behind the result
    await executor.stop();
    assert.equal(await readdir(folder), []);
    assert.equal(await containersOf(owner), []);
  } finally {
    await executor.stop();
    web.closeAllConnections();
    web.close();
    await rm(folder, { recursive: true });
  }
}

test('a task reaches the host that it may, and nothing else in any way', () =>
  withWorld(async ({ executor, port }) => {
    const image = await executor.ensureImage(IMAGE, {});
    const code = `${get}
print(get('http://web.test:${port}/'))
print(get('http://other.test:${port}/'))
print(get('https://other.test/'))
for address in (('127.0.0.1', ${port}), ('1.1.1.1', 443), ('169.254.169.254', 80), ('172.17.0.1', 22)):
    try:
        socket.create_connection(address, 5)
        print('reached', address)
    except OSError as error:
        print(error.errno in (101, 111), address[0])
try:
    print(socket.gethostbyname('web.test'))
except OSError as error:
    print('no DNS')
print(open('/proc/net/route').read().count('\\n'), sorted(os.listdir('/sys/class/net')), os.listdir('/run/duxnode'))`;
    const { stdout, stderr } = await runOn(
      executor,
      image,
      taskOf(code, { allowHosts: [`web.test:${port}`] }),
    );
    assert.is(textOf(stderr), '');
    assert.equal(textOf(stdout).split('\n'), [
      '200 from the web',
      `403 this task may not reach other.test:${port}: it is not among its allowed hosts`,
      '',
      '<urlopen error Tunnel connection failed: 403 Forbidden>',
      'True 127.0.0.1',
      'True 1.1.1.1',
      'True 169.254.169.254',
      'True 172.17.0.1',
      'no DNS',
      "1 ['lo'] ['proxy.sock']",
      '',
    ]);
  }));

test('many connections at once carry all their bytes, both ways', () =>
  withWorld(async ({ executor, port }) => {
    const image = await executor.ensureImage(IMAGE, {});
    const code = `${get}
replies = []
def post():
    replies.append(get('http://web.test:${port}/', b'x' * 700000))
threads = [threading.Thread(target=post) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(replies.count('200 700000 ' + 'y' * 700000))`;
    const { stdout } = await runOn(
      executor,
      image,
      taskOf(code, { allowHosts: [`web.test:${port}`], limits: { timeoutMs: 60_000 } }),
    );
    assert.is(textOf(stdout), '12\n');
  }));

test('a task without allowed hosts has no proxy, and finds none of another’s', () =>
  withWorld(async ({ executor, egress, dir, port }) => {
    const image = await executor.ensureImage(IMAGE, {});
    const other = await executor.prepare(taskOf('', { allowHosts: [`web.test:${port}`] }), image, {});
    const code = `${get}
print([name for name in os.environ if 'proxy' in name.lower()], os.path.exists('/run/duxnode'), os.path.exists(${JSON.stringify(dir)}))
print(get('http://web.test:${port}/'))
try: socket.create_connection(('127.0.0.1', 3128), 5)
except OSError as error: print(error.errno)`;
    const { stdout } = await runOn(executor, image, taskOf(code));
    assert.match(textOf(stdout), /^\[\] False False\n<urlopen error .*>\n111\n$/);
    await other.discard();

    const door = await egress.open(1_000_000_001, [`web.test:${port}`]);
    const knock = `require('net').connect(${JSON.stringify(door.path)}).on('error', e => console.log(e.code)).on('connect', () => process.exit(9))`;
    const stranger = spawn(process.execPath, ['-e', knock], {
      uid: 1_000_000_002,
      gid: 1_000_000_002,
      cwd: '/',
    });
    let said = '';
    stranger.stdout.on('data', chunk => {
      said += chunk;
    });
    await once(stranger, 'close');
    assert.is(said, 'EACCES\n');
  }));

test('what a task may not have is refused before it runs', () =>
  withWorld(async ({ executor, port }) => {
    const image = await executor.ensureImage(IMAGE, {});
    assert.equal(executor.limits().allowedHosts, [`web.test:${port}`]);
    const refuse = async (change: Parameters<typeof taskOf>[1]) => {
      const error = await rejection(executor.prepare(taskOf('', change), image, {}));
      assert.is(codeOf(error), 'SANDBOX_REFUSED');
      return messageOf(error);
    };
    assert.match(await refuse({ allowHosts: ['web.test'] }), /no task may reach web\.test from here/);
    assert.match(await refuse({ allowHosts: [`web.test:${port}`, '*.org'] }), /reach \*\.org/);
    if (executor.limits().runtimes.includes('runsc'))
      assert.match(await refuse({ allowHosts: [`web.test:${port}`], runtime: 'runsc' }), /gVisor/);
    await withImage('FROM python:3.9-slim\nRUN rm -rf /usr/bin/python3*', {}, async ref => {
      const bare = await executor.ensureImage(ref, {});
      const task = taskOf(['true'], { allowHosts: [`web.test:${port}`] });
      assert.match(
        messageOf(await rejection(executor.prepare(task, bare, {}))),
        /allowed hosts need Python 3/,
      );
    });
  }));

test('a proxy ends with its task, whatever the task left open', () =>
  withWorld(async ({ executor, dir, port }) => {
    const image = await executor.ensureImage(IMAGE, {});
    const code = `${get}
held = socket.create_connection(('127.0.0.1', 3128))
held.sendall(b'CONNECT web.test:${port} HTTP/1.1\\r\\n\\r\\n')
print(held.recv(12))
if os.fork(): os._exit(0)
import time; time.sleep(100)`;
    const result = await runOn(executor, image, taskOf(code, { allowHosts: [`web.test:${port}`] }));
    assert.is(textOf(result.stdout), "b'HTTP/1.1 200'\n");
    await executor.stop();
    assert.equal(await readdir(join(dir, '..')), []);
  }));

test.run();
