import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isImagePattern, matchesImage, parseImage, shortName } from '../../src/sandbox/image-name.ts';

const test = suite('sandbox: image names');
const D = `sha256:${'a'.repeat(64)}`;
const E = `sha256:${'b'.repeat(64)}`;

for (const [ref, repository, tag, digest] of [
  ['python', 'docker.io/library/python', 'latest', null],
  ['python:3.9-slim', 'docker.io/library/python', '3.9-slim', null],
  ['docker.io/python', 'docker.io/library/python', 'latest', null],
  ['index.docker.io/library/python:3', 'docker.io/library/python', '3', null],
  ['some/tool:1', 'docker.io/some/tool', '1', null],
  ['localhost/tool', 'localhost/tool', 'latest', null],
  ['127.0.0.1:5000/a/b:1', '127.0.0.1:5000/a/b', '1', null],
  [`python@${D}`, 'docker.io/library/python', null, D],
  [`ghcr.io/a/b:1@${D}`, 'ghcr.io/a/b', '1', D],
] as const)
  test(`${ref} in full`, () => {
    assert.equal(parseImage(ref), { repository, tag, digest });
  });

test('what names no image', () => {
  for (const ref of ['', D, 'a@b', `a@${D}@${D}`, `a@${D.slice(0, -1)}`, 'a:', ':1', `@${D}`])
    assert.is(parseImage(ref), undefined, ref);
});

test('as engines list it', () => {
  for (const [ref, short] of [
    ['python', 'python:latest'],
    ['docker.io/library/python:3', 'python:3'],
    ['docker.io/some/tool', 'some/tool:latest'],
    ['localhost:5000/x', 'localhost:5000/x:latest'],
    [`python:3@${D}`, `python@${D}`],
    [D, D],
  ] as const)
    assert.is(shortName(ref), short);
});

for (const [entry, allowed, refused] of [
  [
    'python',
    ['python:latest', 'docker.io/library/python'],
    ['python:3', `python@${D}`, 'python2', 'a/python'],
  ],
  ['python:3.9-slim', ['python:3.9-slim'], ['python', 'python:3.9-slimmer', `python:3.9-slim@${D}`]],
  [
    'python:*',
    ['python', 'python:3', `python@${D}`],
    ['python2', 'a/python', 'ghcr.io/library/python', 'pythonx:3'],
  ],
  [`python@${D}`, [`python@${D}`, `python:3@${D}`], ['python', `python@${E}`, `a/python@${D}`, D]],
  ['team/*', ['team/a', 'team/b/c:1', `team/a@${D}`], ['team', 'teams/a', 'ghcr.io/team/a', 'a/team/b']],
  ['ghcr.io/*', ['ghcr.io/a/b'], ['ghcr.io.example.org/a', 'a/ghcr.io', 'b']],
  ['docker.io/*', ['python', 'a/b:1'], ['ghcr.io/a/b']],
  ['library/*', ['python'], ['team/python']],
] as const)
  test(`allowed by ${entry}`, () => {
    assert.ok(isImagePattern(entry));
    for (const ref of allowed) assert.ok(matchesImage(entry, ref), ref);
    for (const ref of [...refused, '', 'not an image', 'sha256:1']) assert.not(matchesImage(entry, ref), ref);
  });

test('what is no entry of a list is found before it silently allows nothing', () => {
  for (const entry of ['*', '', 'py*', 'a/*/b', 'python:3*', '/*', ':*', `a@${D.slice(0, -1)}`, 'a@*', 'a b'])
    assert.not(isImagePattern(entry), entry);
});

test.run();
