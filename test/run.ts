// Runs the tests: tsx test/run.ts [file, folder or part of a path ...]. Ends with `N passed, N failed`.
// uvu alone lets three faults pass (a throwing set-up, a missing `.run()`, a handle that keeps the process): the files
// in test/runner/ guard against them.
import { fileURLToPath } from 'node:url';
import { planFiles } from './runner/plan.ts';
import { runAll, summary } from './runner/run-all.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => controller.abort());

const files = await planFiles(root, process.argv.slice(2));
const totals = await runAll({
  root,
  files,
  strict: Boolean(process.env.CI),
  print: line => console.log(line),
  signal: controller.signal,
});
console.log(summary(totals));
process.exitCode = totals.failed > 0 ? 1 : 0;
