import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sandboxAttacks } from './sandbox/attacks.ts';
import { attackTable, exceptions } from './sandbox/table.ts';

const test = suite('attacks: the table in docs/security.md');
const page = () => readFile(fileURLToPath(new URL('../../docs/security.md', import.meta.url)), 'utf8');

/** Where the page does not hold what the suite says, that text: to be put there. */
const missing = (text: string, wanted: string) => (text.includes(`\n${wanted}\n`) ? '' : wanted);

test('it has every attack of the suite, what stops it, and whether it was seen to succeed without', async () => {
  assert.ok(sandboxAttacks.length > 40);
  assert.is(new Set(sandboxAttacks.map(({ name }) => name)).size, sandboxAttacks.length);
  assert.is(missing(await page(), attackTable(sandboxAttacks)), '');
});

test('it says where an attack does not apply, and why', async () => {
  assert.is(missing(await page(), exceptions(sandboxAttacks)), '');
});

test('an attack that nobody wrote down is found', async () => {
  const [first] = sandboxAttacks;
  const more = [...sandboxAttacks, { ...first!, name: 'a new one' }];
  assert.match(missing(await page(), attackTable(more)), /a new one/);
  assert.match(missing(await page(), attackTable(sandboxAttacks.slice(1))), /attack/);
});

test('most are seen to succeed without their protection', () => {
  const notTried = sandboxAttacks.filter(({ control }) => 'notTried' in control);
  for (const { control } of notTried)
    assert.match('notTried' in control ? control.notTried : '', /^(not safe|no setting): /);
  assert.ok(notTried.length <= 3, notTried.map(({ name }) => name).join('; '));
});

test.run();
