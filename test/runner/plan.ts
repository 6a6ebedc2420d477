import { readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { CodedError } from '../../src/util/index.ts';

const MINUTE_MS = 60_000;

/**
 * Files that run one at a time beside the others, each with the reason. The first line that a path begins with counts.
 */
export const ONE_AT_A_TIME: readonly { readonly path: string; readonly reason: string }[] = [
  {
    path: 'test/docker/',
    reason: 'one engine: containers of two files would share its memory and CPU limits',
  },
  { path: 'test/attacks/', reason: 'hostile containers and floods press on the whole machine on purpose' },
  { path: 'test/e2e/', reason: 'several daemons each: two files at once starve each other of cores' },
  {
    path: 'test/faults/',
    reason: 'restarts the engine, fills disks and cuts networks that others would use',
  },
];

/** A file of pure rules takes a second; the longest property test takes some ten of them on two busy cores. */
const FILE_LIMIT_MS = 2 * MINUTE_MS;
/** Real processes, images to start and timeouts to wait for. */
const SERIAL_FILE_LIMIT_MS = 5 * MINUTE_MS;
/** The promise is the whole of scripts/test.sh in ten minutes; what is left is for install, build and checks. */
export const RUN_LIMIT_MS = 9 * MINUTE_MS;
/** A process with nothing left to do ends at once; a busy machine may take a moment to let it. */
export const EXIT_GRACE_MS = 3_000;

export interface TestFile {
  /** Relative to the repository, with `/`. */
  readonly path: string;
  readonly serial: boolean;
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
  const serial = ONE_AT_A_TIME.some(entry => path.startsWith(entry.path));
  return { path, serial, limitMs: serial ? SERIAL_FILE_LIMIT_MS : FILE_LIMIT_MS };
}

async function isFile(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() ?? false;
}
