import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDisks, createEgress, createNativeExecutor, type Executor } from '../../src/sandbox/index.ts';
import { codeOf, silentLogger } from '../../src/util/index.ts';
import { keepAliveClock } from '../sandbox/clock.ts';
import { MIB, rejection, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { groupsOf, IMAGE, imagesDir } from './support.ts';

const test = suite('native: allowed hosts and large disks');

interface World {
  readonly executor: Executor;
  /** Of a web server on this machine's loopback, which the proxy takes for `web.test`. */
  readonly port: number;
}

async function withWorld(body: (world: World) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'dux-native-extras-'));
  const web = createServer((_request, response) => response.end('from the web'));
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  const { port } = web.address() as AddressInfo;
  const owner = `test-${crypto.randomUUID()}`;
  const [logger, clock] = [silentLogger, keepAliveClock];
  const egress = createEgress(
    { clock, resolve: async () => '127.0.0.1', problem: () => undefined },
    { dir: join(folder, 'egress'), allowedHosts: [`web.test:${port}`] },
  );
  const disks = createDisks({ logger }, { dir: join(folder, 'disks') });
  const executor = createNativeExecutor(
    { logger, clock, egress, disks },
    { owner, imagesDir, stateDir: join(folder, 'state') },
  );
  await executor.start();
  try {
    await body({ executor, port });
    await executor.stop();
    assert.equal(await groupsOf(owner), []);
    assert.not.match(await readFile('/proc/self/mountinfo', 'utf8'), folder);
    for (const name of ['egress', 'disks']) assert.not((await readdir(folder)).includes(name));
  } finally {
    await executor.stop();
    web.closeAllConnections();
    web.close();
    await rm(folder, { recursive: true, force: true });
  }
}

test('a task reaches the host that it may, and nothing else in any way', () =>
  withWorld(async ({ executor, port }) => {
    const image = await executor.ensureImage(IMAGE, {});
    const code = `
import os, socket, urllib.error, urllib.request
def get(url):
    try:
        return urllib.request.urlopen(url, timeout=20).read().decode()
    except urllib.error.HTTPError as error:
        return '%d %s' % (error.code, error.read().decode().strip())
    except OSError as error:
        return 'failed'
print(get('http://web.test:${port}/'))
print(get('http://other.test:${port}/'))
for address in (('127.0.0.1', ${port}), ('1.1.1.1', 443), ('169.254.169.254', 80)):
    try:
        socket.create_connection(address, 5)
        print('reached', address)
    except OSError as error:
        print(error.errno in (101, 111))
try:
    open('/dev/shm/duxnode/more', 'w')
except OSError as error:
    print(error.errno, os.listdir('/dev/shm/duxnode'))`;
    const { stdout, stderr } = await runOn(
      executor,
      image,
      taskOf(code, { allowHosts: [`web.test:${port}`] }),
    );
    assert.is(textOf(stderr), '');
    assert.equal(textOf(stdout).trim().split('\n'), [
      'from the web',
      `403 this task may not reach other.test:${port}: it is not among its allowed hosts`,
      ...['True', 'True', 'True'],
      "30 ['proxy.sock']",
    ]);
    const without = await runOn(
      executor,
      image,
      taskOf(`import os\nprint(os.listdir('/dev/shm'), os.environ.get('HTTP_PROXY'))`),
    );
    assert.is(textOf(without.stdout), '[] None\n');
    const error = await rejection(executor.prepare(taskOf('', { allowHosts: ['other.test'] }), image, {}));
    assert.is(codeOf(error), 'SANDBOX_REFUSED');
  }));

test('a disk that is larger than the task’s memory can be filled, and is full at its end', () =>
  withWorld(async ({ executor }) => {
    const image = await executor.ensureImage(IMAGE, {});
    const fill = (mib: number) => `
import os
try:
    for i in range(${mib}):
        with open(f'big{i // 100}', 'ab') as file: file.write(b'x' * (1 << 20))
except OSError as error:
    print(error.errno)
line = [line for line in open('/proc/self/mountinfo') if line.split()[4] == '/task'][0]
print(sum(os.path.getsize(name) for name in os.listdir() if name.startswith('big')) >> 20 >= ${mib}, 'nosuid' in line, 'nodev' in line, ' ext4 ' in line)`;
    const limits = { memoryBytes: 64 * MIB, diskBytes: 200 * MIB, timeoutMs: 60_000 };
    const fits = await runOn(executor, image, taskOf(fill(199), { limits }));
    assert.equal(
      [textOf(fits.stdout), fits.outcome, fits.oomKilled],
      ['True True True True\n', 'exited', false],
    );
    const full = await runOn(executor, image, taskOf(fill(250), { limits }));
    assert.equal([textOf(full.stdout), full.outcome], ['28\nFalse True True True\n', 'exited']);
  }));

test.run();
