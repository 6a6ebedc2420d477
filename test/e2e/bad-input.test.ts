import { request } from 'node:http';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRegistry } from '../docker/registry.ts';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import { ended, historyOf, submit, taskBody, withDevnet } from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('e2e: bad input');

interface Problem {
  readonly status: number;
  readonly type: string;
  readonly code: string;
  readonly fields: readonly string[];
}

/** A request with any headers at all, as no well-mannered client would send it; without the token. */
function raw(
  { url }: DaemonProcess,
  method: string,
  path: string,
  { headers = {}, body = '' }: { headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<Problem> {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}${path}`, { method, headers }, response => {
      const chunks: Buffer[] = [];
      response.on('data', chunk => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const type = response.headers['content-type'] ?? '';
        const { code = '', errors = [] } = type.includes('json') ? JSON.parse(text) : {};
        const fields = errors.map(({ field }: { field: string }) => field);
        resolve({ status: response.statusCode ?? 0, type, code, fields });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const JSON_TYPE = { 'content-type': 'application/json' };
const post = (daemon: DaemonProcess, body: string, headers: Record<string, string> = {}) =>
  raw(daemon, 'POST', '/tasks/submit', { headers: { ...JSON_TYPE, ...headers }, body });

function assertProblem(problem: Problem, status: number, code: string, what: string): void {
  assert.is(problem.status, status, what);
  assert.match(problem.type, /^application\/problem\+json/, what);
  assert.is(problem.code, code, what);
}

/** Each with the one field that is wrong. */
const WRONG_FIELDS: readonly (readonly [body: string, field: string])[] = [
  ['{"code": ""}', 'code'],
  ['{"code": "  \\n"}', 'code'],
  ['{"code": 5}', 'code'],
  ['{}', 'code'],
  ['[]', 'body'],
  ['null', 'body'],
  ['{"code": "x", "colour": 1}', 'colour'],
  ['{"code": "x", "cpu_cores": "two"}', 'cpu_cores'],
  ['{"code": "x", "cpu_cores": -1}', 'cpu_cores'],
  ['{"code": "x", "memory_mb": 1e99}', 'memory_mb'],
  ['{"code": "x", "memory_mb": 1.5}', 'memory_mb'],
  ['{"code": "x", "priority": 11}', 'priority'],
  ['{"code": "x", "timeout_seconds": 0}', 'timeout_seconds'],
  ['{"code": "x", "payment_amount": -5}', 'payment_amount'],
  ['{"code": "x", "payment_amount": 0.123456789}', 'payment_amount'],
  ['{"code": "x", "payment_amount": 99999999999999999999}', 'payment_amount'],
  ['{"code": "x", "payment_amount": NaN}', 'payment_amount'],
  ['{"code": "x", "payment_amount": "five"}', 'payment_amount'],
  ['{"code": "x", "payment_amount": null}', 'payment_amount'],
  ['{"code": "x", "image": "no spaces"}', 'image'],
  ['{"code": "x", "avoid": ["nobody"]}', 'avoid[0]'],
];

async function refusesBodies(daemon: DaemonProcess): Promise<void> {
  for (const [body, field] of WRONG_FIELDS) {
    const problem = await post(daemon, body);
    assertProblem(problem, 400, 'INVALID_REQUEST', body);
    assert.ok(problem.fields.includes(field), `${body}: ${problem.fields}`);
  }
  for (const body of ['{', '{"code": "x"', "{'code': 'x'}", '{"code": "x"} x'])
    assertProblem(await post(daemon, body), 400, 'MALFORMED_JSON', body);
  // it is refused by its length, before it is sent
  const large = { 'content-length': String(5 * 2 ** 20) };
  assertProblem(await post(daemon, '{', large), 413, 'BODY_TOO_LARGE', 'a body of 5 MiB');
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  assertProblem(await post(daemon, 'code=x', form), 415, 'UNSUPPORTED_MEDIA_TYPE', 'a form');
}

async function refusesStrangers(daemon: DaemonProcess): Promise<void> {
  const task = '{"code": "print(1)"}';
  const strange: readonly Record<string, string>[] = [
    { host: 'evil.example' },
    { host: `evil.example:${new URL(daemon.url).port}` },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'x-forwarded-for': '127.0.0.1' },
    { forwarded: 'for=127.0.0.1' },
    { via: '1.1 proxy' },
  ];
  for (const headers of strange) {
    assertProblem(await post(daemon, task, headers), 401, 'TOKEN_REQUIRED', JSON.stringify(headers));
    const read = await raw(daemon, 'GET', '/wallet', { headers });
    assertProblem(read, 401, 'TOKEN_REQUIRED', JSON.stringify(headers));
  }
  const wrong = { authorization: 'Bearer wrong' };
  assertProblem(await post(daemon, task, wrong), 401, 'TOKEN_WRONG', 'a wrong token');
  assertProblem(await raw(daemon, 'POST', '/node/stop'), 401, 'TOKEN_REQUIRED', 'stop without the token');
}

async function refusesPaths(daemon: DaemonProcess): Promise<void> {
  for (const path of ['/tasks/nope', '/tasks/nope/status', '/tasks/nope/result', '/tasks/%00/result'])
    assertProblem(await raw(daemon, 'GET', path), 404, 'TASK_NOT_FOUND', path);
  assertProblem(await raw(daemon, 'GET', '/nothing'), 404, 'NOT_FOUND', 'an unknown path');
  assertProblem(await raw(daemon, 'GET', '/tasks/submit/../../etc/passwd'), 404, 'NOT_FOUND', 'dots');
  assertProblem(await raw(daemon, 'DELETE', '/health'), 405, 'METHOD_NOT_ALLOWED', 'a wrong method');
  assertProblem(await raw(daemon, 'GET', '/tasks?limit=many'), 400, 'INVALID_REQUEST', 'a wrong query');
}

/** What was locked came back, and nothing was paid. */
function isBack(kinds: readonly string[]): boolean {
  const count = (kind: string) => kinds.filter(other => other === kind).length;
  return count('paid') === 0 && count('lock') === count('refunded');
}

async function failsWithReasons(requester: DaemonProcess): Promise<void> {
  const registry = await createRegistry();
  try {
    const paid = { payment_amount: '1', avoid: ['self'] };
    const unknown = await submit(requester, {
      ...taskBody('print(1)', paid),
      image: `${registry.host}/absent:1`,
    });
    const large = await submit(requester, { ...taskBody('print(1)', paid), cpu_cores: 900 });
    const noImage = await ended(requester.client, unknown);
    assert.is(noImage.status, 'failed');
    assert.is(noImage.error?.class, 'user');
    assert.is(noImage.error?.code, 'IMAGE_UNKNOWN');
    // the lock may be under way when the worker gives up: it comes back behind the task's end
    await waitFor(
      async () => isBack(await historyOf(requester, unknown)),
      'the lock of the unknown image to come back',
    );

    const noFit = await ended(requester.client, large);
    assert.is(noFit.status, 'failed');
    assert.is(noFit.error?.code, 'NO_WORKER_FITS');
    assert.equal(await historyOf(requester, large), []);
    await waitFor(
      async () => (await requester.client.getWallet()).body.locked === '0',
      'no money to be locked',
    );
  } finally {
    await registry.close();
  }
}

test('over HTTP each is a problem with a code and the field; a task that cannot run fails with a reason', () =>
  withDevnet(2, async (_net, [, requester]) => {
    if (!requester) throw new Error('two nodes were started');
    await refusesBodies(requester);
    await refusesStrangers(requester);
    await refusesPaths(requester);
    assert.is((await requester.client.listTasks({})).body.tasks.length, 0, 'nothing was taken');
    await failsWithReasons(requester);
  }));

test.run();
