// Runs the tests: tsx test/run.ts [file, folder or part of a path ...]. Ends with `N passed, N failed`.
// uvu alone lets three faults pass (a throwing set-up, a missing `.run()`, a handle that keeps the process): the files
// in test/runner/ guard against them.
import { fileURLToPath } from 'node:url';
import { hasCode } from '../src/util/index.ts';
import { PROGRAMS, planFiles } from './runner/plan.ts';
import { runAll, summary, type Totals } from './runner/run-all.ts';

/** Real engines, daemons and namespaces share two cores here: what fails in that and passes alone is told apart from what is broken. */
const AGAIN = 3;
const root = fileURLToPath(new URL('..', import.meta.url));
const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => controller.abort());

async function main(): Promise<Totals> {
  const files = await planFiles(root, process.argv.slice(2));
  const print = (line: string) => console.log(line);
  return runAll({
    root,
    files,
    programs: PROGRAMS,
    strict: Boolean(process.env.CI),
    print,
    again: AGAIN,
    signal: controller.signal,
  });
}

const totals = await main().catch((error: unknown) => {
  if (!hasCode(error, 'NO_TEST_FILE')) throw error;
  console.error(error.message);
  return { passed: 0, failed: 1, skipped: 0, flaky: 0 };
});
console.log(summary(totals));
process.exitCode = totals.failed > 0 ? 1 : 0;
