import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Breaks the rules of the ledger one at a time in a copy of the project, and prints which test notices. Ends with 1 when one lives.
 * `npx tsx scripts/mutants.ts [NAME…]`
 */
interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Test files that may notice, in this order. */
  readonly tests: readonly string[];
}

const SCHEDULES = 'test/ledger/schedules.test.ts';
const SLOT = 'test/ledger/slot.test.ts';
const REPORTS = 'test/ledger/reports.test.ts';
const ESCROW = 'test/ledger/escrow.test.ts';
const PROMOTION = 'test/ledger/promotion.test.ts';

const MUTANTS: readonly Mutant[] = [
  {
    name: 're-vote',
    file: 'src/ledger/slot.ts',
    from: 'state.voted.ballot === ballot && state.voted.digest !== digest',
    to: 'state.voted.ballot > ballot && state.voted.digest !== digest',
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'commit that ignores the promise',
    file: 'src/ledger/slot.ts',
    from: `  if (ballot < state.promised) pastBallot(slot, state.promised);
  // Votes of two quorums`,
    to: '  // Votes of two quorums',
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'two commits in one ballot',
    file: 'src/ledger/slot.ts',
    from: 'lock.ballot === ballot && lock.digest !== value.digest',
    to: 'lock.ballot > ballot && lock.digest !== value.digest',
    tests: ['test/ledger/witness.test.ts'],
  },
  {
    name: 'a lost disk unnoticed',
    file: 'src/ledger/own-signature.ts',
    from: 'return !lock || isAbove({ epoch, ballot }, lock);',
    to: 'return lock !== null && isAbove({ epoch, ballot }, lock);',
    tests: ['test/ledger/power.test.ts'],
  },
  {
    name: 'negative amount',
    file: 'src/wire/primitives.ts',
    from: 'amount >= 0n && amount <= MAX_AMOUNT',
    to: 'amount <= MAX_AMOUNT',
    tests: ['test/wire/numbers.test.ts'],
  },
  {
    name: 'unchecked QC',
    file: 'src/ledger/ballots.ts',
    from: '  checkCertificate({ body, signers }, committee);\n  checkValue',
    to: '  checkValue',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'no seq check',
    file: 'src/ledger/accounts.ts',
    from: '  if (seq !== account.seq)\n',
    to: '  if (seq < 0)\n',
    tests: ['test/ledger/accounts.test.ts', SCHEDULES],
  },
  {
    name: 'afford > 0',
    file: 'src/ledger/choose.ts',
    from: "count(digest, 'afford') > faults",
    to: "count(digest, 'afford') > 0",
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'forged report lock',
    file: 'src/ledger/reports.ts',
    from: '  if (!lock) return true;',
    to: '  if (!lock || lock) return true;',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'stale reports',
    file: 'src/ledger/reports.ts',
    from: 'body.ballot !== ballot || ',
    to: '',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'timely > 0',
    file: 'src/ledger/choose.ts',
    from: "count(digest, 'timely') > faults",
    to: "count(digest, 'timely') > 0",
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'no time check of a time-out',
    file: 'src/ledger/choose.ts',
    from: 'return notBefore === null || reports.every(({ at }) => at >= notBefore) ? digest : null;',
    to: 'return digest;',
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'statement left out of what is shown',
    file: 'src/ledger/ballot-recovery.ts',
    from: '!namedByHonest(reports, committee).every(isShown)',
    to: 'namedByHonest(reports, committee).length < 0',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'not frozen',
    file: 'src/ledger/ballots.ts',
    from: 'book.isFrozen || book.epoch !== epoch || asked !== epoch',
    to: 'asked !== epoch',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'handover from one',
    file: 'src/ledger/handover.ts',
    from: 'signers.size < previous.quorum',
    to: 'signers.size < 1',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'lock not inherited',
    file: 'src/ledger/handover.ts',
    from: '    if (book.slot(slot)) continue;',
    to: '    continue;',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'vote over an inherited lock',
    file: 'src/ledger/slot.ts',
    from: 'state.promised > 0 || isInherited(state, epoch)',
    to: 'state.promised > 0',
    tests: [REPORTS, SCHEDULES],
  },
  {
    name: 'lock of an older epoch above a newer',
    file: 'src/ledger/slot.ts',
    from: 'a.epoch === b.epoch ? a.ballot > b.ballot : a.epoch > b.epoch',
    to: 'a.ballot > b.ballot',
    tests: [SLOT, SCHEDULES],
  },
  {
    name: 'no time check of a claim',
    file: 'src/ledger/escrow.ts',
    from: 'limit !== undefined && nowMs > limit',
    to: 'limit !== undefined && nowMs < 0',
    tests: [ESCROW],
  },
  {
    name: 'time-out without its grace',
    file: 'src/ledger/escrow.ts',
    from: 'ended === undefined || nowMs >= ended + GRACE_MS',
    to: 'ended === undefined || nowMs >= ended',
    tests: [ESCROW],
  },
  {
    name: 'a notary at first sight',
    file: 'src/ledger/promotion.ts',
    from: 'seen.awayMs === 0 && seen.hereMs >= LONG_MS',
    to: 'seen.awayMs === 0',
    tests: [PROMOTION],
  },
  {
    name: 'two notaries by one invite',
    file: 'src/ledger/promotion.ts',
    from: 'taken.add(account).add(invite)',
    to: 'taken.add(account)',
    tests: [PROMOTION],
  },
  {
    name: 'removed, and back by itself',
    file: 'src/ledger/promotion.ts',
    from: 'past = past.previous',
    to: 'past = null',
    tests: [PROMOTION],
  },
  {
    name: 'a change that a quorum cannot decide',
    file: 'src/ledger/promotion.ts',
    from: '  if (here.length < quorum) return null;\n',
    to: '',
    tests: [PROMOTION],
  },
];

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
