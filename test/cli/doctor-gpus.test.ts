import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkGpus } from '../../src/cli/commands/doctor-gpus.ts';

const test = suite('cli: doctor about GPUs');

const two = { count: 2, vendor: 'nvidia' as const, memoryBytes: 8192 * 2 ** 20 };
const configured = { count: 2, vendor: 'nvidia' as const, memory_mb: 8192 };

test('says what is there, what is lent, and how to mend what does not fit', () => {
  const said = (
    ...[configured, found, usable]: [
      Parameters<typeof checkGpus>[0]['configured'],
      typeof two | null,
      typeof two | null,
    ]
  ) => checkGpus({ configured, found, usable });
  assert.equal(said(null, null, null), { ok: true, detail: 'none found, none lent' });
  assert.match(
    said(null, two, null).detail,
    /^2 x nvidia, 8192 MiB each: not lent; worker\.gpus: auto lends them$/,
  );
  assert.equal(said('auto', two, two), { ok: true, detail: 'lends 2 x nvidia, 8192 MiB each' });
  assert.is(said('auto', null, null).ok, true);
  assert.match(said('auto', null, null).detail, /refused/);
  assert.equal(said(configured, two, two).ok, true);
  for (const result of [said(configured, { ...two, count: 1 }, two), said(configured, null, two)]) {
    assert.is(result.ok, false);
    assert.match(result.detail, /correct it/);
  }
  const noToolkit = said('auto', two, null);
  assert.is(noToolkit.ok, false);
  assert.match(noToolkit.detail, /toolkit/);
});

test.run();
