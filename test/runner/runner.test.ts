import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { planFiles, type TestFile } from './plan.ts';
import { notRun } from './report.ts';
import { runAll, summary, type Totals } from './run-all.ts';

const test = suite('runner');
const root = fileURLToPath(new URL('../..', import.meta.url));
const never = new AbortController().signal;

interface Outcome extends Totals {
  readonly printed: string;
}

async function run(
  names: string[],
  extra: { strict?: boolean; limitMs?: number; again?: number } = {},
): Promise<Outcome> {
  const { strict = false, limitMs = 60_000, again = 0 } = extra;
  const files: TestFile[] = names.map(name => ({
    path: `test/fixtures/runner/${name}.ts`,
    serial: false,
    alone: false,
    limitMs,
  }));
  const lines: string[] = [];
  const print = (line: string) => lines.push(line);
  const totals = await runAll({ root, files, strict, again, print, signal: never });
  return { ...totals, printed: lines.join('\n') };
}

test('a passing file passes, in one line', async () => {
  const { printed, ...totals } = await run(['passes']);
  assert.equal(totals, { passed: 2, failed: 0, skipped: 0, flaky: 0 });
  assert.match(printed, /^ok {3}test\/fixtures\/runner\/passes\.ts {2}2 passed, \d+ ms$/);
});

test('a failing assertion fails, with the full output', async () => {
  const { printed, ...totals } = await run(['fails']);
  assert.equal(totals, { passed: 1, failed: 1, skipped: 0, flaky: 0 });
  assert.match(printed, 'one is not two');
});

/** Of each fixture that is at fault, what is said of it. */
const FAULTS = [
  ['throws-in-set-up', '0 of 1 tests passed'],
  ['never-run', 'no suite called .run()'],
  ['one-of-two-run', "the suite 'second' never called .run()"],
  ['hung-handle', 'a handle leaks'],
  ['left-process', 'left processes behind'],
  ['no-tests', 'holds no test'],
  ['exits-early', 'ended before its tests did'],
  ['rejects-late', 'nobody handles this'],
  ['does-not-load', 'the file does not load'],
] as const;

test('whatever is at fault with a file, it fails and says why', async () => {
  const { printed, failed } = await run(FAULTS.map(([fixture]) => fixture));
  assert.is(failed, FAULTS.length);
  const said = printed.split(/^(?=ok {3}|FAIL )/m);
  for (const [fixture, words] of FAULTS) {
    const ofIt = said.find(text => text.startsWith(`FAIL test/fixtures/runner/${fixture}.ts `));
    assert.ok(ofIt?.includes(words), printed);
  }
});

test('a file that never ends is killed at its limit', async () => {
  const { printed, failed } = await run(['never-ends'], { limitMs: 1_500 });
  assert.is(failed, 1);
  assert.match(printed, 'longer than its limit');
});

test('one bad file among good ones fails the run', async () => {
  const totals = await run(['passes', 'never-run', 'passes']);
  assert.is(summary(totals), '4 passed, 1 failed');
});

test('skipped tests are counted, and fail where they are not allowed', async () => {
  assert.is(summary(await run(['skips'])), '1 passed, 0 failed, 1 skipped');
  assert.is(summary(await run(['skips'], { strict: true })), '1 passed, 1 failed, 1 skipped');
  assert.is(summary(await run(['skips-all'])), '0 passed, 0 failed, 1 skipped');
  assert.is(summary(await run(['skips-all'], { strict: true })), '0 passed, 1 failed, 1 skipped');
});

test('a file that fails beside others and passes alone is told as flaky, with what it printed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'duxnode-runner-'));
  process.env.FAILED_ONCE = join(folder, 'failed');
  const { printed, ...totals } = await run(['fails-once', 'passes'], { again: 1 });
  await rm(folder, { recursive: true });
  assert.is(summary(totals), '3 passed, 0 failed, 1 flaky');
  assert.match(printed, 'this machine is busy');
  assert.match(printed, 'again, with nothing beside it: test/fixtures/runner/fails-once.ts');
});

test('a file that fails twice fails; only so many are run again', async () => {
  assert.is(summary(await run(['fails'], { again: 1 })), '1 passed, 1 failed');
  const { printed } = await run(['fails', 'never-run'], { again: 1 });
  assert.is(printed.match(/^again/gm)?.length, 1);
});

test('a run without files fails', async () => {
  assert.is(summary(await run([])), '0 passed, 1 failed');
});

test('a stopped run fails and leaves no process', async () => {
  const controller = new AbortController();
  const lines: string[] = [];
  controller.abort();
  const files = [{ path: 'test/fixtures/runner/never-ends.ts', serial: true, alone: false, limitMs: 60_000 }];
  const totals = await runAll({
    root,
    files,
    strict: false,
    print: line => lines.push(line),
    signal: controller.signal,
  });
  assert.is(totals.failed, 1);
  assert.match(lines.join('\n'), 'was stopped');
});

test('files are chosen by path, folder or part of a path; an unknown one is an error', async () => {
  const paths = async (...args: string[]) => (await planFiles(root, args)).map(file => file.path);
  assert.equal(await paths('test/runner'), ['test/runner/runner.test.ts']);
  assert.equal(await paths('test/runner/runner.test.ts'), ['test/runner/runner.test.ts']);
  assert.equal(await paths('runner.test'), ['test/runner/runner.test.ts']);
  const all = await paths();
  assert.ok(all.includes('test/runner/runner.test.ts') && !all.some(path => path.includes('fixtures')));
  try {
    await paths('no-such-file');
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, 'no test file matches no-such-file');
  }
});

test('suites without .run() are found in the source', () => {
  assert.equal(notRun("const a = suite('a');\na.run();\nconst b = suite<T>('b');\n// b.run();"), ['b']);
  assert.equal(notRun("import { test } from 'uvu';\ntest('x', () => {});"), []);
});

test.run();
