import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ProbeFinding, probeSandboxes } from '../../src/sandbox/index.ts';
import { hostNetwork, natively, unfiltered } from '../attacks/sandbox/native-weakenings.ts';
import { runCli, withDir } from '../cli/support.ts';
import { IMAGE, nativeSubject } from './support.ts';

const test = suite('native: doctor');

test('doctor tries the attacks in the sandboxes that a node would use', () =>
  withDir(async dir => {
    const { HOME = '', XDG_CACHE_HOME = '' } = process.env;
    const env = { HOME, XDG_CACHE_HOME, DUXNODE_SANDBOX_RUNTIME: 'native' };
    const { code, out } = await runCli(['doctor', '--data', dir, '--api-port', '0', '--json'], { env });
    assert.is(code, 0, out);
    const { findings } = JSON.parse(out) as { findings: ProbeFinding[] };
    for (const check of 'native sandbox network privileges files kernel memory processes cpu time output'.split(
      ' ',
    ))
      assert.ok(findings.find(found => found.check === check)?.ok, check);
  }));

test('a network and no filter are found', async () => {
  const weaken = natively(hostNetwork, unfiltered);
  const { executor, leavesNothing } = await nativeSubject({ maxBoxes: 0 }, { weaken });
  try {
    const findings = await probeSandboxes(executor, await executor.ensureImage(IMAGE, {}));
    const failing = findings.filter(({ ok }) => !ok).map(({ check }) => check);
    assert.equal(failing, ['network', 'kernel']);
  } finally {
    await executor.stop();
  }
  await leavesNothing();
});

test.run();
