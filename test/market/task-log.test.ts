import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TaskLog } from '../../src/market/task-log.ts';
import { MAX_STREAM_BYTES } from '../../src/wire/index.ts';
import { codeThrown } from './support.ts';

const test = suite('market: task log');

const turn = () => new Promise(resolve => setImmediate(resolve));
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

test('a log takes pieces in order: overlaps once, gaps not at all, and no more than the cap', () => {
  const log = new TaskLog();
  log.append('stdout', 0, Buffer.from('abc'));
  log.append('stdout', 1, Buffer.from('bcde'));
  log.append('stdout', 9, Buffer.from('gap'));
  log.append('stdout', 0, Buffer.from('old'));
  log.append('stderr', 0, Buffer.from('!'));
  assert.equal(
    log.read(2, 0).map(({ stream, offset, bytes }) => [stream, offset, text(bytes)]),
    [
      ['stdout', 2, 'cde'],
      ['stderr', 0, '!'],
    ],
  );
  assert.equal(log.read(99, 99), []);
  log.append('stdout', 5, new Uint8Array(2 * MAX_STREAM_BYTES));
  assert.is(log.size('stdout'), MAX_STREAM_BYTES);
  log.append('stdout', MAX_STREAM_BYTES, Buffer.from('more'));
  assert.is(log.size('stdout'), MAX_STREAM_BYTES);
});

test('who follows a log gets all of it, whenever it joined, and begins again with another execution', async () => {
  const log = new TaskLog();
  const follow = async (from: number) => {
    let all = '';
    for await (const { offset, bytes } of log.follow(from, 0)) {
      if (offset < all.length + from) all += '|';
      all += text(bytes);
    }
    return all;
  };
  const early = follow(0);
  log.append('stdout', 0, Buffer.from('one '));
  await turn();
  const late = follow(2);
  log.append('stdout', 4, Buffer.from('two'));
  await turn();
  log.restart();
  log.append('stdout', 0, Buffer.from('new'));
  await turn();
  log.end();
  log.append('stdout', 3, Buffer.from('after the end'));
  assert.equal(await Promise.all([early, late]), ['one two|new', 'e two|new']);
  assert.is(await follow(0), 'new');
});

test('who follows a quiet log can stop', async () => {
  const stop = new AbortController();
  const following = (async () => {
    for await (const _ of new TaskLog().follow(0, 0, stop.signal)) assert.unreachable();
  })();
  stop.abort(Object.assign(new Error('enough'), { code: 'ENOUGH' }));
  assert.is(await codeThrown(following), 'ENOUGH');
});

test.run();
