import { request as httpRequest } from 'node:http';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type AccessFacts,
  type AccessRule,
  decideAccess,
  isForwarded,
  isLoopbackAddress,
  isLoopbackHost,
} from '../../src/api/access.ts';
import { readJson, TOKEN, withServer } from '../fixtures/api/server.ts';

const test = suite('api: access');

const facts: AccessFacts = {
  remoteAddress: '127.0.0.1',
  host: 'localhost:8001',
  origin: undefined,
  authorization: undefined,
  forwarded: false,
};
const rule: AccessRule = { access: 'local', auth: 'local', cors: true, token: 'secret' };

function verdict(given: Partial<AccessFacts>, ruled: Partial<AccessRule> = {}): string {
  const decided = decideAccess({ ...facts, ...given }, { ...rule, ...ruled });
  if (!decided.allowed) return decided.code;
  return decided.tokenless ? 'tokenless' : 'token';
}

test('this machine’s user needs no token, everybody else does', () => {
  const authorization = 'Bearer secret';
  const table: [string, Partial<AccessFacts>, Partial<AccessRule>][] = [
    ['tokenless', {}, {}],
    ['tokenless', { remoteAddress: '::1', host: '[::1]:8001' }, {}],
    ['tokenless', { remoteAddress: '::ffff:127.0.0.1', host: '127.0.0.1' }, {}],
    ['TOKEN_REQUIRED', { remoteAddress: '192.0.2.1' }, {}],
    ['TOKEN_REQUIRED', { remoteAddress: '::ffff:192.0.2.1' }, {}],
    ['TOKEN_REQUIRED', { remoteAddress: '' }, {}],
    ['TOKEN_REQUIRED', { host: 'evil.example' }, {}],
    ['TOKEN_REQUIRED', { host: 'localhost.evil.example' }, {}],
    ['TOKEN_REQUIRED', { host: undefined }, {}],
    ['TOKEN_REQUIRED', { forwarded: true }, {}],
    ['TOKEN_REQUIRED', { origin: 'https://evil.example' }, {}],
    ['TOKEN_REQUIRED', { origin: 'null' }, {}],
    ['TOKEN_REQUIRED', { origin: 'http://localhost:8001@evil.example' }, {}],
    ['TOKEN_REQUIRED', { origin: 'file://localhost' }, {}],
    ['tokenless', { origin: 'http://localhost:8001' }, {}],
    ['tokenless', { origin: 'http://localhost:3000' }, {}],
    ['tokenless', { origin: 'http://localhost:8001' }, { cors: false }],
    ['TOKEN_REQUIRED', { origin: 'http://localhost:3000' }, { cors: false }],
    ['tokenless', { origin: 'http://localhost:3000' }, { cors: ['http://localhost:3000'] }],
    ['TOKEN_REQUIRED', { origin: 'https://ours.example' }, { cors: ['https://ours.example'] }],
    ['TOKEN_REQUIRED', {}, { auth: 'token' }],
    ['TOKEN_REQUIRED', {}, { access: 'token' }],
    ['token', { authorization }, { auth: 'token', access: 'token' }],
    ['token', { authorization, remoteAddress: '192.0.2.1', host: 'node.example', forwarded: true }, {}],
    ['token', { authorization: 'bearer secret', origin: 'https://evil.example' }, {}],
    ['TOKEN_WRONG', { authorization: 'Bearer wrong' }, {}],
    ['TOKEN_WRONG', { authorization: 'Bearer ' }, {}],
    ['TOKEN_WRONG', { authorization: 'Basic c2VjcmV0' }, {}],
    ['TOKEN_WRONG', { authorization: '' }, {}],
  ];
  for (const [expected, given, ruled] of table)
    assert.is(verdict(given, ruled), expected, JSON.stringify([given, ruled]));
});

test('loopback names and addresses', () => {
  for (const host of ['localhost', 'LOCALHOST:1', 'app.localhost', '127.9.9.9:80', '[::1]'])
    assert.ok(isLoopbackHost(host), host);
  for (const host of ['', 'localhost:', '127.0.0.1.evil', '[::2]', '128.0.0.1', '::1', 'localhost:80:80'])
    assert.not(isLoopbackHost(host), host);
  assert.not(isLoopbackAddress('127.0.0.1.5'));
  assert.ok(isForwarded({ 'x-forwarded-proto': 'https' }) && isForwarded({ via: '1.1 x' }));
  assert.not(isForwarded({ 'x-forwards': '1' }));
});

/** fetch does not let a Host header through. */
function statusWithHost(url: string, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${url}/node`, { headers: { host } }, response => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.once('error', reject).end();
  });
}

test('over HTTP: rebinding, proxies and foreign pages are sent away with 401', () =>
  withServer(async ({ raw, url }) => {
    assert.is(await statusWithHost(url, 'evil.example'), 401);
    assert.is(await statusWithHost(url, 'localhost'), 200);
    assert.is((await raw('/node', { headers: { 'x-forwarded-for': '192.0.2.1' } })).status, 401);
    const foreign = await raw('/node', { headers: { origin: 'https://evil.example' } });
    assert.is(foreign.status, 401);
    assert.match(foreign.headers.get('www-authenticate') ?? '', /^Bearer/);
    assert.is(foreign.headers.get('access-control-allow-origin'), null);
    const own = await raw('/node', { headers: { origin: 'http://localhost:5173' } });
    assert.is(own.headers.get('access-control-allow-origin'), 'http://localhost:5173');
    assert.is((await raw('/nothing', { headers: { via: '1.1 proxy' } })).status, 401);
  }));

test('ending the daemon always asks for the token', () =>
  withServer(async ({ raw, stopped }) => {
    assert.is((await raw('/node/stop', { method: 'POST' })).status, 401);
    assert.not(stopped());
    const authorization = `Bearer ${TOKEN}`;
    assert.is((await raw('/node/stop', { method: 'POST', headers: { authorization } })).status, 202);
    assert.ok(stopped());
  }));

test('api.auth token asks everybody', () =>
  withServer(
    async ({ raw, client }) => {
      assert.is((await raw('/health')).status, 401);
      assert.is((await client.getHealth()).status, 200);
    },
    { auth: 'token' },
  ));

test('spending without a token ends at the day’s limit; with it, and when nothing came of it, not', () =>
  withServer(
    async ({ post, client, market }) => {
      const body = (pay: string) => JSON.stringify({ code: 'print(1)', payment_amount: pay, max_total: pay });
      assert.is((await post('/tasks/submit', body('6'), { 'idempotency-key': 'one' })).status, 202);
      assert.is((await post('/tasks/submit', body('6'), { 'idempotency-key': 'one' })).status, 202);
      const refused = await post('/tasks/submit', body('5'));
      assert.is(refused.status, 403);
      assert.is((await readJson<{ code: string }>(refused)).code, 'SPENDING_LIMIT');
      const { submit } = market;
      market.submit = () => Promise.reject(new Error('no'));
      assert.is((await post('/tasks/submit', body('4'))).status, 500);
      market.submit = submit;
      const both = await Promise.all([post('/tasks/submit', body('4')), post('/tasks/submit', body('4'))]);
      assert.equal(both.map(({ status }) => status).sort(), [202, 403]);
      assert.is((await post('/tasks/submit', JSON.stringify({ code: 'print(1)' }))).status, 202);
      const paid = { code: 'print(1)', payment_amount: '50' };
      assert.is((await client.submitTask({ body: paid })).status, 202);
    },
    { tokenless_daily_limit: 1_000_000_000n },
  ));

test.run();
