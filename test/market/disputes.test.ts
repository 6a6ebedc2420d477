import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { TaskEvent } from '../../src/market/index.ts';
import { NOTARY_GRACE_MS } from '../../src/market/options.ts';
import type { DuxNode } from '../../src/node/node.ts';
import {
  createMemoryExecutor,
  createNativeExecutor,
  type Executor,
  type MemoryProgram,
  type SandboxResult,
} from '../../src/sandbox/index.ts';
import { silentLogger, systemClock } from '../../src/util/index.ts';
import { verifyReceipt } from '../../src/verification/index.ts';
import { type Decided, disputeKind, seal, verdictKind } from '../../src/wire/index.ts';
import { ended, FLOP, type TestNet, type TestNodeInit, taskRequest } from '../fixtures/nodes.ts';
import { imagesDir } from '../native/support.ts';
import { codeThrown, seen, withNet } from './support.ts';

const test = suite('market: disputes');

const idle: TestNodeInit = { market: { workerEnabled: false } };
const PRICE = 5n * FLOP;

/** The same sandbox, whose operator changes what came out of it. */
function changing(real: Executor, change: (result: SandboxResult) => SandboxResult): Executor {
  const prepare: Executor['prepare'] = async (...args) => {
    const prepared = await real.prepare(...args);
    return { ...prepared, run: async (...given) => change(await prepared.run(...given)) };
  };
  return { ...real, prepare };
}

function saying(text: string) {
  const stdout = Buffer.from(text);
  return (result: SandboxResult): SandboxResult => ({
    ...result,
    stdout,
    usage: { ...result.usage, stdoutBytes: stdout.length },
  });
}

/** A task by hand: its result is there, and waits. */
async function waiting(node: DuxNode, code: string, arbiters: readonly string[]): Promise<string> {
  const request = taskRequest({ automaticPayment: false, arbiters: [...arbiters] }, code);
  const { taskId } = await node.market.tasks.submit(request);
  await seen(node, taskId, 'waiting for its user', view => view.waiting === 'awaiting_accept', 30_000);
  return taskId;
}

async function disputed(node: DuxNode, code: string, arbiters: readonly string[]): Promise<string> {
  const taskId = await waiting(node, code, arbiters);
  await node.market.tasks.dispute(taskId, 'not what it should be');
  return taskId;
}

/** How a dispute over `taskId` ended, with the runs that it took. */
async function outcome(node: DuxNode, taskId: string) {
  const view = await ended(node, taskId);
  const { escrow, amount, state } = view.payment!;
  const { tasks } = await node.market.tasks.list({ limit: 100, label: ['arbitrates', taskId] });
  return { view, end: [state, amount, escrow?.state, escrow?.closedBy], reruns: tasks.length };
}

/** Real sandboxes for a liar and for the arbiter, who is the notary; both are gone at the end. */
async function withSandboxes(
  lie: (result: SandboxResult) => SandboxResult,
  body: (net: TestNet) => Promise<void>,
): Promise<void> {
  const stateDir = await mkdtemp(join(tmpdir(), 'duxnode-disputes-'));
  const native = () => {
    const owner = `test-${randomUUID()}`;
    return createNativeExecutor(
      { logger: silentLogger, clock: systemClock },
      { imagesDir, stateDir: join(stateDir, owner), owner },
    );
  };
  try {
    await withNet([{ executor: native }, idle, { executor: () => changing(native(), lie) }], body);
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}

const LIE = 'print("asked")';
const RANDOM = 'import os\nprint(os.urandom(8).hex())';

test('in real sandboxes: a lie is not paid, a right result is paid in full, and what differs each time goes by the default', () => {
  const lie = (result: SandboxResult) =>
    Buffer.from(result.stdout).toString() === 'asked\n' ? saying('made up\n')(result) : result;
  return withSandboxes(lie, async net => {
    const [arbiter, node, worker] = net.nodes as [DuxNode, DuxNode, DuxNode];
    const events: TaskEvent[] = [];
    node.market.tasks.onEvent(event => events.push(event));
    const judges = [arbiter.identity.peer];
    const [wrong, right, random] = await Promise.all(
      [LIE, 'print(6 * 7)', RANDOM].map(code => disputed(node, code, judges)),
    );
    const lied = await outcome(node, wrong!);
    assert.equal([lied.end, lied.reruns], [['split', 0n, 'split', 'verdict'], 2]);
    assert.equal([lied.view.state, lied.view.failure?.code], ['failed', 'RESULT_WRONG']);
    assert.equal(lied.view.payment!.escrow!.arbiters, judges);
    const states = events.filter(event => event.taskId === wrong).map(({ escrow }) => escrow);
    assert.equal([...new Set(states)], [null, 'open', 'claimed', 'disputed', 'split']);
    const proof = verifyReceipt(await node.market.tasks.receipt(wrong!));
    assert.equal([proof.settlement, proof.closedBy, proof.pay], ['split', 'verdict', 0n]);
    const honest = await outcome(node, right!);
    assert.equal([honest.end, honest.reruns], [['split', PRICE, 'split', 'verdict'], 1]);
    assert.is(honest.view.state, 'completed');
    const unclear = await outcome(node, random!);
    assert.equal([unclear.end, unclear.reruns], [['split', PRICE, 'split', 'verdict'], 2]);
    // three tasks, of which the lie came back; five runs by the arbiter, who is the treasury too
    assert.is(node.settlement.balance().free, 1_000n * FLOP - 2n * PRICE - 5n * PRICE);
    const fee = (PRICE * 2n) / 100n;
    await seenBalance(worker, 1_000n * FLOP + 2n * (PRICE - fee));
  });
});

const seenBalance = async ({ settlement }: DuxNode, free: bigint) => {
  while (settlement.balance().free !== free || settlement.balance().incoming > 0n)
    await new Promise<void>(resolve => {
      const off = settlement.on(() => {
        off();
        resolve();
      });
    });
};

test.run();
