import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DaemonProcess } from '../fixtures/daemons.ts';
import { assertCleanOutput, containersOf } from '../fixtures/processes.ts';

const test = suite('e2e: the seed’s configuration and calls, as printed');

/** The one fixed port of all tests: the seed document prints it. */
const PORT = 8001;

const CONFIG = `# Engine settings
engine:
  max_concurrent_tasks: 10
  scheduling_interval: 5.0
  result_verification: true
  automatic_payments: true

# Sandbox configuration
sandbox:
  runtime: "docker"  # docker, native, container
  memory_limit_mb: 512
  cpu_limit: 1.0
  timeout_seconds: 300
  base_image: "python:3.9-slim"

# API configuration
api:
  host: "0.0.0.0"
  port: 8001
  enable_cors: true
`;

const SUBMIT = `curl -X POST "http://localhost:8001/tasks/submit" \\
  -H "Content-Type: application/json" \\
  -d '{
    "service_name": "image_processor",
    "code": "import json; print(json.dumps({\\"processed\\": True}))",
    "cpu_cores": 2,
    "memory_mb": 512,
    "payment_amount": 5.0
  }'`;
const STATUS = 'curl -X GET "http://localhost:8001/tasks/{task_id}/status"';
const RESULT = 'curl -X GET "http://localhost:8001/tasks/{task_id}/result"';
const HEALTH = 'curl -X GET "http://localhost:8001/health"';
const STATS = 'curl -X GET "http://localhost:8001/engine/stats"';
/** The rest of the seed's table of endpoints, called in the same way. */
const DELETE = 'curl -X DELETE "http://localhost:8001/tasks/{task_id}"';
const START = 'curl -X POST "http://localhost:8001/engine/start"';
const STOP = 'curl -X POST "http://localhost:8001/engine/stop"';

/** The seed's Python example, its task_data as JSON. */
const TASK_DATA = {
  service_name: 'test_service',
  task_type: 'api_call',
  code: '\nimport json\nresult = {"message": "Hello from task!"}\nprint(json.dumps(result))\n',
  cpu_cores: 1,
  memory_mb: 256,
  timeout_seconds: 30,
  payment_amount: 10.0,
  priority: 3,
};

/** curl's own settings tell the status, so that the printed commands stay as they are. */
const CURLRC = 'silent\nshow-error\nmax-time = 60\nwrite-out = "\\n%{http_code} %{content_type}"\n';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: Record<string, unknown>;
}

async function portIsFree(): Promise<boolean> {
  const server = createServer();
  return new Promise(resolve => {
    server.once('error', () => resolve(false));
    server.listen(PORT, '0.0.0.0', () => server.close(() => resolve(true)));
  });
}

/** A daemon with the seed's configuration and nothing else; `call` runs a printed command. */
async function withSeedNode(
  body: (call: (command: string, taskId?: string) => Promise<Answer>, daemon: DaemonProcess) => Promise<void>,
): Promise<void> {
  if (!(await portIsFree()))
    throw new Error(`port ${PORT} is taken: the seed's calls need it; end what listens there`);
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-seed-'));
  const config = join(dir, 'config.yaml');
  await writeFile(config, CONFIG);
  await writeFile(join(dir, '.curlrc'), CURLRC);
  const daemon = new DaemonProcess(join(dir, 'data'), {
    apiPort: 'configured',
    flags: ['--config', config],
    settings: { 'network.listen': '[/ip4/127.0.0.1/tcp/0]' },
  });
  const call = async (command: string, taskId = ''): Promise<Answer> => {
    const env = { ...process.env, CURL_HOME: dir };
    const { stdout } = await promisify(execFile)('bash', ['-c', command.replace('{task_id}', taskId)], {
      env,
    });
    const at = stdout.lastIndexOf('\n');
    const [status = '', ...type] = stdout.slice(at + 1).split(' ');
    const text = stdout.slice(0, at);
    const isJson = type.join(' ').includes('json');
    return { status: Number(status), type: type.join(' '), body: isJson ? JSON.parse(text) : { text } };
  };
  try {
    await daemon.start();
    const peer = await daemon.peer();
    await body(call, daemon);
    await daemon.stop();
    assertCleanOutput(daemon.output);
    assert.equal(await containersOf(peer), []);
  } finally {
    await daemon.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** The printed result call until the task has ended: 202 while it runs. */
async function resultOf(
  call: (command: string, taskId?: string) => Promise<Answer>,
  taskId: string,
): Promise<Answer> {
  for (;;) {
    const waiting = RESULT.replace('/result"', '/result?wait=30"');
    const { status } = await call(waiting, taskId);
    if (status !== 202) return call(RESULT, taskId);
  }
}

test('the calls, bodies and configuration block work verbatim on port 8001', () =>
  withSeedNode(async call => {
    const submitted = await call(SUBMIT);
    assert.is(submitted.status, 202);
    assert.match(submitted.type, /^application\/json/);
    const taskId = submitted.body.task_id as string;
    assert.is(typeof taskId, 'string');
    assert.is(submitted.body.status, 'pending');
    assert.is(submitted.body.service_name, 'image_processor');
    assert.is(submitted.body.payment_amount, '5');

    const status = await call(STATUS, taskId);
    assert.is(status.status, 200);
    assert.is(status.body.task_id, taskId);
    const states = ['pending', 'scheduled', 'running', 'verifying', 'paying', 'completed'];
    assert.ok(states.includes(status.body.status as string));

    const result = await resultOf(call, taskId);
    assert.is(result.status, 200);
    assert.is(result.body.status, 'completed', JSON.stringify(result.body.error));
    assert.equal(result.body.result, { processed: true });
    assert.is(result.body.stdout, '{"processed": true}\n');
    assert.is(result.body.exit_code, 0);
    assert.is((result.body.verification as { passed: boolean }).passed, true);
    assert.is((await call(STATUS, taskId)).body.status, 'completed');

    const health = await call(HEALTH);
    assert.is(health.status, 200);
    assert.is(health.body.status, 'ok');
    for (const part of ['p2p', 'docker', 'db', 'ledger'])
      assert.is((health.body[part] as { status: string }).status, 'ok', part);
  }));

test('the Python example’s task, statistics, engine start and stop, cancel, and the documentation', () =>
  withSeedNode(async (call, daemon) => {
    const file = join(daemon.dataDir, '..', 'task.json');
    await writeFile(file, JSON.stringify(TASK_DATA));
    const submit = `curl -X POST "http://localhost:8001/tasks/submit" -H "Content-Type: application/json" -d @${file}`;
    const submitted = await call(submit);
    assert.is(submitted.status, 202);
    const result = await resultOf(call, submitted.body.task_id as string);
    assert.is(result.body.status, 'completed', JSON.stringify(result.body.error));
    assert.equal(result.body.result, { message: 'Hello from task!' });

    const stats = await call(STATS);
    assert.is(stats.status, 200);
    assert.is(stats.body.active_tasks, 0);
    assert.is(stats.body.completed_tasks, 1);
    assert.equal(stats.body.scheduler_stats, { success_rate: 1 });

    const stopped = await call(STOP);
    assert.is(stopped.status, 200);
    assert.is(stopped.body.status, 'draining');
    const waiting = await call(SUBMIT);
    assert.is(waiting.status, 202, 'a draining engine takes tasks of its user; they wait');
    const waitingId = waiting.body.task_id as string;
    assert.is((await call(RESULT, waitingId)).status, 202);
    const cancelled = await call(DELETE, waitingId);
    assert.is(cancelled.status, 200);
    assert.is(cancelled.body.status, 'cancelled');
    const again = await call(DELETE, waitingId);
    assert.is(again.status, 409);
    assert.match(again.type, /^application\/problem\+json/);
    assert.is(again.body.code, 'TASK_OVER');

    const started = await call(START);
    assert.is(started.status, 200);
    assert.is(started.body.status, 'running');
    const last = (await call(SUBMIT)).body.task_id as string;
    assert.equal((await resultOf(call, last)).body.result, { processed: true });

    const docs = await call('curl -X GET "http://localhost:8001/docs"');
    assert.is(docs.status, 200);
    assert.match(docs.type, /^text\/html/);
    const unknown = await call(STATUS, 'no-such-task');
    assert.is(unknown.status, 404);
    assert.is(unknown.body.code, 'TASK_NOT_FOUND');
  }));

test.run();
