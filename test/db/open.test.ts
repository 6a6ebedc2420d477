import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bytesCodec, cborCodec, DATABASE_VERSION, type Database } from '../../src/db/index.ts';
import { program } from '../fixtures/program.ts';
import { open, rejection, withTempDir } from './temp-dir.ts';

const test = suite('db: opening');

async function filesOf(dir: string, pattern: RegExp): Promise<string[]> {
  const names = await readdir(join(dir, 'db'));
  return names.filter(name => pattern.test(name)).map(name => join(dir, 'db', name));
}

async function fill(database: Database, count: number): Promise<void> {
  const results = database.repository('receipts', bytesCodec);
  for (let i = 0; i < count; i++) await database.write([results.putOp(`k${i}`, Buffer.alloc(1_000, i))]);
}

test('records are there after reopening', () =>
  withTempDir(async dir => {
    const first = await open(dir);
    await fill(first, 10);
    await first.close();
    const second = await open(dir);
    const results = second.repository('receipts', bytesCodec);
    assert.equal((await results.get('k9'))?.length, 1_000);
    await second.close();
  }));

test('the database is for its owner alone', () =>
  withTempDir(async dir => {
    const database = await open(join(dir, 'data'));
    await database.close();
    assert.is((await stat(join(dir, 'data'))).mode & 0o777, 0o700);
    assert.is((await stat(join(dir, 'data', 'db'))).mode & 0o777, 0o700);
  }));

test('a second open of one directory is refused and names it', () =>
  withTempDir(async dir => {
    const database = await open(dir);
    const error = await rejection(open(dir));
    assert.is(error.code, 'DATA_DIR_LOCKED');
    assert.ok(error.message.includes(dir));
    await fill(database, 1);
    await database.close();
    await (await open(dir)).close();
  }));

test('another process holds the lock, and kill -9 frees it with all synced records', () =>
  withTempDir(async dir => {
    const holder = spawn(process.execPath, [...program('fixtures/db/holder.ts'), dir], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      await once(holder.stdout, 'data');
      assert.is((await rejection(open(dir))).code, 'DATA_DIR_LOCKED');
    } finally {
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    }
    const database = await open(dir);
    const kept = await database.repository('receipts', bytesCodec).get('kept');
    assert.is(Buffer.from(kept ?? []).toString(), 'yes');
    await database.close();
  }));

test('another version is refused, newer or older, and leaves the lock free', () =>
  withTempDir(async dir => {
    for (const version of [DATABASE_VERSION + 1, DATABASE_VERSION - 1]) {
      const database = await open(dir);
      const meta = database.repository('meta', cborCodec(Number));
      await database.write([meta.putOp('version', version)], { sync: true });
      await database.close();
      const error = await rejection(open(dir));
      assert.is(error.code, 'DB_VERSION');
      assert.ok(error.message.includes(`version ${version}`));
      assert.is((await rejection(open(dir))).code, 'DB_VERSION');
      await rm(join(dir, 'db'), { recursive: true });
    }
  }));

test('records without a version are damage', () =>
  withTempDir(async dir => {
    const database = await open(dir);
    await fill(database, 1);
    await database.write([database.repository('meta', bytesCodec).delOp('version')]);
    await database.close();
    assert.is((await rejection(open(dir))).code, 'DB_DAMAGED');
  }));

for (const [what, pattern, content] of [
  ['an emptied CURRENT', /^CURRENT$/, ''],
  ['a CURRENT that points nowhere', /^CURRENT$/, 'MANIFEST-999999\n'],
  ['a manifest of noise', /^MANIFEST-/, 'x'.repeat(200)],
  ['a missing CURRENT', /^CURRENT$/, undefined],
  ['missing tables', /\.ldb$/, undefined],
] as const) {
  test(`${what} is reported as damage that says what to do`, () =>
    withTempDir(async dir => {
      const database = await open(dir);
      await fill(database, 10);
      await database.close();
      await (await open(dir)).close(); // opening turns the log into a table
      const files = await filesOf(dir, pattern);
      assert.ok(files.length > 0);
      for (const file of files) await (content === undefined ? rm(file) : writeFile(file, content));
      const error = await rejection(open(dir));
      assert.is(error.code, 'DB_DAMAGED');
      assert.ok(error.message.includes('backup'));
    }));
}

test('a directory that cannot be one is refused by its name', () =>
  withTempDir(async dir => {
    await mkdir(join(dir, 'data'));
    await writeFile(join(dir, 'data', 'db'), '');
    const error = await rejection(open(join(dir, 'data')));
    assert.is(error.code, 'DB_OPEN_FAILED');
    assert.ok(error.message.includes(join(dir, 'data')));
  }));

test('after close reads and writes are refused', () =>
  withTempDir(async dir => {
    const database = await open(dir);
    await database.close();
    const results = database.repository('receipts', bytesCodec);
    assert.is((await rejection(results.get('a'))).code, 'DB_CLOSED');
    assert.is((await rejection(results.iterate({ limit: 1 }).next())).code, 'DB_CLOSED');
    assert.is((await rejection(database.write([results.delOp('a')]))).code, 'DB_CLOSED');
  }));

test.run();
