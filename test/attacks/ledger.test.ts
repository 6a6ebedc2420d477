import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { escrowIdOf } from '../../src/wire/index.ts';
import { withNotary } from '../ledger/one-notary.ts';
import * as s from '../ledger/support.ts';
import { type LedgerAttack, ledgerAttacks } from './ledger-attacks.ts';

const test = suite('attacks: the ledger');
const { alice } = s;
const read = (path: string) => readFile(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

/** The codes that an attack came to. The supply is counted again after it. */
async function codesOf({ how }: LedgerAttack): Promise<unknown[]> {
  if (typeof how !== 'function') return [];
  let codes: unknown[] = [];
  await withNotary(
    async setting => {
      const order = s.makeOrder(alice, 0, [s.makeLock()]);
      assert.equal(await setting.submit(order), ['ok']);
      const escrow = { escrowId: escrowIdOf(order, 0), lock: s.makeLock() };
      codes = [...(await how(Object.assign(setting, { escrow })))];
    },
    { rate: 1 },
  );
  return codes;
}

for (const attack of ledgerAttacks.filter(({ how }) => typeof how === 'function'))
  test(`${attack.name}`, async () => {
    const codes = await codesOf(attack);
    assert.ok(codes.length > 0);
    // Each form has one of the codes, and each code is seen.
    assert.equal([...new Set(codes)].sort(), [...attack.by].sort());
  });

test('what needs several notaries, or a power cut, has a test of its own', async () => {
  for (const { how } of ledgerAttacks) {
    if (typeof how === 'function') continue;
    assert.ok((await read(how.file)).includes(`test('${how.test}'`), `${how.file}: ${how.test}`);
  }
});

const lines = ledgerAttacks.map(({ name, by, how }) => {
  const where = typeof how === 'function' ? '' : ` (\`${how.file}\`)`;
  return `| ${name}${where} | ${by.map(code => `\`${code}\``).join(', ')} |\n`;
});

test('docs/ledger.md has the whole table', async () => {
  const wanted = `| attack | refused with |\n|---|---|\n${lines.join('')}`;
  const page = await read('docs/ledger.md');
  assert.is(`${page}\n`.includes(`\n${wanted}\n`) ? '' : wanted, '');
});

test.run();
