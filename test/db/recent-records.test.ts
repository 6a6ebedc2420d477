import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RecentRecords } from '../../src/db/recent-records.ts';
import type { BatchOp } from '../../src/db/record-store.ts';
import { deferred } from '../../src/util/index.ts';

const test = suite('db: recent records');

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const put = (key: string, value: string): BatchOp => ({ type: 'put', key: bytes(key), value: bytes(value) });

/** A disk that tells what it was asked for. */
function disk(content: Readonly<Record<string, string>>) {
  const asked: string[] = [];
  const read = async (keys: Uint8Array[]) => {
    const names = keys.map(key => Buffer.from(key).toString());
    asked.push(...names);
    return names.map(name => (name in content ? bytes(content[name]!) : undefined));
  };
  return { asked, read };
}

test('what was read or written is not asked for again, nor what is not there', async () => {
  const recent = new RecentRecords();
  const { asked, read } = disk({ a: '1' });
  const get = (...keys: string[]) => recent.getMany(keys.map(bytes), read);
  assert.equal(await get('a', 'b'), [bytes('1'), undefined]);
  const ops = [put('c', '3')];
  recent.begin(ops);
  recent.done();
  assert.equal(await get('c', 'b', 'a'), [bytes('3'), undefined, bytes('1')]);
  assert.equal(asked, ['a', 'b']);
  const gone: BatchOp[] = [{ type: 'del', key: bytes('a') }];
  recent.begin(gone);
  recent.done();
  assert.equal(await get('a'), [undefined]);
  assert.equal(asked, ['a', 'b']);
});

test('while a batch is on its way, its records come from the disk', async () => {
  const recent = new RecentRecords();
  const { asked, read } = disk({ a: 'old', b: 'old' });
  await recent.getMany([bytes('a'), bytes('b')], read);
  recent.begin([put('a', 'new')]);
  assert.equal(await recent.getMany([bytes('a'), bytes('b')], read), [bytes('old'), bytes('old')]);
  assert.equal(asked, ['a', 'b', 'a']);
  recent.done();
  assert.equal(await recent.getMany([bytes('a')], read), [bytes('new')]);
});

test('what was read while it was written is not kept, whatever else is', async () => {
  const recent = new RecentRecords();
  const answer = deferred<(Uint8Array | undefined)[]>();
  const slow = recent.getMany(['a', 'b', 'c'].map(bytes), () => answer.promise);
  recent.begin([put('a', 'new'), put('b', 'new')]);
  // a read that begins while its key is on its way may see either
  const early = recent.getMany([bytes('a')], async () => [bytes('old')]);
  recent.done();
  answer.resolve([bytes('old'), bytes('old'), bytes('c')]);
  assert.equal(await slow, [bytes('old'), bytes('old'), bytes('c')]);
  assert.equal(await early, [bytes('old')]);
  const { asked, read } = disk({});
  assert.equal(await recent.getMany(['a', 'b', 'c'].map(bytes), read), ['new', 'new', 'c'].map(bytes));
  assert.equal(asked, []);
});

test('what one read found before a write, a later one does not bring back', async () => {
  const recent = new RecentRecords();
  const [first, second] = [deferred<(Uint8Array | undefined)[]>(), deferred<(Uint8Array | undefined)[]>()];
  const slow = recent.getMany([bytes('a')], () => first.promise);
  const gone: BatchOp[] = [{ type: 'del', key: bytes('a') }];
  recent.begin(gone);
  const late = recent.getMany([bytes('a')], () => second.promise);
  second.reject(new Error('the disk'));
  first.resolve([bytes('old')]);
  assert.equal(await slow, [bytes('old')]);
  assert.is(await late.catch(({ message }) => message), 'the disk');
  recent.done();
  const { asked, read } = disk({});
  assert.equal(await recent.getMany([bytes('a')], read), [undefined]);
  assert.equal(asked, []);
});

test.run();
