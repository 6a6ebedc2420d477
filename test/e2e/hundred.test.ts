import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { reportReceipt } from '../../src/api/index.ts';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import { command, completed, historyOf, submit, taskBody, withDevnet } from '../fixtures/processes.ts';

const test = suite('e2e: many paid tasks from each of three processes at once');

const TASKS_EACH = Number(process.env.TASKS_EACH ?? 100);
/** For all of them: two idle cores take a minute, a slow disk several. */
const LIMIT_MS = 270_000;
const PAYMENT = '0.01';
/** Byte flips that go through the command, which takes a process each. */
const FLIPS_BY_COMMAND = 3;

/** Three nodes’ containers for 300 tasks would be the engine’s time, and not what is looked at here. */
const NATIVE = { settings: { 'sandbox.runtime': 'native' } };

interface Paid {
  readonly daemon: DaemonProcess;
  readonly taskId: string;
  readonly number: number;
}

/** Every second one must leave its own node; the others may stay. */
async function submitAll(daemon: DaemonProcess): Promise<Paid[]> {
  const numbers = Array.from({ length: TASKS_EACH }, (_, i) => i);
  return Promise.all(
    numbers.map(async number => {
      const avoid = number % 2 === 0 ? ['self'] : [];
      const change = { payment_amount: PAYMENT, timeout_seconds: 120, avoid };
      const taskId = await submit(daemon, taskBody(`print(${number} ** 2)`, change));
      return { daemon, taskId, number };
    }),
  );
}

async function receiptOf({ daemon, taskId }: Paid): Promise<Uint8Array> {
  return (await daemon.client.getTaskReceipt({ params: { task_id: taskId } })).body;
}

function flipped(bytes: Uint8Array, position: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[position] = (copy[position] as number) ^ 1;
  return copy;
}

/** `duxnode receipt verify FILE`, as a user has it: no daemon is asked. */
async function verifyByCommand(file: string, receipt: Uint8Array) {
  await writeFile(file, receipt);
  return command(['receipt', 'verify', file]);
}

async function checkByCommand(receipt: Uint8Array, taskId: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-receipt-'));
  try {
    const good = await verifyByCommand(join(dir, 'good'), receipt);
    assert.is(good.code, 0, good.stderr);
    assert.match(good.stdout, /^valid\n/);
    assert.match(good.stdout, taskId);
    for (let i = 0; i < FLIPS_BY_COMMAND; i++) {
      const position = Math.floor((receipt.length * (i + 0.5)) / FLIPS_BY_COMMAND);
      const bad = await verifyByCommand(join(dir, 'bad'), flipped(receipt, position));
      assert.is(bad.code, 1, `byte ${position}: ${bad.stdout}`);
      assert.match(bad.stdout, /^INVALID: /);
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test('all complete, money adds up, every receipt verifies offline and with a flipped byte does not', () =>
  withDevnet(
    3,
    async (_net, daemons) => {
      const began = performance.now();
      const all = (await Promise.all(daemons.map(submitAll))).flat();
      const took = (): string => `${((performance.now() - began) / 1000).toFixed(1)} s`;
      console.log(`${all.length} tasks taken after ${took()}`);
      const results = await Promise.all(all.map(({ daemon, taskId }) => completed(daemon, taskId, LIMIT_MS)));
      console.log(`${all.length} paid tasks completed after ${took()}`);
      for (const [i, { result }] of results.entries()) assert.is(result, (all[i]?.number ?? 0) ** 2);

      const receipts = await Promise.all(all.map(receiptOf));
      for (const [i, receipt] of receipts.entries()) {
        const report = reportReceipt(receipt);
        assert.is(report.error, null);
        assert.is(report.receipt?.task_id, all[i]?.taskId);
      }
      // one of the last: a page of the history ends with the newest 500 lines
      const isPaid = results.findLastIndex(result => result.payment?.state === 'released');
      const [one, receipt] = [all[isPaid] as Paid, receipts[isPaid] as Uint8Array];
      assert.equal(await historyOf(one.daemon, one.taskId), ['paid', 'lock']);
      for (let position = 0; position < receipt.length; position++)
        assert.is(reportReceipt(flipped(receipt, position)).valid, false, `byte ${position}`);
      await checkByCommand(receipt, one.taskId);

      for (const [i, { payment, worker }] of results.entries()) {
        const away = worker !== (await all[i]?.daemon.peer());
        if (away) assert.is(payment?.state, 'released');
      }
    },
    NATIVE,
  ));

test.run();
