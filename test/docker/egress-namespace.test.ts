import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { program } from '../fixtures/program.ts';

const test = suite('docker: allowed hosts in a network of its own');

const run = promisify(execFile);

/** Of the internet beyond the worker's own network. */
const WEB = '93.184.216.34';
const METADATA = '169.254.169.254';
const INSIDE = '10.9.9.9';
/** In the worker's own network; the name server as well, which answers from the address that was asked. */
const NEIGHBOUR = '8.8.4.2';

interface Net {
  /** Runs a command where the worker is; its stdout. */
  worker(...command: string[]): Promise<string>;
}

/** Two namespaces: the worker's, and behind its only line an internet, in which also addresses answer that no task may see. */
async function withNet(names: readonly string[], body: (net: Net) => Promise<void>): Promise<void> {
  const [near, far] = [`dux-near-${process.pid}`, `dux-far-${process.pid}`];
  const etc = `/etc/netns/${near}`;
  const ip = (...args: string[]) => run('ip', args);
  let internet: ChildProcess | undefined;
  try {
    await ip('netns', 'add', near);
    await ip('netns', 'add', far);
    await ip('link', 'add', 'line', 'netns', near, 'type', 'veth', 'peer', 'name', 'line', 'netns', far);
    for (const [name, address] of [
      [near, '8.8.4.1/24'],
      [far, `${NEIGHBOUR}/24`],
    ] as const) {
      await ip('-n', name, 'address', 'add', address, 'dev', 'line');
      await ip('-n', name, 'link', 'set', 'line', 'up');
      await ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    for (const address of [WEB, METADATA, INSIDE])
      await ip('-n', far, 'address', 'add', `${address}/32`, 'dev', 'lo');
    await ip('-n', near, 'route', 'add', 'default', 'via', NEIGHBOUR);
    await mkdir(etc, { recursive: true });
    await writeFile(join(etc, 'resolv.conf'), `nameserver ${NEIGHBOUR}\n`);
    internet = spawn(
      'ip',
      ['netns', 'exec', far, process.execPath, ...program('fixtures/net/internet.ts'), ...names],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await once(internet.stdout as NonNullable<typeof internet.stdout>, 'data');
    await body({
      async worker(...command) {
        const { stdout, stderr } = await run('ip', ['netns', 'exec', near, ...command]);
        assert.is(stderr, '');
        return stdout;
      },
    });
  } finally {
    if (internet?.kill('SIGKILL')) await once(internet, 'close');
    await rm(etc, { recursive: true, force: true });
    for (const name of [near, far]) if (existsSync(`/run/netns/${name}`)) await ip('netns', 'del', name);
  }
}

const ask = `
import socket, urllib.error, urllib.request
def get(host):
    try:
        with urllib.request.urlopen('http://%s/' % host, timeout=20) as reply:
            print(host, reply.read().decode())
    except urllib.error.HTTPError as error:
        print(host, error.code, error.read().decode().strip())
    except OSError as error:
        print(host, error)
`;

test('an allowed public host is reached by name; what is inside is not, whatever its name says', async () => {
  const names = [
    `web.test=${WEB}`,
    `metadata.test=${METADATA}`,
    `inside.test=${INSIDE}`,
    `neighbour.test=${NEIGHBOUR}`,
    `self.test=8.8.4.1`,
    `loop.test=127.0.0.1`,
    `rebind.test=${WEB},${METADATA}`,
    `other.test=${WEB}`,
  ];
  const allowed = names.map(text => text.split('=')[0] ?? '').filter(name => name !== 'other.test');
  const folder = await mkdtemp(join(tmpdir(), 'dux-net-'));
  try {
    await withNet(names, async net => {
      // the machine itself reaches all of them: it is the proxy that keeps a task from them
      const direct = `${ask}\nfor host in ('${WEB}', '${METADATA}', '${INSIDE}', '${NEIGHBOUR}'): get(host)`;
      const seen = [WEB, METADATA, INSIDE, NEIGHBOUR].map(address => `${address} web at ${address}\n`);
      assert.is(await net.worker('python3', '-c', direct), seen.join(''));

      const code = `${ask}
for host in ('web.test', 'metadata.test', 'inside.test', 'neighbour.test', 'self.test', 'loop.test', 'rebind.test',
             'rebind.test', 'other.test', 'none.test', '${METADATA}', '${WEB}'):
    get(host)
try: socket.create_connection(('${WEB}', 80), 5)
except OSError as error: print(error.errno)`;
      const child = [process.execPath, ...program('fixtures/net/task-in-namespace.ts')];
      const said = await net.worker(...child, join(folder, 's'), code, ...allowed, 'none.test', METADATA);
      const not = (host: string, why: string) => `${host} 403 this task may not reach ${host}: ${why}`;
      assert.equal(said.trim().split('\n'), [
        `web.test web at ${WEB}`,
        not('metadata.test', `${METADATA} is not a public address (linkLocal)`),
        not('inside.test', `${INSIDE} is not a public address (private)`),
        not('neighbour.test', `${NEIGHBOUR} is in a network of the machine that runs this task`),
        not('self.test', '8.8.4.1 is in a network of the machine that runs this task'),
        not('loop.test', '127.0.0.1 is not a public address (loopback)'),
        `rebind.test web at ${WEB}`,
        not('rebind.test', `${METADATA} is not a public address (linkLocal)`),
        'other.test 403 this task may not reach other.test:80: it is not among its allowed hosts',
        'none.test 502 none.test cannot be looked up',
        not(METADATA, `${METADATA} is not a public address (linkLocal)`),
        `${WEB} 403 this task may not reach ${WEB}:80: it is not among its allowed hosts`,
        '101',
      ]);
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.run();
