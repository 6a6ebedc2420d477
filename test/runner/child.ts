// Runs one test file in this process and reports over IPC what uvu counted. Usage: node child.mjs FILE, both as `bundle` made them
import { pathToFileURL } from 'node:url';
import type { ChildReport } from './report.ts';

/** What uvu queues at `.run()`: resolves to [errors or true, passed, skipped, total]. */
type QueuedSuite = () => Promise<[string | true, number, number, number]>;

declare global {
  var UVU_DEFER: number;
  var UVU_QUEUE: [[string | null, ...QueuedSuite[]]];
}

const [file = ''] = process.argv.slice(2);
const report: ChildReport = { suites: 0, total: 0, passed: 0, skipped: 0, failed: false };

// As uvu's own command does it: the file's `.run()` only queues, and `exec` runs the queue when all is loaded.
globalThis.UVU_DEFER = 1;
globalThis.UVU_QUEUE = [[null]];
const uvu = await import('uvu');
await import(pathToFileURL(file).href);

const [group] = globalThis.UVU_QUEUE;
for (let i = 1; i < group.length; i++) {
  const run = group[i] as QueuedSuite;
  group[i] = async () => {
    const result = await run();
    const [errors, passed, skipped, total] = result;
    report.suites += 1;
    report.total += total;
    report.passed += passed;
    report.skipped += skipped;
    report.failed ||= errors !== true;
    return result;
  };
}
await uvu.exec();
process.send?.(report, () => process.disconnect());
