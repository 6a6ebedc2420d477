import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Database, openDatabase } from '../../src/db/index.ts';
import { createExperience, NO_EXPERIENCE, successBound } from '../../src/reputation/index.ts';
import { silentLogger, systemClock } from '../../src/util/index.ts';
import { sha256, signerFromSeed } from '../../src/wire/index.ts';

const test = suite('reputation: experience');

const peers = ['a', 'b', 'c', 'd'].map(name => signerFromSeed(sha256(Buffer.from(name))).peer);
const [first, second, third] = peers as [string, string, string];
const success = { success: true, time: { claimedMs: 100, actualMs: 250 } };
const failure = { success: false, time: null };

/** A clock that moves one second a look. */
function ticking() {
  let now = 1_767_225_600_000;
  return { ...systemClock, now: () => (now += 1000) };
}

async function withDatabase(fn: (db: Database) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-experience-'));
  const db = await openDatabase({ logger: silentLogger, clock: systemClock }, { dir });
  try {
    await fn(db);
  } finally {
    await db.close();
    await rm(dir, { recursive: true });
  }
}

test('what was recorded is there at once, and after a restart', () =>
  withDatabase(async db => {
    const book = createExperience({ db, clock: ticking() });
    await book.start();
    assert.equal(book.of(first), NO_EXPERIENCE);
    for (let i = 0; i < 20; i++) await db.write(book.record(first, success));
    await db.write(book.record(second, failure));
    assert.is(book.of(first).successes, 20);
    assert.ok(successBound(book.of(first)) > successBound(book.of(third)));
    assert.ok(successBound(book.of(second)) < successBound(book.of(third)));

    const next = createExperience({ db, clock: ticking() });
    await next.start();
    for (const peer of [first, second])
      for (const key of ['a', 'b', 'y', 'n', 'successes', 'failures', 'lastAt'] as const)
        assert.ok(Math.abs(next.of(peer)[key] - book.of(peer)[key]) < 1e-6, `${key} of ${peer}`);
    assert.equal(
      next.list().map(({ peer }) => peer),
      [second, first],
    );
  }));

test('changes reach the disk only with the caller’s write', () =>
  withDatabase(async db => {
    const book = createExperience({ db, clock: ticking() });
    await book.start();
    book.record(first, success);
    const next = createExperience({ db, clock: ticking() });
    await next.start();
    assert.equal(next.of(first), NO_EXPERIENCE);
  }));

test('past its limit it forgets, in memory and on disk, whom it heard of longest ago', () =>
  withDatabase(async db => {
    const book = createExperience({ db, clock: ticking() }, { maxPeers: 2 });
    await book.start();
    for (const peer of [first, second, first, third]) await db.write(book.record(peer, success));
    assert.equal(book.of(second), NO_EXPERIENCE);
    assert.is(book.of(first).successes, 2);
    const wider = createExperience({ db, clock: ticking() });
    await wider.start();
    assert.is(wider.list().length, 2);
    const narrow = createExperience({ db, clock: ticking() }, { maxPeers: 1 });
    await narrow.start();
    assert.equal(
      narrow.list().map(({ peer }) => peer),
      [third],
    );
    const again = createExperience({ db, clock: ticking() });
    await again.start();
    assert.is(again.list().length, 1);
  }));

test('who breaks its word twice in a row is doubtful for a while, twice as long each time, until it keeps it', () =>
  withDatabase(async db => {
    let now = 0;
    const book = createExperience({ db, clock: { ...systemClock, monotonic: () => now } });
    await book.start();
    book.refused(first);
    assert.not(book.isDoubtful(first), 'once may be bad luck');
    book.record(first, failure);
    for (const seconds of [30, 60, 120]) {
      now += seconds * 1000 - 1;
      assert.ok(book.isDoubtful(first), `for ${seconds} s`);
      now += 1;
      assert.not(book.isDoubtful(first));
      book.refused(first);
    }
    assert.not(book.isDoubtful(second));
    book.record(first, success);
    assert.not(book.isDoubtful(first));
    for (let i = 0; i < 50; i++) book.refused(first);
    now += 86_400_000 - 1;
    assert.ok(book.isDoubtful(first));
    now += 1;
    assert.not(book.isDoubtful(first), 'a day at most');
  }));

test.run();
