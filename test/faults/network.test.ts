import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import { type Lines, withLines } from '../fixtures/net/lines.ts';
import {
  commandBody,
  completed,
  FAST_LEASES,
  followEvents,
  submit,
  withDevnet,
} from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { auditTasks } from './audit.ts';

const test = suite('faults: lines, clocks and frozen processes');
/** Network namespaces take root. */
const testAsRoot = process.getuid?.() === 0 ? test : test.skip;

const [NOTARY, REQUESTER, WORKER] = [0, 1, 2];
const NODES = 5;
/** A line that was cut for two seconds needs up to as long again for its next try (TCP’s own). */
const LEASES = { ...FAST_LEASES, 'market.dead_seconds': '6' };

/** Debian's libfaketime: the wall clock alone is off by what a file says, which is read again each second. */
const clockEnv = (file: string) => ({
  LD_PRELOAD: '/usr/$LIB/faketime/libfaketimeMT.so.1',
  FAKETIME_TIMESTAMP_FILE: file,
  FAKETIME_CACHE_DURATION: '1',
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
  NO_FAKE_STAT: '1',
});

/** Files that say by how much the clocks of these nodes are wrong. */
async function withClocks(body: (clocks: Clocks) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-clocks-'));
  const fileOf = (index: number) => join(dir, String(index));
  const set = (index: number, seconds: number) =>
    writeFile(fileOf(index), `${seconds < 0 ? '' : '+'}${seconds}\n`);
  try {
    for (const index of [REQUESTER, WORKER]) await set(index, 0);
    await body({ set, fileOf });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

interface Clocks {
  /** Seconds. */
  set(index: number, seconds: number): Promise<void>;
  fileOf(index: number): string;
}

interface Bench {
  readonly daemons: readonly DaemonProcess[];
  readonly names: readonly string[];
  readonly lines: Lines;
  readonly clocks: Clocks;
  /** Submits a task that takes so long; its id once it executes, and by which of the daemons. */
  executing(
    seconds: number,
    require?: readonly number[],
    idempotent?: boolean,
  ): Promise<{ taskId: string; by: number }>;
  /** Until it executes on another than `by`. */
  elsewhere(taskId: string, by: number): Promise<unknown>;
  done(taskId: string, attempts?: number): Promise<unknown>;
}

async function benchOf(daemons: readonly DaemonProcess[], lines: Lines, clocks: Clocks) {
  const requester = daemons[REQUESTER] as DaemonProcess;
  const names = await Promise.all(daemons.map(daemon => daemon.peer()));
  const events = await followEvents(requester);
  const bench: Bench = {
    daemons,
    names,
    lines,
    clocks,
    async executing(seconds, require = [], idempotent = false) {
      const command = `sleep ${seconds} && echo done`;
      const peers = require.map(index => names[index]);
      const taskId = await submit(
        requester,
        commandBody(command, { payment_amount: '1', require: peers, idempotent, deadline: 36_000 }),
      );
      const { worker } = await events.first(
        event => event.task_id === taskId && event.phase === 'executing',
        'executing',
      );
      return { taskId, by: names.indexOf(worker ?? '') };
    },
    elsewhere: (taskId, by) =>
      events.first(
        event => event.task_id === taskId && event.phase === 'executing' && event.worker !== names[by],
        'executing elsewhere',
      ),
    async done(taskId, attempts) {
      const { stdout } = await completed(requester, taskId);
      assert.is(stdout, 'done\n');
      if (attempts === undefined) return;
      const { body } = await requester.client.getTask({ params: { task_id: taskId } });
      const errors = body.attempts.map(({ error }) => error);
      assert.is(body.attempts.length, attempts, JSON.stringify(errors));
    },
  };
  return { bench, stop: () => events.stop() };
}

/** Each packet takes 200 ms longer, and one of twenty is lost: some tasks at once. */
async function badLine({ lines, executing, done }: Bench): Promise<void> {
  await lines.impair(200, 5);
  const tasks = await Promise.all([1, 1, 1].map(seconds => executing(seconds)));
  for (const { taskId } of tasks) await done(taskId);
  await lines.impair(0, 0);
}

/**
 * A worker is cut off and another one stands still, each with a task: both go on elsewhere, that of the second, which may run twice, before it is
 * given up. Who comes back too late stops, and gives its lock back. Resolves to what waits for the tasks, which take long enough that the first attempt never ends before its worker is back.
 */
async function silentWorkers({ daemons, lines, executing, elsewhere, done }: Bench) {
  const cut = await executing(20);
  const others = [2, 3, 4].filter(index => index !== cut.by);
  const frozen = await executing(20, others, true);
  await lines.cut(cut.by);
  daemons[frozen.by]?.signal('SIGSTOP');
  await elsewhere(frozen.taskId, frozen.by);
  daemons[frozen.by]?.signal('SIGCONT');
  await elsewhere(cut.taskId, cut.by);
  await lines.heal(cut.by);
  return () => Promise.all([cut, frozen].map(({ taskId }) => done(taskId)));
}

/** The requester is cut off until it notices: back in time it goes on with the same attempt. */
async function silentRequester({ daemons, lines, executing, done }: Bench): Promise<void> {
  const requester = daemons[REQUESTER] as DaemonProcess;
  const { taskId } = await executing(3);
  await lines.cut(REQUESTER);
  const silence = new RegExp(`"task":"${taskId}".*the worker is silent`);
  const isSuspect = () => silence.test(requester.output);
  await waitFor(isSuspect, 'the requester to hear nothing');
  await lines.heal(REQUESTER);
  await done(taskId, 1);
}

/** The notary is cut off while a task runs: the result is there, its payment waits. */
async function silentNotary({ daemons, lines, executing, done }: Bench): Promise<void> {
  const { client } = daemons[REQUESTER] as DaemonProcess;
  const { taskId } = await executing(1);
  await lines.cut(NOTARY);
  const status = async () => (await client.getTaskStatus({ params: { task_id: taskId } })).body;
  await waitFor(async () => (await status()).waiting === 'ledger_unreachable', 'the payment to wait', 30_000);
  assert.is((await client.getTaskResult({ params: { task_id: taskId } })).status, 200);
  await lines.heal(NOTARY);
  await done(taskId, 1);
}

/** A worker's clock jumps back an hour in mid-task, the requester's jumps ahead for two: what was agreed on is paid. */
async function wrongClocks({ daemons, clocks, executing, done }: Bench): Promise<void> {
  const { client } = daemons[REQUESTER] as DaemonProcess;
  const back = await executing(2, [WORKER]);
  await clocks.set(WORKER, -3600);
  await done(back.taskId, 1);
  await clocks.set(WORKER, 0);
  const ahead = await executing(4, [3, 4]);
  await clocks.set(REQUESTER, 7200);
  const attempts = async () => (await client.getTask({ params: { task_id: ahead.taskId } })).body.attempts;
  const isOver = async () => (await attempts())[0]?.error?.code === 'LEASE_OVERDUE';
  await waitFor(isOver, 'the requester to think that the time is over', 30_000);
  await clocks.set(REQUESTER, 0);
  await done(ahead.taskId, 2);
}

testAsRoot(
  'loss, delay, partitions of each side, frozen, a wrong clock: all heal, each task is paid once',
  () =>
    withLines(NODES, lines =>
      withClocks(clocks =>
        withDevnet(
          NODES,
          async (_net, daemons) => {
            const { bench, stop } = await benchOf(daemons, lines, clocks);
            for (const fault of [badLine, silentWorkers, silentRequester, silentNotary, wrongClocks])
              await fault(bench);
            stop();
            await auditTasks(daemons);
          },
          index => ({
            ...lines.initOf(index),
            settings: {
              ...LEASES,
              ...lines.initOf(index).settings,
              'worker.enabled': String(index >= WORKER),
            },
            env: index === REQUESTER || index === WORKER ? clockEnv(clocks.fileOf(index)) : {},
          }),
        ),
      ),
    ),
);

test.run();
