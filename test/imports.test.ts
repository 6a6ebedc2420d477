import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { breaches, type ImportRules, importsOf } from './import-rules.ts';

const test = suite('imports');

const RULES: ImportRules = {
  rooms: [
    'util',
    'wire',
    'db',
    'network',
    'storage',
    'sandbox',
    'ledger',
    'verification',
    'reputation',
    'market',
    'api',
    'node',
    'cli',
  ],
  entries: [
    'api/client.ts', // the typed client alone: a command must not load the server
    'network/polyfill.ts', // what entry points import before anything else
  ],
  kept: { room: 'network', packages: /^(libp2p|@libp2p\/.*|@chainsafe\/.*)$/ },
  maxLines: 300,
};

async function readSources(): Promise<Map<string, string>> {
  const src = fileURLToPath(new URL('../src', import.meta.url));
  const names = (await readdir(src, { recursive: true })).filter(name => name.endsWith('.ts')).sort();
  return new Map(
    await Promise.all(
      names.map(
        async name =>
          [name.split(sep).join('/'), await readFile(join(src, name), 'utf8')] as [string, string],
      ),
    ),
  );
}

/** The breaches of a few lines of source. */
function check(files: Record<string, string>): string[] {
  return breaches(new Map(Object.entries(files)), RULES);
}

test('the sources keep to the rooms', async () => {
  const sources = await readSources();
  assert.ok(sources.size > 50);
  assert.is(breaches(sources, RULES).join('\n'), '');
});

test('what is allowed passes', () => {
  const found = check({
    'util/index.ts': "export * from './clock.ts';",
    'util/clock.ts': "import { hostname } from 'node:os';",
    'wire/index.ts': "export * from './deep/hash.ts';",
    'wire/deep/hash.ts':
      "import {\n  a,\n  b,\n} from '../../util/index.ts';\nimport type { PeerId } from '@libp2p/interface';",
    'network/polyfill.ts': 'export {};',
    'network/index.ts': "import { createLibp2p } from 'libp2p';",
    'api/client.ts': '',
    'cli/main.ts':
      "import '../network/polyfill.ts';\nimport { client } from '../api/client.ts';\nimport page from './page.html';",
  });
  assert.equal(found, []);
});

for (const [what, files, sentence] of [
  ['an import that goes up', { 'db/a.ts': "import { x } from '../ledger/index.ts';" }, 'db/a.ts imports up'],
  [
    'a type that comes from above',
    { 'db/a.ts': "import type { X } from '../ledger/index.ts';" },
    'imports up',
  ],
  ['an export that goes up', { 'db/a.ts': "export * from '../market/index.ts';" }, 'imports up'],
  [
    'a dynamic import that goes up',
    { 'db/a.ts': "const x = await import('../node/index.ts');" },
    'imports up',
  ],
  ['a bare import that goes up', { 'util/a.ts': "import '../network/polyfill.ts';" }, 'imports up'],
  ['the own index.ts', { 'db/a.ts': "import { x } from './index.ts';" }, 'the index.ts of its own room'],
  ['the own index.ts from below', { 'db/b/a.ts': "import { x } from '../index.ts';" }, 'of its own room'],
  ['past an index.ts', { 'db/a.ts': "import { x } from '../wire/hash.ts';" }, 'past wire/index.ts'],
  ['outside src', { 'db/a.ts': "import { x } from '../../test/run.ts';" }, 'outside src'],
  ['no room', { 'helpers/a.ts': '' }, 'helpers/a.ts is in no room'],
  ['a file beside the rooms', { 'main.ts': '' }, 'main.ts is in no room'],
  [
    'libp2p elsewhere',
    { 'ledger/a.ts': "import { x } from 'libp2p';" },
    'imports libp2p, which only network may',
  ],
  [
    'a part of libp2p',
    { 'ledger/a.ts': "import { type X, y } from '@libp2p/crypto/keys';" },
    'only network may',
  ],
  [
    'a plugin of libp2p',
    { 'ledger/a.ts': "import {\n  x,\n} from '@chainsafe/libp2p-noise';" },
    'only network may',
  ],
  ['a long file', { 'db/a.ts': '\n'.repeat(301) }, 'db/a.ts has 301 lines'],
  [
    'a circle',
    {
      'db/a.ts': "import { b } from './b.ts';",
      'db/b.ts': "export * from './c.ts';",
      'db/c.ts': "import './a.ts';",
    },
    'a circle of imports: db/a.ts, db/b.ts, db/c.ts',
  ],
  [
    'a file that imports itself',
    { 'db/a.ts': "import { a } from './a.ts';" },
    'a circle of imports: db/a.ts',
  ],
] as const) {
  test(`${what} is found`, () => {
    const found = check(files);
    assert.is(found.length, 1, found.join('\n'));
    assert.ok(found[0]?.includes(sentence), found[0]);
  });
}

test('imports are read in each form, and not out of comments', () => {
  const source =
    "// import { x } from 'a';\nimport type { X } from 'b';\nexport type { Y } from 'c';\nimport 'd';\n";
  assert.equal(importsOf(source), [
    { target: 'b', typeOnly: true },
    { target: 'c', typeOnly: true },
    { target: 'd', typeOnly: false },
  ]);
});

test.run();
