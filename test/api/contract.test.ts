import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { z } from 'zod';
import { ERRORS } from '../../src/api/errors.ts';
import { openApiDocument } from '../../src/api/openapi.ts';
import type { Route } from '../../src/api/route.ts';
import { ROUTE_IDS, type RouteId, routes } from '../../src/api/routes/table.ts';
import { codeOf } from '../../src/util/index.ts';
import { writeInvite } from '../../src/wire/index.ts';
import { workerSigner } from '../fixtures/api/memory-market.ts';
import { type TestServer, TOKEN, withServer } from '../fixtures/api/server.ts';

const test = suite('api: contract of every route');

const terms = { net: new Uint8Array(32), grant: 500_000_000n, uses: 2, expires: 2000 };
const INVITE = writeInvite(terms, new Uint8Array(32).fill(1), workerSigner, ['/ip4/127.0.0.1/tcp/1']).text;

type AnyReply = { status: number; headers?: Record<string, string>; body: unknown };

/** A call of each route that succeeds. */
const CALLS: { [Id in RouteId]: (server: TestServer, id: string) => Promise<AnyReply> } = {
  submitTask: ({ client }) => client.submitTask({ body: { code: 'print(1)', payment_amount: '0.1' } }),
  quoteTask: ({ client }) => client.quoteTask({ body: { code: 'print(1)', payment_amount: '0.1' } }),
  listTasks: ({ client }) => client.listTasks({ query: { status: 'pending', label: 'a=b', limit: '1' } }),
  getTask: ({ client }, id) => client.getTask({ params: { task_id: id } }),
  getTaskStatus: ({ client }, id) => client.getTaskStatus({ params: { task_id: id } }),
  listElements: ({ client }, id) => client.listElements({ params: { task_id: id }, query: { limit: '5' } }),
  retryTask: ({ client }, id) => client.retryTask({ params: { task_id: id } }),
  cancelTask: ({ client }, id) => client.cancelTask({ params: { task_id: id } }),
  acceptTask({ client, market }, id) {
    market.move(id, { state: 'paying', phase: 'settling', waiting: 'awaiting_accept' });
    return client.acceptTask({ params: { task_id: id } });
  },
  disputeTask({ client, market }, id) {
    market.move(id, { state: 'paying', phase: 'settling', waiting: 'awaiting_accept' });
    return client.disputeTask({ params: { task_id: id }, body: { reason: 'wrong' } });
  },
  getTaskResult({ client, market }, id) {
    market.finish(id, { stdout: Uint8Array.of(0xff, 0x0a), exitCode: 1, files: { 'a/b': 'x' } });
    return client.getTaskResult({ params: { task_id: id } });
  },
  getTaskLogs({ client, market }, id) {
    market.write(id, 'stdout', 'hello');
    return client.getTaskLogs({ params: { task_id: id } });
  },
  getTaskOutput({ client, market }, id) {
    market.finish(id, { files: { 'a/b c.html': '<script>' } });
    return client.getTaskOutput({ params: { task_id: id, path: 'a/b c.html' } });
  },
  getTaskReceipt({ client, market }, id) {
    market.finish(id);
    return client.getTaskReceipt({ params: { task_id: id } });
  },
  putBlob: ({ client }) => client.putBlob({ body: Readable.from([Buffer.from('some bytes')]) }),
  async getBlob({ client, blobs }) {
    return client.getBlob({ params: { cid: await blobs.put(Buffer.from('kept')) } });
  },
  streamEvents: ({ client, market }, id) => {
    const reply = client.streamEvents({ query: { task_id: id }, headers: { 'last-event-id': 'other-0' } });
    market.move(id, {});
    return reply;
  },
  getStats: ({ client }) => client.getStats(),
  startEngine: ({ client }) => client.startEngine(),
  stopEngine: ({ client }) => client.stopEngine(),
  pruneEngine: ({ client }) => client.pruneEngine({ query: { all: 'true' } }),
  getHealth: ({ client }) => client.getHealth(),
  getLive: ({ client }) => client.getLive(),
  getReady: ({ client }) => client.getReady(),
  getNode: ({ client }) => client.getNode(),
  stopNode: ({ client }) => client.stopNode(),
  listPeers: ({ client }) => client.listPeers(),
  getWallet: ({ client }) => client.getWallet(),
  getWalletHistory: ({ client }) => client.getWalletHistory({ query: { limit: '2' } }),
  getShares: ({ client }) => client.getShares(),
  getCertificate: ({ client }) => client.getCertificate({ params: { slot: 'A/b/0' } }),
  exportWallet: ({ client }) => client.exportWallet(),
  sendMoney: ({ client }) => client.sendMoney({ body: { to: workerSigner.peer, amount: '0.5' } }),
  listNotaries: ({ client }) => client.listNotaries(),
  addNotary: ({ client }) => client.addNotary({ params: { peer_id: workerSigner.peer } }),
  removeNotary: ({ client }) => client.removeNotary({ params: { peer_id: workerSigner.peer } }),
  createInvite: ({ client }) => client.createInvite({ body: { grant: '5', uses: 2 } }),
  listInvites: ({ client }) => client.listInvites(),
  revokeInvite: ({ client }) => client.revokeInvite({ params: { id: workerSigner.peer } }),
  listMembers: ({ client }) => client.listMembers(),
  removeMember: ({ client }) => client.removeMember({ params: { id: workerSigner.peer } }),
  joinNetwork: ({ client }) => client.joinNetwork({ body: { invite: INVITE } }),
  getEvidence: ({ client }) => client.getEvidence(),
  verifyReceipt: ({ client }) => client.verifyReceipt({ body: Uint8Array.of(1, 2, 3) }),
  getOpenApi: ({ client }) => client.getOpenApi(),
  getMetrics: ({ client }) => client.getMetrics(),
  getDocs: ({ client }) => client.getDocs(),
  getErrorDocs: ({ client }) => client.getErrorDocs(),
  getDocsFile: ({ client }) => client.getDocsFile({ params: { file: 'swagger-ui.css' } }),
};

/** Every key that an answer has must be declared. */
function checkJson(schema: z.ZodType, body: unknown, id: string): void {
  const parsed = schema.safeParse(body);
  assert.ok(parsed.success, `${id}: ${JSON.stringify(parsed.error?.issues)}`);
  assert.equal(parsed.data, body, `${id} answers what its schema does not know`);
}

async function check(id: RouteId, reply: AnyReply): Promise<void> {
  const def = (routes[id] as Route).responses[reply.status];
  assert.ok(def, `${id} does not declare ${reply.status}`);
  if (def.kind === 'json') return checkJson(def.schema, reply.body, id);
  assert.match(reply.headers?.['content-type'] ?? '', def.kind === 'stream' ? /ndjson/ : /./);
  if (def.kind === 'bytes') return assert.instance(reply.body, Uint8Array);
  if (def.kind === 'file') {
    const { size } = reply.body as { size: number | null };
    return assert.is(size === null || Number.isInteger(size), true);
  }
  if (def.kind === 'text') return assert.type(reply.body, 'string');
  for await (const item of reply.body as AsyncIterable<unknown>) {
    checkJson(def.schema, item, id);
    return;
  }
  throw new Error(`${id} streamed nothing`);
}

for (const id of ROUTE_IDS)
  test(id, () =>
    withServer(async server => {
      const { body } = await server.client.submitTask({ body: { code: 'print(1)', labels: { a: 'b' } } });
      await check(id, await CALLS[id](server, body.task_id));
    }),
  );

test('an output is a download that no browser runs', () =>
  withServer(async ({ client, market, raw }) => {
    const { body } = await client.submitTask({ body: { code: 'print(1)' } });
    market.finish(body.task_id, { files: { 'x/evil.html': '<script>alert(1)</script>' } });
    const response = await raw(`/tasks/${body.task_id}/outputs/x/evil.html`);
    assert.is(await response.text(), '<script>alert(1)</script>');
    assert.match(response.headers.get('content-disposition') ?? '', /^attachment; filename="evil.html"/);
    assert.is(response.headers.get('x-content-type-options'), 'nosniff');
    assert.match(response.headers.get('content-security-policy') ?? '', /sandbox/);
    assert.is((await raw(`/tasks/${body.task_id}/outputs/x/other`)).status, 404);
  }));

test('the client throws the problem’s code', () =>
  withServer(async ({ client }) => {
    const codeFrom = (promise: Promise<unknown>) => promise.then(() => 'none', codeOf);
    assert.is(await codeFrom(client.getTask({ params: { task_id: 'none' } })), 'TASK_NOT_FOUND');
    assert.is(await codeFrom(client.submitTask({ body: { code: '' } })), 'INVALID_REQUEST');
  }));

test('a result that is awaited comes with the end, and not before', () =>
  withServer(async ({ client, market }) => {
    const { body } = await client.submitTask({ body: { code: 'print(1)' } });
    const params = { task_id: body.task_id };
    const waiting = client.getTaskResult({ params, query: { wait: '30' } });
    market.move(body.task_id, { state: 'paying', phase: 'settling' });
    market.finish(body.task_id, { stdout: '"x"' });
    const { status, body: result } = await waiting;
    assert.is(status, 200);
    assert.is(result.status, 'completed');
    const unfinished = await client.submitTask({ body: { code: 'print(1)' } });
    market.move(unfinished.body.task_id, { state: 'cancelled', endedAt: 1 });
    const cancelled = await client.getTaskResult({ params: { task_id: unfinished.body.task_id } });
    assert.is(cancelled.status, 200);
  }));

test('the OpenAPI document names every route, and the docs page loads nothing from elsewhere', () =>
  withServer(async ({ raw }) => {
    const { paths } = openApiDocument('0.1.0') as {
      paths: Record<string, Record<string, { operationId: string }>>;
    };
    const named = Object.values(paths).flatMap(path =>
      Object.values(path).map(({ operationId }) => operationId),
    );
    assert.equal(named.sort(), [...ROUTE_IDS].sort());
    const page = await raw('/docs');
    const csp = page.headers.get('content-security-policy') ?? '';
    assert.match(csp, /default-src 'none'/);
    assert.not.match(csp, /unsafe|https?:/);
    const files = [...(await page.text()).matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file ?? '');
    assert.ok(files.length > 3);
    for (const file of files) {
      assert.ok(file.startsWith('/docs/'), file);
      assert.is((await raw(file)).status, 200, file);
    }
    assert.is((await raw('/docs/..%2Fpackage.json')).status, 404);
    const errors = await (await raw('/docs/errors')).text();
    for (const code of Object.keys(ERRORS)) assert.match(errors, code);
    const authorization = `Bearer ${TOKEN}`;
    assert.match(await (await raw('/metrics', { headers: { authorization } })).text(), /^duxnode_/m);
  }));

test.run();
