import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fastPost, type Post, realPost } from './sim-post.ts';
import { Schedule, type ScheduleOptions } from './sim-schedule.ts';
import { makeWorld } from './sim-world.ts';

// A schedule provokes hundreds of refusals, whose stacks would cost more than all else.
Error.stackTraceLimit = 0;

const test = suite('ledger: adversarial schedules');
/** SEED=n repeats a run. */
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** How many of the 10,000 and 1,000 run: all by `npm run schedules`. */
const SHARE = Number(process.env.SCHEDULES ?? 0.2);
/** Of fewer, none may have needed a recovery. */
const MANY = 200;

interface Tally {
  violations: number;
  stuck: number;
  recoveries: number;
  changes: number;
  first: string;
}

function runAll(
  count: number,
  n: number,
  options: ScheduleOptions,
  makePost: () => Post,
  { quorumChange = 0, handovers = false, stopsEarly = false } = {},
): Tally {
  const wanted = stopsEarly ? count : Math.ceil(count * SHARE);
  const world = makeWorld(n, { quorumChange, handovers });
  const tally: Tally = { violations: 0, stuck: 0, recoveries: 0, changes: 0, first: '' };
  for (let i = 0; i < wanted; i++) {
    const schedule = new Schedule(
      { ...world, byDigest: new Map(world.byDigest) },
      makePost(),
      SEED + i,
      options,
    );
    schedule.run();
    tally.recoveries += schedule.recoveries;
    tally.changes += schedule.changes;
    tally.violations += schedule.violations.length;
    tally.stuck += schedule.stuck.length;
    const found = [...schedule.violations, ...schedule.stuck.map(slot => `stuck: ${slot}`)][0];
    if (found && tally.first === '') tally.first = `seed ${SEED + i}: ${found}`;
    if (stopsEarly && schedule.violations.length > 0) break;
  }
  return tally;
}

function assertClean(what: string, all: number, tally: Tally): void {
  const count = Math.ceil(all * SHARE);
  const { violations, stuck, recoveries, changes, first } = tally;
  console.log(
    `${what}: seed ${SEED}, ${count} schedules, ${recoveries} recoveries, ${changes} changes, ${violations} violations, ${stuck} stuck`,
  );
  assert.equal({ violations, stuck, first }, { violations: 0, stuck: 0, first: '' });
  assert.ok(recoveries > 0 || count < MANY);
}

const four = { byzantine: 1, steps: 70 };
const seven = { byzantine: 2, steps: 90 };
const fewFour = { byzantine: 1, steps: 50 };
const fewSeven = { byzantine: 2, steps: 60 };

const handovers = { handovers: true };

test('one liar of four, five and four again, fast signatures', () =>
  assertClean('1 of 4-5-4, fast', 1_500, runAll(1_500, 4, { ...four, steps: 110 }, fastPost, handovers)));

test('one liar of four, five and four again, real signatures', () =>
  assertClean(
    '1 of 4-5-4, real',
    100,
    runAll(100, 4, { ...fewFour, steps: 90 }, () => realPost, handovers),
  ));

test('one liar of four, fast signatures', () =>
  assertClean('1 of 4, fast', 6_500, runAll(6_500, 4, four, fastPost)));

test('two liars of seven, fast signatures', () =>
  assertClean('2 of 7, fast', 2_000, runAll(2_000, 7, seven, fastPost)));

test('one liar of four, real signatures', () =>
  assertClean(
    '1 of 4, real',
    750,
    runAll(750, 4, fewFour, () => realPost),
  ));

test('two liars of seven, real signatures', () =>
  assertClean(
    '2 of 7, real',
    150,
    runAll(150, 7, fewSeven, () => realPost),
  ));

const caught = { stopsEarly: true };

test('control: two liars of four are caught', () =>
  assert.ok(runAll(2_000, 4, { ...four, byzantine: 2 }, fastPost, caught).violations > 0));

test('control: a quorum that is one short is caught', () =>
  assert.ok(runAll(2_000, 4, four, fastPost, { ...caught, quorumChange: -1 }).violations > 0));

test('control: notaries that lose their disks are caught', () =>
  assert.ok(runAll(6_000, 4, { ...four, steps: 160, losesDisks: true }, fastPost, caught).violations > 0));

test('control: newcomers that take over from one are caught', () =>
  assert.ok(
    runAll(4_000, 4, { ...four, fromOne: true }, fastPost, { ...caught, ...handovers }).violations > 0,
  ));

test.run();
