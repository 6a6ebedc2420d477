import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createImageJournal } from '../../src/node/images.ts';
import { open, withTempDir } from '../db/temp-dir.ts';

const test = suite('node: the journal of pulled images');

test('what was pulled is known after a restart, until it is removed', () =>
  withTempDir(async dir => {
    const image = { engine: 'E', digest: `sha256:${'1'.repeat(64)}`, sizeBytes: 7, usedAt: 1_000 };
    const [one, two] = [
      { ...image, ref: 'registry.example:5000/a/b@sha256:1' },
      { ...image, ref: 'python:3.9-slim' },
    ];
    for (const run of [1, 2]) {
      const db = await open(dir);
      const journal = createImageJournal(db);
      if (run === 1) {
        await journal.save(one);
        await journal.save(two);
        await journal.save({ ...two, usedAt: 2_000 });
      } else {
        assert.equal(await journal.load(), [{ ...two, usedAt: 2_000 }, one]);
        await journal.remove(two);
        assert.equal(await journal.load(), [one]);
      }
      await db.close();
    }
  }));

test.run();
