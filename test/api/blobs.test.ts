import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Problem } from '../../src/api/errors.ts';
import { rawCid } from '../../src/wire/index.ts';
import { BLOB_BYTES, readJson, type TestServer, withServer } from '../fixtures/api/server.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('api: blobs');
const MIB = 2 ** 20;

const inPieces = (bytes: Uint8Array, size: number) =>
  Readable.from(
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    ),
  );

async function wholeOf(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}

const put = ({ raw }: TestServer, body: Uint8Array<ArrayBuffer>, type = 'application/octet-stream') =>
  raw('/blobs', { method: 'PUT', body, headers: { 'content-type': type } });

test('what is uploaded in pieces comes back whole under its CID, as a download that no browser runs', () =>
  withServer(async ({ client, raw }) => {
    for (const size of [0, 1, 5 * MIB + 1]) {
      const bytes = randomBytes(size);
      const { status, body } = await client.putBlob({ body: inPieces(bytes, 100_000) });
      assert.is(status, 201);
      assert.equal(body, { cid: rawCid(bytes), size });
      const back = await client.getBlob({ params: { cid: body.cid } });
      assert.is(back.body.size, size);
      assert.ok((await wholeOf(back.body.bytes)).equals(bytes));
      const headers = (await raw(`/blobs/${body.cid}`)).headers;
      assert.is(headers.get('content-length'), String(size));
      assert.is(headers.get('x-content-type-options'), 'nosniff');
      assert.match(headers.get('content-disposition') ?? '', /^attachment/);
    }
  }));

test('an upload without room is refused, and leaves nothing', () =>
  withServer(async server => {
    const response = await put(server, new Uint8Array(BLOB_BYTES + MIB));
    assert.is(response.status, 507);
    assert.is((await readJson<Problem>(response)).code, 'STORAGE_FULL');
    await waitFor(() => server.blobs.size() === 0, 'the part to be gone');
    assert.is((await put(server, new Uint8Array(MIB))).status, 201);
  }));

test('an upload that breaks off leaves nothing', () =>
  withServer(async ({ url, blobs }) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.write(
      `PUT /blobs HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n`,
    );
    socket.write(Buffer.alloc(300_000));
    await waitFor(() => blobs.size() >= 300_000, 'the first bytes to be written');
    socket.destroy();
    await waitFor(() => blobs.size() === 0, 'the part to be gone');
  }));

test('bytes that are not here, or have no name, are not found; other types are not taken', () =>
  withServer(async server => {
    for (const cid of [rawCid(Buffer.from('none')), 'x', '..%2f..%2fetc%2fpasswd', 'a'.repeat(100)]) {
      const response = await server.raw(`/blobs/${cid}`);
      assert.is(response.status, 404, cid);
      assert.is((await readJson<Problem>(response)).code, 'BLOB_NOT_FOUND');
    }
    const response = await put(server, new Uint8Array(1), 'application/json');
    assert.is(response.status, 400);
    assert.is((await put(server, new Uint8Array(1), 'text/plain')).status, 415);
  }));

test('a task names its inputs by CID; one that is not here is said at once', () =>
  withServer(async ({ client, market, post }) => {
    const { body } = await client.putBlob({ body: Readable.from([Buffer.from('four')]) });
    const inputs = [{ target: 'inputs/a', cid: body.cid }];
    const task = await client.submitTask({ body: { code: 'print(1)', inputs } });
    assert.equal(market.requests[0]?.spec.inputs, [{ path: 'inputs/a', cid: body.cid, size: 4 }]);
    const shown = await client.getTask({ params: { task_id: task.body.task_id } });
    assert.equal(shown.body.inputs, [{ target: 'inputs/a', size: 4, cid: body.cid }]);
    const submit = (cid: string, more = '') =>
      post('/tasks/submit', `{"code": "x", "inputs": [{"target": "a", "cid": "${cid}"${more}}]}`);
    const missing = await submit(rawCid(Buffer.from('none')));
    assert.is(missing.status, 404);
    assert.is((await readJson<Problem>(missing)).code, 'BLOB_NOT_FOUND');
    for (const wrong of [await submit('nonsense'), await submit(body.cid, ', "inline": "x"')]) {
      assert.is(wrong.status, 400);
      assert.is((await readJson<Problem>(wrong)).code, 'INVALID_REQUEST');
    }
  }));

test('a client that does not read a download costs no memory, and does not hold up the end', () =>
  withServer(async ({ url, blobs }) => {
    const cid = await blobs.put(randomBytes(12 * MIB));
    const before = process.memoryUsage().arrayBuffers;
    const calls = await Promise.all(
      Array.from({ length: 16 }, async () => {
        const call = request(`${url}/blobs/${cid}`).end();
        const [response] = await once(call, 'response');
        response.pause();
        return call;
      }),
    );
    const grew = (process.memoryUsage().arrayBuffers - before) / MIB;
    assert.ok(grew < 32, `grew by ${grew.toFixed(1)} MiB for 16 readers of 12 MiB`);
    for (const call of calls) call.destroy();
  }));

test.run();
