import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type BatchOp, cborCodec, type Database, type Repository } from '../../src/db/index.ts';
import { withDatabase } from './temp-dir.ts';

const test = suite('db: iterate against a map');

/** Neighbours of the bucket under test in byte order, and one whose name begins with its name. */
const NEIGHBOURS = ['task-orders', 'tasks', 'wallet-locks'] as const;

/** Few letters, so that keys meet; some on either side of the separator, some past the 16-bit plane. */
const keys = fc
  .array(fc.constantFrom('a', 'b', '/', '0', '.', '\u0000', 'é', '\uffff', '\u{10ffff}'), {
    minLength: 1,
    maxLength: 4,
  })
  .map(letters => letters.join(''));

const queries = fc.record(
  {
    prefix: fc.oneof(fc.constant(''), keys),
    gt: keys,
    lt: keys,
    reverse: fc.boolean(),
    limit: fc.integer({ min: 0, max: 12 }),
  },
  { requiredKeys: ['limit'] },
);

type Query = typeof queries extends fc.Arbitrary<infer Q> ? Q : never;
const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

function expected(model: Map<string, number>, query: Query): [string, number][] {
  const { prefix = '', gt, lt, reverse = false, limit } = query;
  const rows = [...model]
    .filter(([key]) => key.startsWith(prefix))
    .filter(([key]) => gt === undefined || byBytes(key, gt) > 0)
    .filter(([key]) => lt === undefined || byBytes(key, lt) < 0)
    .sort(([a], [b]) => byBytes(a, b));
  return (reverse ? rows.reverse() : rows).slice(0, limit);
}

async function collect(records: Repository<number>, query: Query): Promise<[string, number][]> {
  const rows: [string, number][] = [];
  for await (const row of records.iterate(query)) rows.push(row);
  return rows;
}

async function clear(database: Database): Promise<void> {
  const ops: BatchOp[] = [];
  for (const bucket of NEIGHBOURS) {
    const records = database.repository(bucket, cborCodec(Number));
    for await (const [key] of records.iterate({ limit: 1_000 })) ops.push(records.delOp(key));
  }
  await database.write(ops);
}

test('bounds, prefix, direction and limit agree with a sorted map, and buckets stay apart', () =>
  withDatabase(async database => {
    const changes = fc.array(
      fc.record({ bucket: fc.constantFrom(...NEIGHBOURS), key: keys, remove: fc.boolean() }),
      {
        maxLength: 25,
      },
    );
    await fc.assert(
      fc.asyncProperty(changes, fc.array(queries, { minLength: 1, maxLength: 8 }), async (ops, asked) => {
        await clear(database);
        const models = new Map(NEIGHBOURS.map(bucket => [bucket, new Map<string, number>()]));
        const batch = ops.map(({ bucket, key, remove }, i) => {
          const records = database.repository(bucket, cborCodec(Number));
          if (remove) models.get(bucket)?.delete(key);
          else models.get(bucket)?.set(key, i);
          return remove ? records.delOp(key) : records.putOp(key, i);
        });
        await database.write(batch);
        for (const [bucket, model] of models) {
          const records = database.repository(bucket, cborCodec(Number));
          for (const query of asked) assert.equal(await collect(records, query), expected(model, query));
        }
      }),
      { numRuns: 300 },
    );
  }));

test.run();
