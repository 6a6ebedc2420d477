import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { MUTANTS } from '../scripts/broken-rules.ts';
import { ERRORS } from '../src/api/errors.ts';
import { ROUTE_IDS, routes } from '../src/api/routes/table.ts';
import { runProgram } from '../src/cli/program.ts';
import { configSchema, loadConfig } from '../src/node/index.ts';
import { VERSION } from '../src/util/index.ts';
import {
  brokenLinks,
  commandsIn,
  configRows,
  type Page,
  tableDefaults,
  unnamedErrors,
  unnamedKeys,
  unnamedRoutes,
} from './docs-rules.ts';

const test = suite('docs');
const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFile(join(root, path), 'utf8');

async function readPages(): Promise<Page[]> {
  const names = (await readdir(join(root, 'docs'), { recursive: true })).filter(name => name.endsWith('.md'));
  const paths = ['README.md', ...names.map(name => join('docs', name))];
  return Promise.all(paths.map(async path => ({ path, text: await read(path) })));
}

async function filesOf(pages: readonly Page[]): Promise<Set<string>> {
  const folders = new Set(pages.flatMap(({ path }) => [dirname(path), dirname(dirname(path))]));
  const listed = await Promise.all(
    [...folders].map(async folder =>
      (await readdir(join(root, folder))).map(name => relative('.', join(folder, name))),
    ),
  );
  return new Set(listed.flat());
}

/** Every `<block>.<key>` of the schema. */
const keys = Object.entries(configSchema.shape).flatMap(([block, schema]) =>
  Object.keys(schema.unwrap().shape).map(key => `${block}.${key}`),
);
const noConfig = { env: {}, flags: {} };

/** Keys whose default is this machine's: they are in config.yaml as a comment. */
const OF_THE_MACHINE = ['worker.cpus', 'worker.memory_mb'];

async function helpText(): Promise<string> {
  let text = '';
  const keep = async (content: string | Uint8Array) => {
    text += content;
  };
  const code = await runProgram(
    {
      env: {},
      out: keep,
      err: keep,
      outIsTerminal: false,
      errIsTerminal: false,
      stdin: async () => '',
      askSecret: null,
      signal: new AbortController().signal,
    },
    ['--help'],
  );
  assert.is(code, 0);
  return text;
}

test('every link leads somewhere', async () => {
  const pages = await readPages();
  assert.ok(pages.length > 10);
  assert.equal(brokenLinks(pages, await filesOf(pages)), []);
});

test('a link to no file, and one to no heading, are found', () => {
  const page = {
    path: 'docs/a.md',
    text: '# A b\n[x](b.md) [y](#a-b) [z](a.md#no) [w](https://example.org)\n',
  };
  assert.equal(brokenLinks([page], new Set(['docs/a.md'])), ['docs/a.md: b.md', 'docs/a.md: a.md#no']);
});

test('configuration.md has every key, and no other', async () => {
  const page = await read('docs/configuration.md');
  assert.ok(keys.length > 20);
  assert.equal(unnamedKeys(page, keys), []);
  assert.equal(
    configRows(page).filter(key => !keys.includes(key)),
    [],
  );
  assert.equal(unnamedKeys(page.replace('`storage.max_mb`', ''), keys), ['storage.max_mb']);
});

test('config.yaml has every key, with its default', async () => {
  const text = await read('config.yaml');
  const tree = parse(text) as Record<string, Record<string, unknown>>;
  const missing = keys.filter(key => {
    const [block = '', name = ''] = key.split('.');
    return OF_THE_MACHINE.includes(key) ? !text.includes(`# ${name}:`) : !(name in (tree[block] ?? {}));
  });
  assert.equal(missing, []);
  assert.equal(loadConfig({ ...noConfig, file: join(root, 'config.yaml') }), loadConfig(noConfig));
});

test('the defaults in configuration.md are those of config.yaml', async () => {
  const tree = parse(await read('config.yaml')) as Record<string, Record<string, unknown>>;
  const said = tableDefaults(await read('docs/configuration.md'));
  const wrong = keys.filter(key => {
    const [block = '', name = ''] = key.split('.');
    if (OF_THE_MACHINE.includes(key)) return false;
    const value = tree[block]?.[name];
    const list = Array.isArray(value) ? value.join(', ') || 'none' : String(value);
    return parse(said.get(key) ?? '') !== parse(list);
  });
  assert.equal(wrong, []);
});

test('api.md has every path with its method', async () => {
  const page = await read('docs/api.md');
  const table = ROUTE_IDS.map(id => routes[id]);
  assert.equal(unnamedRoutes(page, table), []);
  assert.equal(unnamedRoutes(page.replace('| DELETE |', '| GET |'), table), ['DELETE /tasks/{task_id}']);
});

test('api.md has every error code with its status, and no other', async () => {
  const page = await read('docs/api.md');
  assert.equal(unnamedErrors(page, ERRORS), []);
  assert.equal(unnamedErrors(page.replace('| `TASK_OVER` | 409 |', '| `TASK_OVER` | 410 |'), ERRORS), [
    'TASK_OVER 409',
  ]);
  const coded = [...page.matchAll(/^\| `([A-Z_]+)` \| \d{3} \|/gm)].map(([, code]) => code as string);
  assert.equal(
    coded.filter(code => !(code in ERRORS)),
    [],
  );
});

test('the guide or the README shows every command', async () => {
  const commands = commandsIn(await helpText());
  assert.ok(commands.length > 15);
  const text = (await read('docs/guide.md')) + (await read('README.md'));
  const shown = (name: string) => new RegExp(`duxnode ${name}\\b`).test(text);
  assert.equal(
    commands.filter(name => !shown(name)),
    [],
  );
  assert.not(shown('fly'));
});

test('ledger.md names each rule that is broken, and the source still holds it', async () => {
  const named = [...(await read('docs/ledger.md')).matchAll(/^\| (.*?) \| `[a-z]+\/[a-z]+`: /gm)];
  assert.equal(
    named.map(([, name]) => name),
    MUTANTS.map(({ name }) => name),
  );
  for (const { name, file, from, tests } of MUTANTS) {
    assert.is((await read(file)).split(from).length, 2, name);
    for (const path of tests) await read(path);
  }
});

test('the version is that of package.json', async () => {
  assert.is(VERSION, JSON.parse(await read('package.json')).version);
});

test.run();
