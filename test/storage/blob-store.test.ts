import { chmod, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type BlobStore, createBlobStore } from '../../src/storage/index.ts';
import { codeOf, silentLogger } from '../../src/util/index.ts';
import { cborCid, rawCid } from '../../src/wire/index.ts';

const test = suite('storage: blob store');

async function withStore(
  fn: (store: BlobStore, dir: string) => Promise<void>,
  maxBytes = 64 * 1024 * 1024,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-blobs-'));
  try {
    const store = createBlobStore({ logger: silentLogger }, { dir, maxBytes });
    await store.start();
    await fn(store, dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function codeFrom(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return codeOf(error);
  }
  return 'no error';
}

async function filesIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name));
}

const has = async (store: BlobStore, cid: string) => (await store.sizeOf(cid)) !== undefined;
const bytesOf = (text: string) => new TextEncoder().encode(text);

test('what was put comes back under its CID, once on disk however often it is put', () =>
  withStore(async (store, dir) => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 10_000 }), async bytes => {
        const [cid, again] = await Promise.all([store.put(bytes), store.put(bytes)]);
        assert.is(cid, rawCid(bytes));
        assert.is(again, cid);
        assert.equal(new Uint8Array((await store.get(cid)) ?? []), bytes);
        assert.ok(await has(store, cid));
      }),
      { numRuns: 40 },
    );
    const files = await filesIn(dir);
    assert.is(new Set(files).size, files.length);
    assert.not.ok(files.some(file => file.endsWith('.part')));
  }));

test('what is not there is undefined, and deleting gives the room back', () =>
  withStore(async store => {
    assert.is(await store.get(rawCid(bytesOf('nothing'))), undefined);
    assert.not.ok(await has(store, rawCid(bytesOf('nothing'))));
    const cid = await store.put(bytesOf('some'));
    assert.ok(store.size() > 0);
    assert.ok(await store.delete(cid));
    assert.not.ok(await store.delete(cid));
    assert.is(store.size(), 0);
    assert.is(await store.get(cid), undefined);
  }));

test('a name that is not the CID of raw bytes never becomes a path', () =>
  withStore(async store => {
    const cid = await store.put(bytesOf('x'));
    const hostile = [
      '',
      '.',
      '..',
      '../../etc/passwd',
      '/etc/passwd',
      `${cid}/..`,
      `${cid}\0`,
      `${cid}\n`,
      ` ${cid}`,
      cid.toUpperCase(),
      `${cid.slice(0, -1)}7`,
      cborCid(bytesOf('x')),
      `bafkrei${'/'.repeat(52)}`,
      'z'.repeat(1_000_000),
    ];
    for (const name of hostile) {
      const named = JSON.stringify(name.slice(0, 80));
      assert.is(await codeFrom(store.get(name)), 'BLOB_NAME', named);
      assert.is(await codeFrom(store.sizeOf(name)), 'BLOB_NAME', named);
      assert.is(await codeFrom((async () => store.delete(name))()), 'BLOB_NAME', named);
    }
  }));

test('a damaged file is refused on reading, and replaced by the next put', () =>
  withStore(async (store, dir) => {
    const cid = await store.put(bytesOf('good'));
    const [path] = await filesIn(dir);
    await writeFile(path as string, 'goof');
    assert.is(await codeFrom(store.get(cid)), 'BLOB_DAMAGED');
    await writeFile(path as string, 'go');
    assert.is(await codeFrom(store.get(cid)), 'BLOB_DAMAGED');
    await store.put(bytesOf('good'));
    assert.is(await readFile(path as string, 'utf8'), 'good');
  }));

test('past the limit nothing is written; what is there can still be put', () =>
  withStore(async (store, dir) => {
    const cid = await store.put(bytesOf('first'));
    await store.put(bytesOf('second'));
    assert.is(await codeFrom(store.put(bytesOf('third'))), 'STORAGE_FULL');
    assert.is((await filesIn(dir)).length, 2);
    assert.is(await store.put(bytesOf('first')), cid);
    await store.delete(cid);
    await store.put(bytesOf('third'));
  }, 8192));

test('a restart counts what is there and clears what a killed write left', () =>
  withStore(async (store, dir) => {
    const cid = await store.put(new Uint8Array(10_000));
    const [path] = await filesIn(dir);
    await writeFile(`${path}.0123.part`, 'half');
    const next = createBlobStore({ logger: silentLogger }, { dir, maxBytes: 20_000 });
    await next.start();
    assert.is(next.size(), 10_000);
    assert.ok(await has(next, cid));
    assert.equal(await filesIn(dir), [path]);
  }));

test('a sweep removes what is old and not kept; a put of the same bytes makes them young again', () =>
  withStore(async (store, dir) => {
    const [kept, gone, again] = await Promise.all(
      ['kept', 'gone', 'again'].map(text => store.put(bytesOf(text))),
    );
    const past = new Date(Date.now() - 3_600_000);
    for (const file of await filesIn(dir)) await utimes(file, past, past);
    await store.put(bytesOf('again'));
    const young = await store.put(bytesOf('young'));
    assert.is(await store.sweep(new Set([kept as string]), Date.now() - 60_000), 1);
    assert.is(await has(store, gone as string), false);
    for (const cid of [kept, again, young]) assert.ok(await has(store, cid as string));
    assert.is(store.size(), 3 * 4096);
  }));

test('bytes that come in pieces are a blob once committed, and nothing before', () =>
  withStore(async (store, dir) => {
    const whole = Buffer.from('one two three');
    const writer = await store.create(100);
    for (const piece of ['one ', '', 'two ', 'three']) await writer.write(bytesOf(piece));
    const facts = await writer.end();
    assert.equal(facts, { cid: rawCid(whole), size: 13 });
    assert.not.ok(await has(store, facts.cid));
    assert.is(await codeFrom(writer.write(bytesOf('late'))), 'BLOB_CLOSED');
    assert.equal(await writer.commit(), facts);
    await writer.discard();
    assert.equal(Buffer.from((await store.get(facts.cid)) ?? []), whole);
    const [path] = await filesIn(dir);
    assert.is((await stat(path as string)).mode & 0o777, 0o444);
    assert.is(store.size(), 4096);
    assert.is(await codeFrom(writer.commit()), 'BLOB_CLOSED');
  }));

test('a blob that is read from an offset comes in pieces, to its end', () =>
  withStore(async store => {
    const bytes = new Uint8Array(600_000).map((_, i) => i % 251);
    const cid = await store.put(bytes);
    for (const offset of [0, 1, 262_144, 599_999, 600_000, 700_000]) {
      const reading = await store.read(cid, offset);
      assert.is(reading?.size, 600_000);
      const pieces: Uint8Array[] = [];
      for await (const piece of reading?.bytes ?? []) pieces.push(piece);
      assert.ok(Buffer.concat(pieces).equals(bytes.subarray(offset)));
    }
    assert.is(await store.read(rawCid(bytesOf('nothing'))), undefined);
  }));

test('a writer that goes over its own limit or the store’s gives all its room back', () =>
  withStore(async (store, dir) => {
    const small = await store.create(10);
    assert.is(await codeFrom(small.write(new Uint8Array(11))), 'BLOB_TOO_LARGE');
    await small.discard();
    const large = await store.create(1_000_000);
    await large.write(new Uint8Array(6_000));
    assert.is(await codeFrom(store.put(new Uint8Array(6_000))), 'STORAGE_FULL');
    assert.is(await codeFrom(large.write(new Uint8Array(6_000))), 'STORAGE_FULL');
    await large.discard();
    await large.discard();
    assert.is(store.size(), 0);
    assert.equal(await filesIn(dir), []);
    await store.put(new Uint8Array(6_000));
  }, 10_000));

test('the same bytes from two writers take the room of one, and a damaged file is replaced', () =>
  withStore(async (store, dir) => {
    const write = async () => {
      const writer = await store.create(5_000);
      await writer.write(new Uint8Array(5_000));
      return writer.commit();
    };
    const [{ cid }] = await Promise.all([write(), write()]);
    assert.is(store.size(), 5_000);
    assert.ok(await store.isSound(cid));
    const [path] = await filesIn(dir);
    await chmod(path as string, 0o644);
    await writeFile(path as string, new Uint8Array(5_000).fill(1));
    assert.not.ok(await store.isSound(cid));
    await writeFile(path as string, 'short');
    await write();
    assert.ok(await store.isSound(cid));
  }));

test.run();
