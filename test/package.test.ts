import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('package');

test('exports the typed client and nothing else', () => {
  const built = fileURLToPath(new URL('../dist/client.js', import.meta.url));
  assert.is(fileURLToPath(import.meta.resolve('duxnode/client')), built);
  assert.throws(() => import.meta.resolve('duxnode'), /ERR_PACKAGE_PATH_NOT_EXPORTED|exports/);
});

test.run();
