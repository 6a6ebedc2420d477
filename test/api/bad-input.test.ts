import { connect } from 'node:net';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Problem } from '../../src/api/errors.ts';
import { ruleTaskBody } from '../../src/api/task-body.ts';
import { taskBodySchema } from '../../src/api/task-schema.ts';
import { rawCid } from '../../src/wire/index.ts';
import { selfSigner, workerSigner } from '../fixtures/api/memory-market.ts';
import { readJson, type TestServer, withServer } from '../fixtures/api/server.ts';

const test = suite('api: bad input');
const TASK = rawCid(Buffer.from('some task'));

async function fieldsOf(server: TestServer, body: string): Promise<string[]> {
  const response = await server.post('/tasks/submit', body);
  assert.is(response.status, 400, body);
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
  const problem = await readJson<Problem>(response);
  assert.is(problem.code, 'INVALID_REQUEST', body);
  return (problem.errors ?? []).map(({ field }) => field);
}

test('each wrong field is named, all at once', () =>
  withServer(async server => {
    const body = {
      code: '',
      cpu_cores: 'two',
      memory_mb: -1,
      colour: 1,
      priority: 11,
      inputs: [{ target: '/a' }],
    };
    const fields = await fieldsOf(server, JSON.stringify({ ...body, payment_amount: -1 }));
    const expected = ['code', 'colour', 'cpu_cores', 'inputs[0]', 'memory_mb', 'payment_amount', 'priority'];
    assert.equal(fields.sort(), expected);
  }));

test('one mistake, one field', () =>
  withServer(async server => {
    const table: [string, string][] = [
      ['{"code": "x", "payment_amount": 0.123456789}', 'payment_amount'],
      ['{"code": "x", "payment_amount": 1e3}', 'payment_amount'],
      ['{"code": "x", "payment_amount": NaN}', 'payment_amount'],
      ['{"code": "x", "payment_amount": -5}', 'payment_amount'],
      ['{"code": "x", "payment_amount": 92233720369}', 'payment_amount'],
      ['{"code": "x", "payment_amount": true}', 'payment_amount'],
      ['{"code": "x", "payment_amount": 5, "max_total": 4}', 'max_total'],
      ['{"code": "  \\n"}', 'code'],
      ['{}', 'code'],
      ['{"code": "x", "command": ["ls"]}', 'code'],
      ['{"code": "x", "entrypoint": "sh"}', 'entrypoint'],
      ['{"command": []}', 'command'],
      ['{"code": "x", "timeout_seconds": 1e400}', 'timeout_seconds'],
      ['{"code": "x", "timeout_seconds": 604801}', 'timeout_seconds'],
      ['{"code": "x", "image": "no spaces"}', 'image'],
      ['{"code": "x", "env": {"1A": "b"}}', 'env.1A'],
      ['{"code": "x", "outputs": [{"path": "../up"}]}', 'outputs[0].path'],
      ['{"code": "x", "inputs": [{"inline": "a", "target": "../up"}]}', 'inputs[0].target'],
      ['{"code": "x", "inputs": [{"inline": "a", "base64": "YQ==", "target": "a"}]}', 'inputs[0]'],
      ['{"code": "x", "inputs": [{"inline": "", "target": "a"}, {"inline": "", "target": "/a"}]}', 'inputs'],
      ['{"code": "x", "deadline": "2001-01-01T00:00:00Z"}', 'deadline'],
      ['{"code": "x", "deadline": "2200-01-01T00:00:00Z"}', 'deadline'],
      ['{"code": "x", "deadline": "soon"}', 'deadline'],
      ['{"code": "x", "result_schema": {"type": "nothing"}}', 'result_schema'],
      ['{"code": "x", "require": ["12D3"]}', 'require[0]'],
      ['{"code": "x", "require": ["self"], "avoid": ["self"]}', 'require'],
      ['{"code": "x", "arbiters": ["self"]}', 'arbiters[0]'],
      ['{"code": "x", "after": ["x"]}', 'after[0]'],
      [`{"code": "x", "inputs": [{"task": "${TASK}", "target": "a"}]}`, 'inputs[0].output'],
      [
        `{"code": "x", "arbiters": ["${workerSigner.peer}"], "inputs": [{"task": "${TASK}", "output": "b", "target": "a"}]}`,
        'arbiters',
      ],
      [`{"code": "x", "arbiters": ["${workerSigner.peer}"], "reuse": true}`, 'arbiters'],
      [`{"code": "x", "arbiters": ["${workerSigner.peer}"], "network": {"allow": ["a.org"]}}`, 'arbiters'],
      ['{"code": "x", "resumable": true, "max_output_mb": 5}', 'max_output_mb'],
      ['{"code": "x", "__proto__": {"image": "a"}}', '__proto__'],
      ['[]', 'body'],
      ['5', 'body'],
      ['', 'body'],
    ];
    for (const [body, field] of table) assert.equal(await fieldsOf(server, body), [field], body);
    assert.is(server.market.requests.length, 0);
  }));

test('what HTTP itself can get wrong has its own status and code', () =>
  withServer(async ({ post, raw }) => {
    const expect = async (given: Promise<Response>, status: number, code: string): Promise<Response> => {
      const response = await given;
      assert.is(response.status, status, code);
      assert.is((await readJson<Problem>(response)).code, code);
      return response;
    };
    await expect(post('/tasks/submit', '{"code": '), 400, 'MALFORMED_JSON');
    await expect(post('/tasks/submit', '['.repeat(200_000)), 400, 'MALFORMED_JSON');
    await expect(post('/tasks/submit', ' '.repeat(5 * 2 ** 20)), 413, 'BODY_TOO_LARGE');
    await expect(post('/tasks/submit', 'x', { 'content-type': 'text/plain' }), 415, 'UNSUPPORTED_MEDIA_TYPE');
    const bytes = { 'content-type': 'application/octet-stream' };
    await expect(post('/tasks/submit', 'x', bytes), 415, 'UNSUPPORTED_MEDIA_TYPE');
    await expect(post('/receipts/verify', '{}'), 415, 'UNSUPPORTED_MEDIA_TYPE');
    await expect(raw('/nothing'), 404, 'NOT_FOUND');
    await expect(raw('/tasks/no-such-task/status'), 404, 'TASK_NOT_FOUND');
    await expect(raw('/tasks/%00/result'), 404, 'TASK_NOT_FOUND');
    await expect(raw('/tasks/%E0%A4%A'), 400, 'BAD_REQUEST');
    await expect(raw('/tasks?limit=0'), 400, 'INVALID_REQUEST');
    await expect(raw('/tasks?limit=1&limit=2'), 400, 'INVALID_REQUEST');
    await expect(raw('/tasks/x/result?wait=forever'), 400, 'INVALID_REQUEST');
    const wrong = await expect(raw('/tasks/submit', { method: 'PUT' }), 405, 'METHOD_NOT_ALLOWED');
    assert.match(wrong.headers.get('allow') ?? '', /POST/);
  }));

test('too many requests of one client are 429', () =>
  withServer(
    async ({ raw }) => {
      const statuses = [];
      for (let i = 0; i < 4; i++) statuses.push((await raw('/health/live')).status);
      assert.equal(statuses, [200, 200, 200, 429]);
    },
    { rate_limit_per_minute: 3 },
  ));

test('what is not HTTP is answered and closed', () =>
  withServer(async ({ url }) => {
    const { port } = new URL(url);
    const answer = await new Promise<string>((resolve, reject) => {
      let text = '';
      const socket = connect(Number(port), '127.0.0.1', () => socket.write('GARBAGE\r\n\r\n'));
      socket.on('data', chunk => {
        text += chunk;
      });
      socket.once('close', () => resolve(text)).once('error', reject);
    });
    assert.match(answer, /^HTTP\/1.1 400 .*"code":"BAD_REQUEST"/s);
  }));

test('an error that nobody foresaw tells nothing of its inside', () =>
  withServer(async ({ raw, market }) => {
    market.list = () => Promise.reject(new Error('secret of the house'));
    const response = await raw('/tasks');
    assert.is(response.status, 500);
    assert.not.match(await response.text(), /secret|at .*\.ts/);
  }));

const someValue = fc.oneof(fc.jsonValue(), fc.string(), fc.double(), fc.constant(null));
const fieldNames = Object.keys(taskBodySchema.shape);
const someBody = fc.dictionary(fc.constantFrom(...fieldNames, 'other'), someValue, { maxKeys: 6 });

test('no body makes the server fail', () =>
  withServer(async ({ post }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          someBody.map(body => JSON.stringify(body)),
          fc.string(),
        ),
        async body => {
          const { status } = await post('/tasks/submit', body);
          return status === 202 || (status >= 400 && status < 500);
        },
      ),
      { numRuns: 300 },
    );
  }));

const DEFAULTS = {
  image: 'python:3.9-slim',
  cpuCores: 1,
  memoryMb: 512,
  timeoutSeconds: 300,
  verification: 'check',
  automaticPayment: true,
  maxPerTask: null,
  arbiters: [],
  self: selfSigner.peer,
} as const;

test('a body becomes the market’s request', () => {
  const body = taskBodySchema.parse({
    command: 'echo $A',
    entrypoint: ['env'],
    env: { A: 'b' },
    inputs: [{ inline: 'é', target: '/task/inputs/a' }],
    outputs: ['/task/outputs/x', { name: 'y', path: 'outputs/y' }],
    payment_amount: '0.1',
    avoid: ['self', workerSigner.peer],
    deadline: 60,
  });
  const ruled = ruleTaskBody(body, DEFAULTS, 1000);
  assert.ok('value' in ruled);
  const { spec, policy } = ruled.value;
  assert.equal(spec.program, { argv: ['env', 'sh', '-c', 'echo $A'] });
  assert.equal(spec.inputs, [{ path: 'inputs/a', bytes: new Uint8Array(Buffer.from('é')) }]);
  assert.equal(spec.outputs, ['x', 'y']);
  assert.is(spec.image, 'python:3.9-slim');
  assert.is(policy.payment, 10_000_000n);
  assert.is(policy.maxTotal, 20_000_000n);
  assert.is(policy.deadline, 61_000);
  assert.ok(policy.avoidSelf);
  assert.equal(policy.avoidPeers, [workerSigner.peer]);
});

test('a week is the longest timeout, said as such; its default deadline is one that is taken', () => {
  const DAY_S = 86_400;
  const body = (timeout_seconds: number) =>
    taskBodySchema.safeParse({ code: 'x', timeout_seconds, retries: 20 });
  const week = body(7 * DAY_S);
  assert.ok(week.success);
  const ruled = ruleTaskBody(week.data, DEFAULTS, 1000);
  assert.ok('value' in ruled);
  assert.is(ruled.value.spec.timeoutMs, 7 * DAY_S * 1000);
  assert.is(ruled.value.policy.deadline, 1000 + 60 * DAY_S * 1000);
  const { error } = body(29.99 * DAY_S);
  assert.match(error?.issues[0]?.message ?? '', /at most 604800 \(7 days\)/);
});

test.run();
