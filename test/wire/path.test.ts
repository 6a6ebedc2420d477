import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isCleanPath, relativePathSchema } from '../../src/wire/index.ts';

const test = suite('wire: paths');

test('a path is at most 255 bytes of UTF-8, relative, and prints as it is', () => {
  const clean = ['a', '..data', 'a/b c', '.x/y', 'é'.repeat(127), 'x'.repeat(255), '日本/語'];
  const unclean = [
    '',
    '/a',
    'a/',
    'a//b',
    '.',
    'a/../b',
    'a\\b',
    'x'.repeat(256),
    'é'.repeat(128),
    'a\0',
    'a\nb',
    '\u001b[2J',
    'a\u007f',
    '\u009b2J',
    '\ud800',
  ];
  for (const path of clean) assert.ok(isCleanPath(path), path);
  for (const path of unclean) assert.not(isCleanPath(path), JSON.stringify(path));
  for (const path of [...clean, ...unclean])
    assert.is(relativePathSchema.safeParse(path).success, isCleanPath(path));
});

test.run();
