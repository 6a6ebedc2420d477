/** What a child process reports once its tests have ended. */
export interface ChildReport {
  /** Suites whose `.run()` was called. */
  suites: number;
  total: number;
  passed: number;
  skipped: number;
  failed: boolean;
}

/** Everything seen of one file's process. */
export interface FileRun {
  readonly path: string;
  readonly durationMs: number;
  readonly output: string;
  /** Missing when the process ended, or was ended, before its tests did. */
  readonly report: ChildReport | undefined;
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why the runner killed the process, if it did. */
  readonly killed: 'limit' | 'handle' | 'stopped' | undefined;
  /** Processes of the file's group that were alive after its end, and were killed. */
  readonly leftBehind: boolean;
}

export interface FileVerdict {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Why the file fails; empty when it passes. */
  readonly faults: readonly string[];
}

/** Judges a file by what its process did and by its source; every fault counts as one failed test at least. */
export function judge(run: FileRun, source: string): FileVerdict {
  const { report } = run;
  const faults = [
    ...processFaults(run),
    ...notRun(source).map(name => `the suite '${name}' never called .run()`),
  ];
  if (report) faults.push(...reportFaults(report));
  const passed = report?.passed ?? 0;
  const missed = report ? report.total - report.passed : 0;
  return {
    passed,
    failed: faults.length > 0 ? Math.max(missed, 1) : 0,
    skipped: report?.skipped ?? 0,
    faults,
  };
}

function processFaults(run: FileRun): string[] {
  const faults: string[] = [];
  if (run.killed === 'limit') faults.push('took longer than its limit and was killed');
  else if (run.killed === 'handle') faults.push('its tests ended but the process did not: a handle leaks');
  else if (run.killed === 'stopped') faults.push('was stopped');
  else if (!run.report)
    faults.push(`ended before its tests did (${run.signal ?? `exit code ${run.exitCode}`})`);
  else if (run.exitCode !== 0 && !run.report.failed)
    faults.push(`ended with exit code ${run.exitCode} after its tests`);
  if (run.leftBehind) faults.push('left processes behind, which were killed');
  return faults;
}

function reportFaults(report: ChildReport): string[] {
  if (report.suites === 0) return ['no suite called .run()'];
  if (report.total === 0 && report.skipped === 0) return ['holds no test'];
  if (report.passed < report.total || report.failed)
    return [`${report.passed} of ${report.total} tests passed`];
  return [];
}

/** Names of variables that hold a suite which the source never runs: uvu leaves such a suite out in silence. */
export function notRun(source: string): string[] {
  const made = [
    ...source.matchAll(/^\s*(?:export\s+)?(?:const|let)\s+(\w+)\s*=\s*(?:uvu\.)?suite\s*[(<]/gm),
  ].map(match => match[1]!);
  return made.filter(name => !new RegExp(`^\\s*${name}\\.run\\(\\)`, 'm').test(source));
}
