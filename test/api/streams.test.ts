import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventLog } from '../../src/api/event-log.ts';
import { FOLLOWER_QUEUE, MAX_FOLLOWERS } from '../../src/api/options.ts';
import { systemClock } from '../../src/util/index.ts';
import { createMemoryMarket } from '../fixtures/api/memory-market.ts';
import { startServer, type TestServer, withServer } from '../fixtures/api/server.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('api: streams');

async function submit({ client }: TestServer): Promise<string> {
  const { body } = await client.submitTask({ body: { code: 'print(1)' } });
  return body.task_id;
}

/** Reads a body until `enough` says so, then goes away. */
async function readUntil(response: Response, enough: (text: string) => boolean): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (enough(text)) break;
  }
  return text;
}

test('logs come as NDJSON while they are written, and end with the task', () =>
  withServer(async server => {
    const { client, market } = server;
    const id = await submit(server);
    market.write(id, 'stdout', 'one\n');
    const { body } = await client.getTaskLogs({ params: { task_id: id }, query: { follow: '1' } });
    const lines = [];
    for await (const line of body) {
      lines.push([line.stream, line.offset, line.text]);
      if (lines.length === 1) market.write(id, 'stderr', 'oops\n');
      if (lines.length === 2) market.finish(id);
    }
    assert.equal(lines, [
      ['stdout', 0, 'one\n'],
      ['stderr', 0, 'oops\n'],
    ]);
  }));

test('logs as SSE resume behind the last event', () =>
  withServer(async server => {
    const { raw, market } = server;
    const id = await submit(server);
    market.write(id, 'stdout', 'one\n');
    market.write(id, 'stderr', 'err');
    market.write(id, 'stdout', 'two\n');
    market.finish(id);
    const headers = { accept: 'text/event-stream' };
    const first = await raw(`/tasks/${id}/logs`, { headers });
    assert.match(first.headers.get('content-type') ?? '', /^text\/event-stream/);
    const text = await first.text();
    assert.match(text, /id: 4-3\nevent: log\n/);
    assert.match(text, /event: end\n/);
    const again = await raw(`/tasks/${id}/logs?follow`, { headers: { ...headers, 'last-event-id': '4-3' } });
    const rest = await again.text();
    assert.match(rest, /two/);
    assert.not.match(rest, /one|"err"/);
    assert.is((await raw('/tasks/none/logs')).status, 404);
  }));

test('events tell each change, and those that were missed', () =>
  withServer(async server => {
    const { raw, market } = server;
    const first = await raw('/events');
    const id = await submit(server);
    const text = await readUntil(first, seen => seen.includes('\n\n') && seen.includes('"pending"'));
    const [, lastId = ''] = /id: (\S+)\nevent: task/.exec(text) ?? [];
    market.move(id, { state: 'running', phase: 'executing' });
    market.finish(id);
    const again = await raw(`/events?task_id=${id}`, { headers: { 'last-event-id': lastId } });
    const missed = await readUntil(again, seen => seen.includes('"completed"'));
    assert.match(missed, /"running"/);
    assert.not.match(missed, /"pending"/);
  }));

test('a silent stream shows signs of life', () =>
  withServer(
    async ({ raw }) => {
      const text = await readUntil(await raw('/events'), seen => seen.split(': still here').length > 3);
      assert.match(text, /^: still here/);
    },
    {},
    5,
  ));

test('a client that goes away leaves no follower behind', () =>
  withServer(async server => {
    const { raw, market } = server;
    const id = await submit(server);
    const before = market.listeners();
    await readUntil(await raw(`/tasks/${id}/logs?follow`), () => true);
    await waitFor(() => market.listeners() === before, 'the follower to end');
  }));

test('too many followers are told so', () =>
  withServer(async ({ raw }) => {
    const open = [];
    for (let i = 0; i < MAX_FOLLOWERS; i++) open.push(await raw('/events'));
    assert.is((await raw('/events')).status, 429);
    await open[0]?.body?.cancel();
    await waitFor(async () => {
      const response = await raw('/events');
      await response.body?.cancel();
      return response.status === 200;
    }, 'a free place');
    for (const response of open.slice(1)) await response.body?.cancel();
  }));

test('streams and waiting requests end when the server stops', async () => {
  const server = await startServer();
  const id = await submit(server);
  const events = await server.raw('/events');
  const listening = server.market.listeners();
  const waiting = server.raw(`/tasks/${id}/result?wait=60`).then(
    ({ status }) => status,
    error => error,
  );
  await waitFor(() => server.market.listeners() > listening, 'the request to wait');
  await server.stop();
  assert.match(await events.text(), /event: end/);
  assert.is(await waiting, 202);
});

test('a follower that lags is ended, the others are not', async () => {
  const market = createMemoryMarket();
  const log = createEventLog({ market, clock: systemClock });
  log.start();
  const { signal } = new AbortController();
  const slow = log.follow({}, { signal })[Symbol.asyncIterator]();
  const { taskId } = await market.submit({ spec: {}, policy: { labels: {} } } as never);
  await slow.next();
  for (let i = 0; i <= FOLLOWER_QUEUE; i++) market.move(taskId, {});
  const quick = log.follow({}, { signal })[Symbol.asyncIterator]();
  let seen = 0;
  for (let item = await slow.next(); !item.done; item = await slow.next()) seen++;
  assert.is(seen, FOLLOWER_QUEUE);
  market.move(taskId, {});
  assert.is((await quick.next()).done, false);
  log.stop();
  assert.is((await quick.next()).done, true);
});

test.run();
