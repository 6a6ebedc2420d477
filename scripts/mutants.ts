import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MUTANTS, type Mutant } from './broken-rules.ts';

const root = join(import.meta.dirname, '..');

function runTest(dir: string, file: string): Promise<{ failed: boolean; output: string }> {
  const child = spawn(join(root, 'node_modules/.bin/tsx'), [file], {
    cwd: dir,
    env: { ...process.env, SEED: process.env.SEED ?? '1', SCHEDULES: '0.3' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', bytes => {
      output += bytes;
    });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', code => resolve({ failed: code !== 0, output }));
  });
}

/** The first failing test of `file`, as uvu names it. */
function firstFailure(output: string): string {
  return /FAIL {2}.*?"(.*?)"/.exec(output)?.[1] ?? 'the file as a whole';
}

async function killerOf({ file, from, to, tests }: Mutant, dir: string): Promise<string | undefined> {
  const path = join(dir, file);
  const source = await readFile(path, 'utf8');
  if (source.split(from).length !== 2) throw new Error(`${file} does not hold ${from} once`);
  await writeFile(
    path,
    source.replace(from, () => to),
  );
  try {
    for (const test of tests) {
      const { failed, output } = await runTest(dir, test);
      if (failed) return `${test}: ${firstFailure(output)}`;
    }
    return undefined;
  } finally {
    await writeFile(path, source);
  }
}

/**
 * Breaks the rules of the ledger one at a time in a copy of the project, and prints which test notices. Ends with 1 when one lives.
 * `npx tsx scripts/mutants.ts [NAME…]`
 */
async function main(names: readonly string[]): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-mutants-'));
  try {
    for (const name of ['src', 'test', 'package.json', 'tsconfig.json'])
      await cp(join(root, name), join(dir, name), { recursive: true });
    await symlink(join(root, 'node_modules'), join(dir, 'node_modules'));
    let alive = 0;
    for (const mutant of MUTANTS.filter(({ name }) => names.length === 0 || names.includes(name))) {
      const killer = await killerOf(mutant, dir);
      if (!killer) alive++;
      console.log(`${mutant.name.padEnd(36)} ${killer ?? 'LIVES'}`);
    }
    process.exitCode = alive === 0 ? 0 : 1;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

await main(process.argv.slice(2));
