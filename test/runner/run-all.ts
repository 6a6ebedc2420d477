import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { bundle } from './bundle.ts';
import { RUN_LIMIT_MS, type TestFile } from './plan.ts';
import { type FileRun, type FileVerdict, judge } from './report.ts';
import { runFile } from './run-file.ts';

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Files that failed beside others, and passed with the machine to themselves. */
  readonly flaky: number;
}

export interface RunOptions {
  readonly root: string;
  readonly files: readonly TestFile[];
  /** Paths of what they start in processes of their own. */
  readonly programs?: readonly string[];
  /** Skipped tests fail the run. */
  readonly strict: boolean;
  readonly print: (line: string) => void;
  /** Stops the run: every process group is killed, and what did not finish fails. */
  readonly signal: AbortSignal;
  /** So many files that fail are run once more, when all others have ended, with nothing beside them; default none. */
  readonly again?: number;
  /** Files at once beside the serial ones; default the number of cores. */
  readonly parallel?: number;
}

/** Runs all files, prints a line for each and the output of those that fail, and adds up. */
export async function runAll(options: RunOptions): Promise<Totals> {
  const { root, files, programs = [], print, again = 0, parallel = availableParallelism() } = options;
  const bundles = await bundle(root, [...files.map(({ path }) => path), ...programs]);
  const controller = new AbortController();
  const signal = AbortSignal.any([options.signal, controller.signal]);
  const limit = setTimeout(() => {
    print(`the run took longer than ${RUN_LIMIT_MS / 60_000} minutes and is stopped`);
    controller.abort();
  }, RUN_LIMIT_MS);
  const totals = { passed: 0, failed: 0, skipped: 0, flaky: 0 };
  const failed: TestFile[] = [];
  const runOne = async (file: TestFile) => {
    const run = await runFile(root, file, bundles, signal);
    const verdict = judge(run, await readFile(join(root, file.path), 'utf8'));
    for (const line of describe(run, verdict)) print(line);
    return verdict;
  };
  const count = ({ passed, failed, skipped }: FileVerdict) => {
    totals.passed += passed;
    totals.failed += failed;
    totals.skipped += skipped;
  };
  const runFirst = async (file: TestFile) => {
    const verdict = await runOne(file);
    if (verdict.failed > 0 && failed.length < again && !signal.aborted) failed.push(file);
    else count(verdict);
  };
  const runAgain = async (file: TestFile) => {
    print(`again, with nothing beside it: ${file.path}`);
    const verdict = await runOne(file);
    count(verdict);
    if (verdict.failed === 0) totals.flaky += 1;
  };
  const free = files.filter(file => !file.serial && !file.alone);
  const serial = files.filter(file => file.serial && !file.alone);
  const alone = files.filter(file => file.alone);
  try {
    await Promise.all([
      drain(serial, runFirst),
      ...Array.from({ length: parallel }, () => drain(free, runFirst)),
    ]);
    await drain(alone, runFirst);
    await drain(failed, runAgain);
  } finally {
    clearTimeout(limit);
    await bundles.remove();
  }
  if (files.length === 0) {
    print('there is no test file');
    totals.failed += 1;
  }
  if (options.strict && totals.skipped > 0) {
    print(`${totals.skipped} tests are skipped, which CI does not allow`);
    totals.failed += totals.skipped;
  }
  return totals;
}

/** Takes items off the front until none is left; several of these share one list. */
async function drain<T>(items: T[], fn: (item: T) => Promise<void>): Promise<void> {
  for (let item = items.shift(); item !== undefined; item = items.shift()) await fn(item);
}

function describe(run: FileRun, verdict: FileVerdict): string[] {
  const mark = verdict.faults.length === 0 ? 'ok  ' : 'FAIL';
  const skipped = verdict.skipped > 0 ? `, ${verdict.skipped} skipped` : '';
  const line = `${mark} ${run.path}  ${verdict.passed} passed${skipped}, ${Math.round(run.durationMs)} ms`;
  if (verdict.faults.length === 0) return [line];
  return [line, ...verdict.faults.map(fault => `     ${fault}`), run.output.trimEnd()];
}

/** The last line of a run. */
export function summary({ passed, failed, skipped, flaky }: Totals): string {
  const more = [skipped > 0 ? `, ${skipped} skipped` : '', flaky > 0 ? `, ${flaky} flaky` : ''];
  return `${passed} passed, ${failed} failed${more.join('')}`;
}
