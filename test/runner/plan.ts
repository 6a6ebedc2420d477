import { readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { CodedError } from '../../src/util/index.ts';

const MINUTE_MS = 60_000;

/**
 * Files that run one at a time beside the others, each with the reason. The first line that a path begins with counts.
 */
export const ONE_AT_A_TIME: readonly { readonly path: string; readonly reason: string }[] = [
  ...['executor', 'files', 'recovery', 'restart', 'reuse', 'runsc'].map(name => ({
    path: `test/docker/${name}.test.ts`,
    reason: 'sandboxes in numbers, or of a gibibyte: two such files at once would wait for the engine',
  })),
  {
    path: 'test/attacks/sandbox',
    reason: 'hostile containers and floods press on the whole machine on purpose',
  },
  { path: 'test/e2e/', reason: 'several daemons each: two files at once starve each other of cores' },
  {
    path: 'test/faults/',
    reason: 'restarts the engine, fills disks and cuts networks that others would use',
  },
];

/** Files of these folders that run beside others all the same: they wait for a clock, a notary, or one command after another. */
const BESIDE: readonly string[] = [
  'test/faults/network.test.ts',
  'test/faults/notaries.test.ts',
  'test/e2e/wallet.test.ts',
  'test/faults/notary-away.test.ts',
  'test/faults/windows.test.ts',
];

/** Files that run when all others have ended, with nothing beside them: hundreds of tasks at once want every core. */
const ALONE: readonly string[] = ['test/e2e/hundred.test.ts', 'test/market/load.test.ts'];

/** What test files run in processes of their own. */
export const PROGRAMS = [
  'test/fixtures/db/holder.ts',
  'test/fixtures/net/internet.ts',
  'test/fixtures/net/task-in-namespace.ts',
  'test/network/child.ts',
  'test/sandbox/daemon.ts',
];

/** A file of pure rules takes a second; three nodes under load take twenty, and six times that beside hostile sandboxes. */
const FILE_LIMIT_MS = 4 * MINUTE_MS;
/** Real processes, images to start and timeouts to wait for. */
const SERIAL_FILE_LIMIT_MS = 5 * MINUTE_MS;
/** Two quiet cores need less than ten minutes for all; a machine that does other things gets twice that. */
export const RUN_LIMIT_MS = 20 * MINUTE_MS;
/** A process with nothing left to do ends at once; a busy machine may take a moment to let it. */
export const EXIT_GRACE_MS = 3_000;

export interface TestFile {
  /** Relative to the repository, with `/`. */
  readonly path: string;
  readonly serial: boolean;
  /** Nothing runs beside it. */
  readonly alone: boolean;
  readonly limitMs: number;
}

/**
 * The test files that `args` (files, folders, or parts of a path; none for all) name, in the order of their paths.
 * @throws CodedError `NO_TEST_FILE` when one of `args` names none.
 */
export async function planFiles(root: string, args: readonly string[]): Promise<TestFile[]> {
  const names = await readdir(join(root, 'test'), { recursive: true });
  const tests = names
    .filter(name => name.endsWith('.test.ts'))
    .map(name => `test/${name.split(sep).join('/')}`)
    .sort();
  const chosen = new Set<string>();
  for (const arg of args) {
    const wanted = relative(root, join(process.cwd(), arg)).split(sep).join('/');
    const found = tests.filter(
      path => path === wanted || path.startsWith(`${wanted}/`) || path.includes(arg),
    );
    if (found.length > 0) for (const path of found) chosen.add(path);
    else if (await isFile(join(root, wanted))) chosen.add(wanted);
    else throw new CodedError({ code: 'NO_TEST_FILE', arg }, `no test file matches ${arg}`);
  }
  return (args.length === 0 ? tests : [...chosen]).map(toTestFile);
}

function toTestFile(path: string): TestFile {
  const serial = !BESIDE.includes(path) && ONE_AT_A_TIME.some(entry => path.startsWith(entry.path));
  const alone = ALONE.includes(path);
  return { path, serial, alone, limitMs: serial ? SERIAL_FILE_LIMIT_MS : FILE_LIMIT_MS };
}

async function isFile(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() ?? false;
}
