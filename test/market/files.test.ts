import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { localChannels, type RequesterChannel, type WorkerChannel } from '../../src/market/channel.ts';
import type { TaskRequest } from '../../src/market/index.ts';
import { FileInbox } from '../../src/market/requester/file-inbox.ts';
import { InputSender } from '../../src/market/requester/input-sender.ts';
import type { RequesterComponents } from '../../src/market/requester/interface.ts';
import { createRetention } from '../../src/market/requester/retention.ts';
import type { TaskStore } from '../../src/market/requester/task-store.ts';
import { InputFetcher } from '../../src/market/worker/inputs.ts';
import { Outlet } from '../../src/market/worker/outlet.ts';
import type { MemoryProgram } from '../../src/sandbox/index.ts';
import { type BlobStore, createBlobStore } from '../../src/storage/index.ts';
import { silentLogger } from '../../src/util/index.ts';
import { FILE_WINDOW_BYTES, MAX_STREAM_BYTES, rawCid, requesterMessage } from '../../src/wire/index.ts';
import { movableClock } from '../fixtures/movable-clock.ts';
import { ended, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { codeThrown, gate, seen, withNet } from './support.ts';

const test = suite('market: files');
const MIB = 2 ** 20;

async function withStore(fn: (store: BlobStore, dir: string) => Promise<void>, maxBytes = 8 * MIB) {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-market-files-'));
  try {
    const store = createBlobStore({ logger: silentLogger }, { dir, maxBytes });
    await store.start();
    await fn(store, dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const partsIn = async (dir: string) => (await readdir(join(dir, 'incoming'))).length;

function requestWith(cid: string, size: number, change: Partial<TaskRequest['spec']> = {}): TaskRequest {
  const request = taskRequest({ retries: 0 });
  return { ...request, spec: { ...request.spec, inputs: [{ path: 'in/large', cid, size }], ...change } };
}

/** Gives back its first input as a file. */
const giveBack: MemoryProgram = async task => {
  const [input] = task.inputs;
  assert.ok(input && 'file' in input);
  return { outputs: [{ path: 'copy', bytes: await readFile(input.file) }] };
};

async function wholeOf({ bytes }: { bytes: AsyncIterable<Uint8Array> }): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('an input is fetched by its content, its copy comes back, and both are kept for as long as they are needed', () =>
  withNet([{}, { run: giveBack }], async net => {
    const [node, worker] = net.nodes;
    const bytes = randomBytes(9 * MIB + 5);
    const cid = await node!.blobs.put(bytes);
    const request = requestWith(cid, bytes.length);
    const { taskId } = await node!.market.tasks.submit(request);
    assert.is((await ended(node!, taskId)).state, 'completed');
    const { outputs } = await node!.market.tasks.result(taskId);
    assert.equal(outputs, [{ path: 'copy', size: bytes.length, cid }]);
    assert.ok((await wholeOf(await node!.market.tasks.output(taskId, 'copy'))).equals(bytes));
    assert.is(await worker!.blobs.sizeOf(cid), bytes.length);
  }));

test('a worker that has an input does not ask for it', () => {
  const door = gate();
  return withNet(
    [
      {},
      {
        run: async (task, sink, signal) => ({
          ...(await door.run(task, sink, signal)),
          ...(await giveBack(task, sink, signal)),
        }),
      },
    ],
    async net => {
      const [node, worker] = net.nodes;
      const bytes = randomBytes(MIB);
      const cid = await worker!.blobs.put(bytes);
      await node!.blobs.put(bytes);
      const { taskId } = await node!.market.tasks.submit(requestWith(cid, bytes.length));
      // what it would have to ask for is gone before it could
      await node!.blobs.delete(cid);
      await seen(node!, taskId, 'executing', ({ phase }) => phase === 'executing');
      door.open();
      assert.is((await ended(node!, taskId)).state, 'completed');
    },
  );
});

test('a task whose input is not here is refused; one whose input was lost meanwhile ends as its owner’s', () =>
  withNet([{}, { run: giveBack }], async net => {
    const node = net.nodes[0]!;
    const bytes = randomBytes(1000);
    const submit = (size: number) => node.market.tasks.submit(requestWith(rawCid(bytes), size));
    assert.is(await codeThrown(submit(1000)), 'BLOB_NOT_FOUND');
    const cid = await node.blobs.put(bytes);
    assert.is(await codeThrown(submit(999)), 'BLOB_NOT_FOUND');
    const { taskId } = await submit(1000);
    await node.blobs.delete(cid);
    const { failure } = await ended(node, taskId);
    assert.equal([failure?.class, failure?.code], ['user', 'INPUT_GONE']);
    await waitFor(() => node.settlement.balance().locked === 0n, 'the lock to come back');
  }));

test('outputs that the requester has no room for end the task, and leave nothing half-way', () =>
  withNet(
    [
      { maxBlobBytes: 64 * MIB },
      { run: async () => ({ outputs: [{ path: 'big', bytes: randomBytes(4 * MIB) }] }) },
    ],
    async net => {
      const node = net.nodes[0]!;
      const fill = await node.blobs.create(64 * MIB);
      const room = node.blobs.free() - 2 * MIB;
      await fill.write(new Uint8Array(room));
      const { taskId } = await node.market.tasks.submit(taskRequest({ retries: 3 }));
      const { failure, attempts } = await ended(node, taskId);
      assert.equal([failure?.class, failure?.code, attempts.length], ['user', 'STORAGE_FULL', 1]);
      await fill.discard();
      await waitFor(async () => (await partsIn(join(net.dir, 'node-0', 'blobs'))) === 0, 'parts to be gone');
    },
    // the worker has done its part, and claims what it has earned
    { open: 1 },
  ));

test('a requester that never reads holds up neither the task nor the worker’s memory, and gets all later', () => {
  const door = gate();
  const line = Buffer.alloc(64 * 1024, 'x');
  return withNet(
    [
      {},
      {
        run: async (task, sink, signal) => {
          const result = await door.run(task, sink, signal);
          for (let sent = 0; sent < MAX_STREAM_BYTES - MIB / 2; sent += line.length) await sink.stdout(line);
          return { ...result, outputs: [{ path: 'file', bytes: randomBytes(3 * MIB) }] };
        },
      },
    ],
    async net => {
      const [node, worker] = net.nodes;
      const { taskId } = await node!.market.tasks.submit(taskRequest());
      await door.entered;
      const mute = await node!.network.open(worker!.identity.peer, 'task');
      const from = { stdoutFrom: 0, stderrFrom: 0, filesDone: 0, fileFrom: 0 };
      await mute.send(requesterMessage.encode({ type: 'attach', taskId, replica: 0, attempt: 1, ...from }));
      door.open();
      assert.is((await ended(node!, taskId)).state, 'completed');
      const result = await node!.market.tasks.result(taskId);
      assert.is(result.stdout.length, '{"ok":true}\n'.length + MIB / 2);
      assert.is(result.outputs[0]?.size, 3 * MIB);
      mute.abort(new Error('done with it'));
    },
  );
});

const piece = (path: string, size: number, offset: number, bytes: Uint8Array) => ({
  type: 'file' as const,
  path,
  size,
  offset,
  bytes,
});

test('files come in their order, and an inbox goes on where a stream broke', () =>
  withStore(async (store, dir) => {
    const inbox = new FileInbox(store, 1000);
    assert.equal(inbox.position, { filesDone: 0, fileFrom: 0 });
    await inbox.take(piece('a', 3, 0, Buffer.from('abc')));
    await inbox.take(piece('b', 4, 0, Buffer.from('1')));
    assert.equal(inbox.position, { filesDone: 1, fileFrom: 1 });
    assert.throws(() => inbox.outputs(), /before all of its files/);
    await inbox.take(piece('b', 4, 1, Buffer.from('234')));
    await inbox.take(piece('empty', 0, 0, new Uint8Array()));
    const cids = ['abc', '1234', ''].map(text => rawCid(Buffer.from(text)));
    assert.equal(
      inbox.outputs().map(({ cid }) => cid),
      cids,
    );
    assert.is(await store.sizeOf(cids[0] as string), undefined, 'nothing is kept before it was checked');
    await inbox.commit();
    await inbox.discard();
    for (const cid of cids) assert.not.equal(await store.sizeOf(cid), undefined);
    assert.is(await partsIn(dir), 0);
  }));

test('what no result may be is refused: more, less, gaps, doubles, files beyond the limits', () =>
  withStore(async (store, dir) => {
    const a = piece('a', 3, 0, Buffer.from('ab'));
    const lies: ReturnType<typeof piece>[][] = [
      [piece('a', 3, 0, Buffer.from('abcd'))],
      [piece('a', 3, 1, Buffer.from('b'))],
      [piece('a', 3, 0, new Uint8Array())],
      [piece('a', 0, 0, Buffer.from('a'))],
      [piece('a', 1001, 0, Buffer.from('a'))],
      [a, piece('a', 3, 1, Buffer.from('b'))],
      [a, piece('a', 3, 3, Buffer.from('b'))],
      [a, piece('a', 4, 2, Buffer.from('c'))],
      [a, piece('b', 1, 0, Buffer.from('b'))],
      [piece('a', 1, 0, Buffer.from('a')), piece('a', 1, 0, Buffer.from('a'))],
      [piece('a', 600, 0, Buffer.alloc(600)), piece('b', 600, 0, Buffer.alloc(600))],
      Array.from({ length: 257 }, (_, i) => piece(String(i), 0, 0, new Uint8Array())),
    ];
    for (const messages of lies) {
      const inbox = new FileInbox(store, 1000);
      const take = async () => {
        for (const message of messages) await inbox.take(message);
      };
      assert.is(await codeThrown(take()), 'PROTOCOL', JSON.stringify(messages[0]));
      await inbox.discard();
      assert.equal(inbox.position, { filesDone: 0, fileFrom: 0 });
    }
    assert.is(store.size(), 0);
    assert.is(await partsIn(dir), 0);
  }));

/** A fetcher over a line that the test plays the other end of. */
function fetching(store: BlobStore, wanted: { cid: string; size: number }) {
  const outlet = new Outlet(silentLogger, 'task/0/1');
  const { spec } = requestWith(wanted.cid, wanted.size);
  const fetcher = new InputFetcher({ blobs: store }, outlet, spec);
  const from = { stdoutFrom: 0, stderrFrom: 0, filesDone: 0, fileFrom: 0 };
  const connect = () => {
    const { requester, worker } = localChannels('peer');
    outlet.attach(worker as WorkerChannel, from);
    fetcher.attached();
    return requester;
  };
  return { fetcher, connect };
}

test('an input is asked for again where the stream broke, and what comes twice is taken once', () =>
  withStore(async (store, dir) => {
    const bytes = randomBytes(1000);
    const wanted = { cid: rawCid(bytes), size: bytes.length };
    const { fetcher, connect } = fetching(store, wanted);
    const input = (offset: number, end: number) =>
      fetcher.take({ type: 'input', cid: wanted.cid, offset, bytes: bytes.subarray(offset, end) });
    const first = connect();
    const done = fetcher.fetch({});
    assert.equal(await first.receive(), { type: 'need', cid: wanted.cid, offset: 0 });
    await input(0, 300);
    const second = connect();
    assert.equal(await second.receive(), { type: 'need', cid: wanted.cid, offset: 300 });
    await input(200, 400);
    await input(100, 200);
    assert.is(await codeThrown(input(500, 600)), 'PROTOCOL');
    await input(400, 1000);
    await done;
    assert.ok(await store.isSound(wanted.cid));
    assert.is(await partsIn(dir), 0);
  }));

test('an input with other bytes than its name says is no input, nor one that does not end', () =>
  withStore(async (store, dir) => {
    const wanted = { cid: rawCid(Buffer.from('what was asked for')), size: 18 };
    const { fetcher, connect } = fetching(store, wanted);
    const line = connect();
    const done = codeThrown(fetcher.fetch({}));
    await line.receive();
    const input = (text: string) =>
      fetcher.take({ type: 'input', cid: wanted.cid, offset: 0, bytes: Buffer.from(text) });
    assert.is(await codeThrown(input('what was asked for, and more')), 'PROTOCOL');
    await input('what nobody wanted');
    assert.is(await done, 'INPUT_DIFFERS');
    assert.is(await store.sizeOf(wanted.cid), undefined);
    assert.is(await partsIn(dir), 0);
    assert.is(store.size(), 0);
  }));

test('a damaged input is fetched anew', () =>
  withStore(async store => {
    const bytes = randomBytes(100);
    const wanted = { cid: rawCid(bytes), size: bytes.length };
    await store.put(bytes);

    await chmod(store.path(wanted.cid), 0o644);
    await writeFile(store.path(wanted.cid), randomBytes(100));
    const { fetcher, connect } = fetching(store, wanted);
    const line = connect();
    const done = fetcher.fetch({});
    assert.equal(await line.receive(), { type: 'need', cid: wanted.cid, offset: 0 });
    await fetcher.take({ type: 'input', cid: wanted.cid, offset: 0, bytes });
    await done;
    assert.ok(await store.isSound(wanted.cid));
  }));

test('no more is on its way than the other side has room for, whatever the muxer would take', () =>
  withStore(async store => {
    const bytes = randomBytes(6 * MIB);
    const cid = await store.put(bytes);
    let sent = 0;
    const channel = {
      async send(message: { bytes?: Uint8Array }) {
        sent += message.bytes?.length ?? 0;
      },
    } as unknown as RequesterChannel;
    const sender = new InputSender(store, [cid]);
    const fail = (error: Error) => assert.unreachable(String(error));
    sender.start(channel, { type: 'need', cid, offset: 0 }, fail);
    await waitFor(() => sent === FILE_WINDOW_BYTES, 'the window to be full');
    // every promise that could send more has had its turn
    await new Promise(resolve => setImmediate(resolve));
    assert.is(sent, FILE_WINDOW_BYTES);
    sender.taken(MIB);
    await waitFor(() => sent === FILE_WINDOW_BYTES + MIB, 'the freed room to be used');
    sender.taken(Number.MAX_SAFE_INTEGER);
    await waitFor(() => sent === bytes.length, 'all to be sent');
    sender.stop();
  }));

test('an input stays while a task that has not ended needs it, here or as a worker, and goes after that', () =>
  withStore(async store => {
    const put = (text: string) => store.put(Buffer.from(text));
    const [waiting, over, running, nobodys] = [
      await put('waiting'),
      await put('over'),
      await put('running'),
      await put('nobody’s'),
    ];
    const record = (state: string, cid: string) => ({
      taskId: cid,
      state,
      inputs: [cid],
      result: null,
      attempts: [],
      endedAt: state === 'pending' ? null : Date.now(),
    });
    const records = [record('pending', waiting), record('completed', over)];
    const clock = movableClock();
    const components = {
      tasks: {
        iterate: async function* () {
          for (const found of records) yield [found.taskId, found];
        },
      },
      worker: { liveCids: async () => [running] },
      blobs: store,
      clock,
      options: { retentionMs: 86_400_000 },
      logger: silentLogger,
    };
    const { prune } = createRetention(
      components as unknown as RequesterComponents,
      {} as unknown as TaskStore,
    );
    const here = async () => {
      const sizes = [waiting, over, running, nobodys].map(cid => store.sizeOf(cid));
      return (await Promise.all(sizes)).map(size => size !== undefined);
    };
    await prune();
    assert.equal(await here(), [true, true, true, true], 'what is young may be about to be named');
    clock.jump(2 * 3_600_000);
    await prune();
    assert.equal(await here(), [true, false, true, false]);
  }));

test.run();
