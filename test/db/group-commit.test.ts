import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cborCodec } from '../../src/db/codec.ts';
import { GroupCommit } from '../../src/db/group-commit.ts';
import { LevelStore } from '../../src/db/level-store.ts';
import type { BatchOp } from '../../src/db/record-store.ts';
import { Repository } from '../../src/db/repository.ts';
import { rejection, withTempDir } from './temp-dir.ts';

const test = suite('db: group commit');

interface Batch {
  readonly ops: readonly BatchOp[];
  readonly sync: boolean;
}

/** A real LevelDB behind a group commit that notes its batches. */
function withCommits(
  fn: (commits: GroupCommit, records: Repository<number>, batches: Batch[]) => Promise<void>,
): Promise<void> {
  return withTempDir(async dir => {
    const store = await LevelStore.open(dir);
    const batches: Batch[] = [];
    const commits = new GroupCommit((ops, sync) => {
      batches.push({ ops, sync });
      return store.batch(ops, sync);
    });
    try {
      await fn(commits, new Repository(store, 'receipts', cborCodec(Number)), batches);
    } finally {
      await commits.close();
      await store.close();
    }
  });
}

test('100 synced writes at once take two batches', () =>
  withCommits(async (commits, records, batches) => {
    const writes = Array.from({ length: 100 }, (_, i) => commits.write([records.putOp(`k${i}`, i)], true));
    await Promise.all(writes);
    assert.is(batches.length, 2);
    assert.ok(batches.every(batch => batch.sync));
    for (let i = 0; i < 100; i++) assert.is(await records.get(`k${i}`), i);
  }));

test('the order of the calls decides what stays', () =>
  withCommits(async (commits, records, batches) => {
    const settled: number[] = [];
    const writes = Array.from({ length: 50 }, async (_, i) => {
      await commits.write(
        [i % 2 ? records.delOp('k') : records.putOp('k', i), records.putOp('last', i)],
        false,
      );
      settled.push(i);
    });
    await Promise.all(writes);
    assert.is(await records.get('k'), undefined);
    assert.is(await records.get('last'), 49);
    assert.equal(
      settled,
      [...settled].sort((a, b) => a - b),
    );
    assert.is(batches.flatMap(batch => batch.ops).length, 100);
  }));

test('a batch is synced when any of its writes asks for it, and only then', () =>
  withCommits(async (commits, records, batches) => {
    await Promise.all([
      commits.write([records.putOp('a', 1)], false),
      commits.write([records.putOp('b', 2)], false),
      commits.write([records.putOp('c', 3)], true),
    ]);
    assert.equal(
      batches.map(batch => batch.sync),
      [false, true],
    );
  }));

test('a batch has a limit of bytes, which one large write alone may pass', () =>
  withCommits(async (commits, _records, batches) => {
    const put = (name: string, mebibytes: number): BatchOp[] => [
      { type: 'put', key: Buffer.from(name), value: Buffer.alloc(mebibytes * 2 ** 20) },
    ];
    await Promise.all([
      commits.write(put('a', 0), false),
      commits.write(put('b', 3), false),
      commits.write(put('c', 3), false),
      commits.write(put('d', 5), false),
      commits.write(put('e', 0), false),
      commits.write(put('f', 0), false),
    ]);
    assert.equal(
      batches.map(batch => batch.ops.length),
      [1, 1, 1, 1, 2],
    );
  }));

test('what waits is bounded', () =>
  withCommits(async (commits, records, batches) => {
    const op = records.putOp('k', 1);
    const codes = await Promise.all(
      Array.from({ length: 10_050 }, () =>
        commits.write([op], false).then(
          () => 'written',
          error => error.code,
        ),
      ),
    );
    assert.is(codes.filter(code => code === 'DB_BUSY').length, 49);
    assert.is(codes.filter(code => code === 'written').length, 10_001);
    assert.ok(batches.every(batch => batch.ops.length <= 1_000));
    await commits.write([op], false);
  }));

test('after a failed batch nothing is written any more, and every caller hears why', async () => {
  const reason = new Error('disk full');
  let calls = 0;
  const commits = new GroupCommit(async () => {
    calls += 1;
    if (calls === 2) throw reason;
  });
  const op: BatchOp = { type: 'del', key: Buffer.from('k') };
  await commits.write([op], false);
  const [first, second] = [commits.write([op], false), commits.write([op], false)];
  assert.is(await rejection(first), reason);
  assert.is(await rejection(second), reason);
  assert.is(await rejection(commits.write([op], false)), reason);
  assert.is(commits.failure, reason);
  assert.is(calls, 2);
});

test('close waits for what is under way', () =>
  withCommits(async (commits, records) => {
    const writes = [1, 2, 3].map(i => commits.write([records.putOp(`k${i}`, i)], true));
    await commits.close();
    assert.is(await records.get('k3'), 3);
    await Promise.all(writes);
    assert.is((await rejection(commits.write([], false))).code, 'DB_CLOSED');
  }));

test.run();
