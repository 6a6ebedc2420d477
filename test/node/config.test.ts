import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfig } from '../../src/node/index.ts';
import { hasCode } from '../../src/util/index.ts';

const test = suite('node: configuration');
const root = new URL('../../', import.meta.url).pathname;

async function withFile<T>(text: string, use: (file: string) => T): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-config-'));
  try {
    const file = join(dir, 'config.yaml');
    await writeFile(file, text);
    return use(file);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function complaint(text: string): Promise<string> {
  return withFile(text, file => {
    try {
      loadConfig({ file, env: {}, flags: {} });
    } catch (error) {
      assert.ok(hasCode(error, 'CONFIG_INVALID'));
      return error.message.replace(file, 'F');
    }
    throw new Error(`taken: ${text}`);
  });
}

test('config.yaml is the documented default', () => {
  const documented = loadConfig({ file: join(root, 'config.yaml'), env: {}, flags: {} });
  assert.equal(documented, loadConfig({ env: {}, flags: {} }));
});

test('a flag wins over the environment, that over the file, that over the default', async () => {
  await withFile('api:\n  port: 1\n  host: "::1"\nengine:\n  max_concurrent_tasks: 3\n', file => {
    const env = { DUXNODE_API_PORT: '2', DUXNODE_API_HOST: 'localhost' };
    const config = loadConfig({ file, env, flags: { 'api.port': 3 } });
    assert.is(config.api.port, 3);
    assert.is(config.api.host, 'localhost');
    assert.is(config.engine.max_concurrent_tasks, 3);
    assert.is(config.engine.scheduling_interval, 5);
  });
});

test('what is wrong is one line with file, line and column', async () => {
  assert.is(await complaint('engine:\n  max_concurent: 3\n'), 'F:2:3: engine.max_concurent: unknown key');
  assert.is(
    await complaint('sandbox:\n  cpu_limit: -1\n'),
    'F:2:3: sandbox.cpu_limit: Too small: expected number to be >=0.01',
  );
  assert.is(
    await complaint('worker:\n  allowed_images: ["python:*", "py*"]\n'),
    'F:2:32: worker.allowed_images.1: must be name:tag, name@sha256:…, name:* or prefix/*',
  );
  assert.match(await complaint('network:\n  listen:\n    - 5\n'), /^F:3:7: network\.listen\.0: /);
  assert.match(await complaint('api:\n  port: [\n'), /^F:3:1: [^\n]+$/);
  assert.match(await complaint('- 1\n'), /^F:1:1: /);
});

test('an amount is read as it was written, never through a float', async () => {
  await withFile('ledger:\n  supply: 0.00000001\n', file =>
    assert.is(loadConfig({ file, env: {}, flags: {} }).ledger.supply, 1n),
  );
  assert.is(
    await complaint('ledger:\n  supply: 1.123456789\n'),
    'F:2:3: ledger.supply: must have at most 8 decimal places',
  );
});

test('a wrong environment variable is named', () => {
  assert.throws(
    () => loadConfig({ env: { DUXNODE_API_PORT: '99999' }, flags: {} }),
    (error: Error) => /^environment DUXNODE_API_PORT: api\.port: /.test(error.message),
  );
});

test.run();
