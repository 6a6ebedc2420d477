import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { judgeRuns } from '../../src/verification/index.ts';
import type { Attestation } from '../../src/wire/index.ts';

const test = suite('verification: reruns');

const claimed = {
  outcome: 'exited',
  exitCode: 0,
  stdoutCid: 'a',
  outputCid: 'b',
  stderrCid: 'c',
} as Attestation;
const other = { ...claimed, stdoutCid: 'x' };
const third = { ...claimed, stdoutCid: 'y' };
const timeout = { ...claimed, outcome: 'timeout' as const, exitCode: 137 };

test('one run that agrees suffices, also after one that does not', () => {
  assert.is(judgeRuns(claimed, [claimed]), 'right');
  assert.is(judgeRuns(claimed, [other, claimed]), 'right');
  assert.is(judgeRuns(claimed, [{ ...claimed, stderrCid: 'z' }]), 'right');
  assert.is(judgeRuns(timeout, [timeout]), 'right');
});

test('without a run, and after one that differs, another is needed', () => {
  assert.is(judgeRuns(claimed, []), undefined);
  assert.is(judgeRuns(claimed, [other]), undefined);
});

for (const change of [{ stdoutCid: 'x' }, { outputCid: 'x' }, { exitCode: 1 }])
  test(`two runs that agree, and not with the claim: wrong (${Object.keys(change)})`, () => {
    const run = { ...claimed, ...change };
    assert.is(judgeRuns(claimed, [run, run]), 'wrong');
  });

test('unclear: two runs that differ, and what time or memory ended on one machine alone', () => {
  assert.is(judgeRuns(claimed, [other, third]), 'unclear');
  assert.is(judgeRuns(timeout, [claimed, claimed]), 'unclear');
  assert.is(judgeRuns(claimed, [timeout, timeout]), 'unclear');
});

test.run();
