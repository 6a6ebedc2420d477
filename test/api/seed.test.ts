import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { HealthReply, StatsReply, TaskResultReply, TaskStatusReply } from '../../src/api/client.ts';
import { readJson, withServer } from '../fixtures/api/server.ts';

const test = suite('api: the seed’s calls');

/** As printed in the seed document. */
const BODY = `{
    "service_name": "image_processor",
    "code": "import json; print(json.dumps({\\"processed\\": True}))",
    "cpu_cores": 2,
    "memory_mb": 512,
    "payment_amount": 5.0
  }`;

const PYTHON_BODY = `{"service_name": "test_service", "task_type": "api_call",
  "code": "import json\\nprint(json.dumps({}))\\n", "cpu_cores": 1, "memory_mb": 256, "timeout_seconds": 30,
  "payment_amount": 10.0, "priority": 3}`;

test('submit, status and result work as printed', () =>
  withServer(async ({ post, raw, market }) => {
    const submitted = await post('/tasks/submit', BODY);
    assert.is(submitted.status, 202);
    const { task_id, status } = await readJson<TaskStatusReply>(submitted);
    assert.is(status, 'pending');
    assert.is(submitted.headers.get('location'), `/tasks/${task_id}`);
    const [request] = market.requests;
    assert.is(request?.policy.payment, 500_000_000n);
    assert.is(request?.spec.milliCpus, 2000);
    assert.is(request?.spec.memoryBytes, 512 * 2 ** 20);
    assert.equal(request?.spec.program, { code: 'import json; print(json.dumps({"processed": True}))' });

    const running = await raw(`/tasks/${task_id}/result`);
    assert.is(running.status, 202);
    assert.is(running.headers.get('retry-after'), '1');
    market.finish(task_id, { stdout: '{"processed": true}\n' });
    assert.is((await readJson<TaskStatusReply>(raw(`/tasks/${task_id}/status`))).status, 'completed');
    const done = await raw(`/tasks/${task_id}/result`);
    assert.is(done.status, 200);
    const result = await readJson<TaskResultReply>(done);
    assert.equal(result.result, { processed: true });
    assert.is(result.stdout, '{"processed": true}\n');
    assert.is(result.payment?.amount, '5');
    assert.is(result.attestation?.worker, result.worker);
  }));

test('the body of the seed’s Python example is taken too', () =>
  withServer(async ({ post, market }) => {
    assert.is((await post('/tasks/submit', PYTHON_BODY)).status, 202);
    assert.is(market.requests[0]?.policy.priority, 3);
    assert.is(market.requests[0]?.policy.type, 'api_call');
    assert.is(market.requests[0]?.spec.timeoutMs, 30_000);
  }));

test('cancel, engine and health', () =>
  withServer(async ({ post, raw, market }) => {
    const { task_id } = await readJson<TaskStatusReply>(post('/tasks/submit', BODY));
    const cancelled = await raw(`/tasks/${task_id}`, { method: 'DELETE' });
    assert.is((await readJson<TaskStatusReply>(cancelled)).status, 'cancelled');
    assert.is((await raw(`/tasks/${task_id}`, { method: 'DELETE' })).status, 409);
    const stats = await readJson<StatsReply>(raw('/engine/stats'));
    assert.is(stats.active_tasks, 1);
    assert.is(stats.completed_tasks, 0);
    assert.is(stats.scheduler_stats.success_rate, 1);
    assert.is(
      (await readJson<{ status: string }>(raw('/engine/stop', { method: 'POST' }))).status,
      'draining',
    );
    assert.ok(market.stats().worker.draining);
    assert.is(
      (await readJson<{ status: string }>(raw('/engine/start', { method: 'POST' }))).status,
      'running',
    );
    const health = await readJson<HealthReply>(raw('/health'));
    assert.is(health.status, 'degraded');
    assert.equal(health.docker, { status: 'degraded', detail: 'Docker does not answer' });
  }));

test.run();
