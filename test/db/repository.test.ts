import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BUCKETS, bytesCodec, cborCodec } from '../../src/db/index.ts';
import { rejection, withDatabase } from './temp-dir.ts';

const test = suite('db: repository');

interface Account {
  owner: string;
  balance: bigint;
}

const accountCodec = cborCodec<Account>(raw => {
  const { owner, balance } = raw as { owner: unknown; balance: number | bigint };
  if (typeof owner !== 'string') throw new Error('owner is no text');
  return { owner, balance: BigInt(balance) };
});

test('money comes back as bigint, small and large', () =>
  withDatabase(async database => {
    const accounts = database.repository('notary-accounts', accountCodec);
    for (const balance of [0n, 5n, 2n ** 53n, 2n ** 63n - 1n]) {
      await database.write([accounts.putOp('a', { owner: 'a', balance })]);
      assert.equal(await accounts.get('a'), { owner: 'a', balance });
      const decoded = database.repository('notary-accounts', accountCodec);
      assert.equal(await decoded.get('a'), { owner: 'a', balance });
    }
  }));

test('one write changes several repositories, or none of them', () =>
  withDatabase(async database => {
    const accounts = database.repository('notary-accounts', accountCodec);
    const log = database.repository('notary-log', bytesCodec);
    await database.write([
      accounts.putOp('a', { owner: 'a', balance: 1n }),
      log.putOp('1', Buffer.from('entry')),
    ]);
    assert.ok((await accounts.has('a')) && (await log.has('1')));
    await database.write([accounts.delOp('a'), log.delOp('1'), accounts.delOp('never there')]);
    assert.not((await accounts.has('a')) || (await log.has('1')));

    const bad = { type: 'put', key: undefined, value: undefined } as unknown as ReturnType<typeof log.delOp>;
    const good = accounts.putOp('b', { owner: 'b', balance: 1n });
    assert.ok(await rejection((async () => database.write([good, bad]))()));
    assert.is(await accounts.has('b'), false);
  }));

test('getMany keeps the order and leaves holes', () =>
  withDatabase(async database => {
    const numbers = database.repository('tasks', cborCodec(Number));
    await database.write([numbers.putOp('a', 1), numbers.putOp('b', 2)]);
    assert.equal(await numbers.getMany(['b', 'x', 'a', 'b']), [2, undefined, 1, 2]);
    assert.equal(await numbers.getMany([]), []);
  }));

test('buckets whose names begin alike do not see each other', () =>
  withDatabase(async database => {
    const ops = BUCKETS.filter(bucket => bucket !== 'meta').map(bucket =>
      database.repository(bucket, bytesCodec).putOp('k', Buffer.from(bucket)),
    );
    await database.write(ops);
    for (const bucket of BUCKETS.filter(bucket => bucket !== 'meta')) {
      const found: [string, Uint8Array][] = [];
      for await (const entry of database.repository(bucket, bytesCodec).iterate({ limit: 10 }))
        found.push(entry);
      assert.equal(
        found.map(([key, value]) => [key, Buffer.from(value).toString()]),
        [['k', bucket]],
      );
    }
  }));

test('the registry of buckets holds distinct names without the separator', () => {
  assert.is(new Set(BUCKETS).size, BUCKETS.length);
  for (const bucket of BUCKETS) assert.match(bucket, /^[a-z][a-z-]*$/);
});

test('a record that does not decode is damage with its bucket and key', () =>
  withDatabase(async database => {
    const raw = database.repository('notary-accounts', bytesCodec);
    const accounts = database.repository('notary-accounts', accountCodec);
    for (const bytes of [Buffer.from('noise'), Buffer.alloc(0), Buffer.from([0xa0])]) {
      await database.write([raw.putOp('a', bytes)]);
      for (const read of [
        accounts.get('a'),
        accounts.getMany(['a']),
        accounts.iterate({ limit: 1 }).next(),
      ]) {
        const error = await rejection(read);
        assert.equal(
          { ...(error as Error & { type?: object }).type },
          {
            code: 'DB_DAMAGED',
            bucket: 'notary-accounts',
            key: 'a',
          },
        );
      }
    }
  }));

test('keys that cannot be one are refused', () =>
  withDatabase(async database => {
    const records = database.repository('idempotency', bytesCodec);
    for (const key of ['', 'x'.repeat(513), 'é'.repeat(257), 'a\ud800', '\udc00b'])
      assert.is((await rejection(records.get(key))).code, 'DB_KEY_INVALID');
    for (const key of ['x'.repeat(512), '\u0000', '../a/b', '\u{10ffff}']) {
      await database.write([records.putOp(key, Buffer.from('v'))]);
      assert.ok(await records.has(key));
    }
  }));

test('an aborted signal ends an iteration', () =>
  withDatabase(async database => {
    const records = database.repository('receipts', bytesCodec);
    await database.write([records.putOp('a', Buffer.alloc(1)), records.putOp('b', Buffer.alloc(1))]);
    const controller = new AbortController();
    const seen: string[] = [];
    const walk = async () => {
      for await (const [key] of records.iterate({ limit: 10, signal: controller.signal })) {
        seen.push(key);
        controller.abort(new Error('enough'));
      }
    };
    assert.is((await rejection(walk())).message, 'enough');
    assert.equal(seen, ['a']);
  }));

test.run();
