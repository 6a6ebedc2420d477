import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  createEgress,
  type Egress,
  type EgressComponents,
  type EgressInit,
} from '../../src/sandbox/index.ts';
import { codeOf, deferred } from '../../src/util/index.ts';
import { waitFor } from '../fixtures/wait.ts';
import { keepAliveClock } from './clock.ts';
import { rejection } from './conformance.ts';

const test = suite('sandbox: egress');

const UID = process.getuid?.() ?? 0;

interface World {
  readonly egress: Egress;
  readonly dir: string;
  /** Of the web server on loopback that stands for the internet. */
  readonly port: number;
  readonly web: Server;
  readonly counts: Map<string, number>;
}

/** An egress whose resolver and address rule let tests reach a server on loopback, and that server. */
async function withWorld(
  body: (world: World) => Promise<void>,
  components: Partial<EgressComponents> = {},
  init: (port: number) => Partial<EgressInit> = () => ({}),
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'dux-egress-'));
  const dir = join(folder, 'sockets');
  const web = createServer((request, response) => {
    // a client may break off in the middle
    answer(request).then(
      text => response.end(text),
      () => response.destroy(),
    );
  });
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  const { port } = web.address() as AddressInfo;
  const counts = new Map<string, number>();
  const egress = createEgress(
    {
      clock: keepAliveClock,
      resolve: async () => '127.0.0.1',
      problem: () => undefined,
      metrics: {
        count: (name, { answer = '' } = {}, by = 1) =>
          void counts.set(`${name} ${answer}`, (counts.get(`${name} ${answer}`) ?? 0) + by),
        gauge() {},
        observe() {},
      },
      ...components,
    },
    { dir, allowedHosts: [`web.test:${port}`, `*.below.test:${port}`], ...init(port) },
  );
  await egress.start();
  try {
    await body({ egress, dir, port, web, counts });
  } finally {
    await egress.stop();
    web.closeAllConnections();
    web.close();
    await rm(folder, { recursive: true });
  }
}

async function answer(request: IncomingMessage): Promise<string> {
  let bytes = 0;
  for await (const chunk of request) bytes += chunk.length;
  return JSON.stringify({ method: request.method, url: request.url, headers: request.headers, bytes });
}

interface Reply {
  readonly status: number;
  readonly text: string;
}

/** A plain request through a proxy's socket. */
function ask(
  socketPath: string,
  url: string,
  headers: Record<string, string> = {},
  body = '',
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { socketPath, path: url, method: body ? 'POST' : 'GET', headers, agent: false },
      reply => {
        let text = '';
        reply.on('data', chunk => {
          text += chunk;
        });
        reply.on('end', () => resolve({ status: reply.statusCode ?? 0, text }));
        reply.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** The answer to CONNECT, and the socket behind it. */
async function tunnel(socketPath: string, authority: string): Promise<{ head: string; socket: Socket }> {
  const socket = connect(socketPath);
  socket.on('error', () => socket.destroy());
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  const [chunk] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [''])]);
  return { head: String(chunk), socket };
}

async function all(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += chunk;
  return text;
}

test('lets to an allowed host by plain request and by tunnel, and to no other', () =>
  withWorld(async ({ egress, port, counts }) => {
    const door = await egress.open(UID, [`web.test:${port}`]);
    const reply = await ask(door.path, `http://web.test:${port}/a?b`, {
      'Proxy-Authorization': 'x',
      'X-A': '1',
    });
    assert.is(reply.status, 200);
    const seen = JSON.parse(reply.text);
    assert.is(seen.url, '/a?b');
    assert.is(seen.headers.host, `web.test:${port}`);
    assert.is(seen.headers['x-a'], '1');
    assert.is(seen.headers['proxy-authorization'], undefined);
    const posted = await ask(
      door.path,
      `http://web.test:${port}/`,
      { 'Transfer-Encoding': 'chunked' },
      'x'.repeat(300_000),
    );
    assert.is(JSON.parse(posted.text).bytes, 300_000);

    const { head, socket } = await tunnel(door.path, `web.test:${port}`);
    assert.match(head, /^HTTP\/1\.1 200 /);
    socket.end('GET /in HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n');
    assert.match(await all(socket), /"url":"\/in"/);

    for (const authority of [
      `other.test:${port}`,
      'web.test:22',
      `127.0.0.1:${port}`,
      `x.below.test:${port}`,
    ]) {
      assert.match(
        (await tunnel(door.path, authority)).head,
        /^HTTP\/1\.1 403 [\s\S]*not among its allowed hosts\n$/,
        authority,
      );
      assert.is((await ask(door.path, `http://${authority}/`)).status, 403, authority);
    }
    assert.is((await ask(door.path, '/')).status, 400);
    assert.is((await ask(door.path, `http://web.test:${port}/`, { A: 'x'.repeat(20_000) })).status, 431);
    assert.is(counts.get('sandbox_egress_total host'), 8);
    assert.is(counts.get('sandbox_egress_total connected'), 3);
  }));

test('another name in Host reaches no neighbour', () =>
  withWorld(async ({ egress, port }) => {
    const door = await egress.open(UID, [`web.test:${port}`]);
    const { text } = await ask(door.path, `http://web.test:${port}/`, { Host: 'neighbour.test' });
    assert.is(JSON.parse(text).headers.host, `web.test:${port}`);
  }));

test('the operator’s list bounds the task’s own', () =>
  withWorld(async ({ egress, port }) => {
    const door = await egress.open(UID, ['*', `other.test:${port}`, `a.below.test:${port}`]);
    assert.is((await ask(door.path, `http://a.below.test:${port}/`)).status, 200);
    assert.is((await ask(door.path, `http://other.test:${port}/`)).status, 403);
    assert.is((await ask(door.path, `http://web.test:${port}/`)).status, 403);
  }));

test('by its real address rule an allowed name that leads inside is refused', async () => {
  const { addressProblem } = await import('../../src/sandbox/egress/address.ts');
  for (const address of ['127.0.0.1', '169.254.169.254', '10.0.0.1', '::1', '::ffff:127.0.0.1'])
    await withWorld(
      async ({ egress, port, web, counts }) => {
        let reached = false;
        web.on('connection', () => {
          reached = true;
        });
        const door = await egress.open(UID, [`web.test:${port}`]);
        const reply = await ask(door.path, `http://web.test:${port}/`);
        assert.is(reply.status, 403, address);
        assert.match(reply.text, /not a public address/);
        assert.match((await tunnel(door.path, `web.test:${port}`)).head, /^HTTP\/1\.1 403 /);
        assert.is(reached, false);
        assert.is(counts.get('sandbox_egress_total address'), 2);
      },
      { resolve: async () => address, problem: found => addressProblem(found, []) },
    );
});

test('a name that changes its mind is looked up once for each connection, and that address is checked', async () => {
  const answers = ['127.0.0.1', '169.254.169.254'];
  const asked: string[] = [];
  await withWorld(
    async ({ egress, port }) => {
      const door = await egress.open(UID, [`web.test:${port}`]);
      assert.is((await ask(door.path, `http://web.test:${port}/`)).status, 200);
      assert.equal(asked, ['127.0.0.1']);
      assert.is((await ask(door.path, `http://web.test:${port}/`)).status, 403);
      assert.equal(asked, ['127.0.0.1', '169.254.169.254']);
    },
    {
      resolve: async () => answers.shift() ?? 'none',
      problem: address => {
        asked.push(address);
        return address.startsWith('169.') ? 'it is inside' : undefined;
      },
    },
  );
});

test('a host that cannot be looked up, or does not answer, is said so', () =>
  withWorld(
    async ({ egress, port }) => {
      const door = await egress.open(UID, [`web.test:${port}`, `a.below.test:${port}`]);
      assert.match((await ask(door.path, `http://a.below.test:${port}/`)).text, /cannot be looked up/);
      const closed = createTcpServer().listen(0, '127.0.0.1');
      await once(closed, 'listening');
      const free = (closed.address() as AddressInfo).port;
      closed.close();
      await once(closed, 'close');
      assert.match((await tunnel(door.path, `web.test:${free}`)).head, /^HTTP\/1\.1 403 /);
      assert.is((await ask(door.path, `http://web.test:${port}/`)).status, 502);
    },
    {
      resolve: async host => {
        if (host !== 'web.test') throw new Error('no such name');
        return '127.0.0.2';
      },
    },
  ));

test('connections and bytes have limits', () =>
  withWorld(
    async ({ egress, port, counts }) => {
      const door = await egress.open(UID, [`web.test:${port}`]);
      const held = [await tunnel(door.path, `web.test:${port}`), await tunnel(door.path, `web.test:${port}`)];
      assert.match((await tunnel(door.path, `web.test:${port}`)).head, /403 [\s\S]*2 connections at a time/);
      for (const { socket } of held) {
        socket.end();
        await once(socket, 'close');
      }
      // the proxy counts them until it has seen their end, too
      const isFree = async () => (await ask(door.path, 'http://other.test/')).text.includes('not among');
      await waitFor(isFree, 'the connections to be over');
      const big = ask(door.path, `http://web.test:${port}/`, {}, 'x'.repeat(200_000));
      assert.instance(await rejection(big), Error);
      assert.match((await ask(door.path, `http://web.test:${port}/`)).text, /moved 100000 bytes/);
      const next = await egress.open(UID, [`web.test:${port}`]);
      assert.is((await ask(next.path, `http://web.test:${port}/`)).status, 200);
      assert.ok((counts.get('sandbox_egress_total limit') ?? 0) >= 2);
    },
    {},
    () => ({ maxConnections: 2, maxBytes: 100_000 }),
  ));

test('a connection on which nothing moves is closed', () =>
  withWorld(
    async ({ egress, port }) => {
      const door = await egress.open(UID, [`web.test:${port}`]);
      const { socket } = await tunnel(door.path, `web.test:${port}`);
      await once(socket, 'close');
    },
    {},
    () => ({ idleMs: 200 }),
  ));

test('a closed door ends its tunnels, takes nobody else’s, and leaves no socket', () =>
  withWorld(async ({ egress, dir, port, web }) => {
    const door = await egress.open(UID, [`web.test:${port}`]);
    const other = await egress.open(UID, [`web.test:${port}`]);
    assert.is((await stat(dir)).mode & 0o777, 0o700);
    const arrived = deferred<Socket>();
    web.once('connection', arrived.resolve);
    const { socket } = await tunnel(door.path, `web.test:${port}`);
    const far = await arrived.promise;
    const [near, away] = [once(socket, 'close'), once(far, 'close')];
    await door.close();
    await Promise.all([near, away]);
    assert.is(codeOf(await rejection(ask(door.path, `http://web.test:${port}/`))), 'ENOENT');
    assert.is((await ask(other.path, `http://web.test:${port}/`)).status, 200);
    assert.is((await readdir(dir)).length, 1);
    await other.close();
    assert.equal(await readdir(dir), []);
  }));

test('one that hangs up while it is being connected leaves nothing behind', async () => {
  const asked = deferred<void>();
  const found = deferred<string>();
  await withWorld(
    async ({ egress, port, web }) => {
      let reached = false;
      web.on('connection', () => {
        reached = true;
      });
      const door = await egress.open(UID, [`web.test:${port}`]);
      const client = connect(door.path);
      client.write(`GET http://web.test:${port}/ HTTP/1.1\r\nHost: web.test\r\n\r\n`);
      await asked.promise;
      client.destroy();
      await once(client, 'close');
      assert.is((await ask(door.path, 'http://other.test/')).status, 403);
      found.resolve('127.0.0.1');
      assert.is((await ask(door.path, 'http://other.test/')).status, 403);
      assert.is(reached, false);
    },
    {
      resolve() {
        asked.resolve();
        return found.promise;
      },
    },
  );
});

test('sockets of an earlier run go at the start; a path that no socket can have is refused', () =>
  withWorld(async ({ egress, dir, port }) => {
    await egress.open(UID, [`web.test:${port}`]);
    const next = createEgress({ clock: keepAliveClock }, { dir, allowedHosts: [] });
    await next.start();
    assert.equal(await readdir(dir), []);
    const long = createEgress(
      { clock: keepAliveClock },
      { dir: join(dir, randomUUID().repeat(3)), allowedHosts: [] },
    );
    assert.is(codeOf(await rejection(long.start())), 'EGRESS_PATH');
  }));

test.run();
