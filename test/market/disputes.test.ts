import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { committeeOf, type Escrow, readLock } from '../../src/ledger/index.ts';
import type { TaskEvent, TaskView } from '../../src/market/index.ts';
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
import {
  disputeKind,
  seal,
  signerFromSeed,
  taskOrderMessage,
  taskRecordMessage,
  type VerdictRequest,
  verdictKind,
  verdictRequestMessage,
} from '../../src/wire/index.ts';
import { ended, FLOP, type TestNet, type TestNodeInit, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { imagesDir } from '../native/support.ts';
import { codeThrown, gate, seen, withNet } from './support.ts';

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
  return { view, end: [state, amount, escrow?.closedBy, escrow?.finding], reruns: tasks.length };
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
    assert.equal([lied.end, lied.reruns], [['split', 0n, 'verdict', 'wrong'], 2]);
    assert.equal([lied.view.state, lied.view.failure?.code], ['failed', 'RESULT_WRONG']);
    assert.equal(lied.view.payment!.escrow!.arbiters, judges);
    const states = events.filter(event => event.taskId === wrong).map(({ escrow }) => escrow);
    assert.equal([...new Set(states)], [null, 'open', 'claimed', 'disputed', 'split']);
    const proof = verifyReceipt(await node.market.tasks.receipt(wrong!));
    assert.equal([proof.settlement, proof.closedBy, proof.pay], ['split', 'verdict', 0n]);
    const honest = await outcome(node, right!);
    assert.equal([honest.end, honest.reruns], [['split', PRICE, 'verdict', 'right'], 1]);
    assert.is(honest.view.state, 'completed');
    const unclear = await outcome(node, random!);
    assert.equal([unclear.end, unclear.reruns], [['split', PRICE, 'verdict', 'unclear'], 2]);
    // three tasks, of which the lie came back; five runs by the arbiter, who is the treasury too
    assert.is(node.settlement.balance().free, 1_000n * FLOP - 2n * PRICE - 5n * PRICE);
    const fee = (PRICE * 2n) / 100n;
    await worker.settlement.sync();
    assert.is(worker.settlement.balance().free, 1_000n * FLOP + 2n * (PRICE - fee));
  });
});

/** A panel's nodes are known once they run; the worker's options hold this list. */
function panelOf(net: TestNet, judges: string[], ...indexes: number[]): string[] {
  judges.push(...indexes.map(index => net.nodes[index]!.identity.peer));
  return judges;
}

const program =
  (text: string): MemoryProgram =>
  async (_task, sink) => {
    await sink.stdout(Buffer.from(text));
    return {};
  };

test('a result that fails its checks is disputed by the node itself; of three arbiters two decide against one who lies, over a restart', async () => {
  const judges: string[] = [];
  const doors = [gate(), gate()];
  const forge = (result: SandboxResult) => ({
    ...saying('made up\n')(result),
    endedAt: result.startedAt - 1,
  });
  const forger = () => changing(createMemoryExecutor({ clock: systemClock }), forge);
  await withNet(
    [idle, idle, { executor: forger, market: { arbiters: judges } }, ...doors, { run: program('made up\n') }],
    async net => {
      const arbiters = panelOf(net, judges, 3, 4, 5);
      const first = net.nodes[1]!;
      const { taskId } = await first.market.tasks.submit(taskRequest({ retries: 0, arbiters }));
      assert.is((await ended(first, taskId)).failure?.code, 'ATTESTATION_TIMES');
      await Promise.all(doors.map(({ entered }) => entered));
      const { escrow } = (await first.market.tasks.get(taskId)).attempts[0]!.payment!;
      assert.equal([escrow!.state, [...escrow!.arbiters].sort()], ['disputed', [...arbiters].sort()]);
      await first.stop();
      const node = await net.restart(1);
      for (const door of doors) door.open();
      const closed = ({ attempts }: TaskView) => attempts[0]?.payment?.state === 'split';
      const view = await seen(node, taskId, 'judged', closed);
      const payment = view.attempts[0]!.payment!;
      assert.equal([payment.amount, payment.escrow!.closedBy], [0n, 'verdict']);
      // one run of the liar's, two of each of the others, and none twice for the restart
      const reruns = async () =>
        (await node.market.tasks.list({ limit: 100, label: ['arbitrates', taskId] })).tasks;
      const isPaid = async () => (await reruns()).filter(({ state }) => state === 'completed').length === 5;
      await waitFor(isPaid, 'the arbiters to be paid');
      assert.is((await reruns()).length, 5);
      const { settlement } = net.nodes[2]!;
      await settlement.sync();
      assert.equal(settlement.balance(), { free: 1_000n * FLOP, locked: 0n, incoming: 0n });
    },
  );
});

/** The escrow of a task's first attempt, as its requester holds it. */
async function escrowOf(node: DuxNode, taskId: string): Promise<Escrow> {
  const record = await node.db.repository('tasks', taskRecordMessage).get(taskId);
  const ref = { taskId, replica: 0, attempt: 1 };
  return readLock(record!.attempts[0]!.lock!, ref, committeeOf(node.genesis));
}

async function remoteCode(promise: Promise<unknown>): Promise<unknown> {
  const error = await promise.then(
    () => undefined,
    (thrown: { type?: { remoteCode?: string } }) => thrown,
  );
  return error?.type?.remoteCode ?? error;
}

test('what is late, or a stranger’s, or signed by the wrong ones is refused by its code; without a verdict time decides', async () => {
  const judges: string[] = [];
  const door = gate();
  await withNet([idle, idle, { market: { arbiters: judges } }, { run: door.run }, idle], async net => {
    const [, node, worker, arbiter, stranger] = net.nodes as [DuxNode, DuxNode, DuxNode, DuxNode, DuxNode];
    const signerOf = ({ identity }: DuxNode) => signerFromSeed(identity.seed);
    const arbiters = panelOf(net, judges, 3);
    const taskId = await disputed(node, 'print(1)', arbiters);
    const late = await waiting(node, 'print(2)', arbiters);
    await door.entered;
    const [escrow, lateEscrow] = await Promise.all([escrowOf(node, taskId), escrowOf(node, late)]);
    const { settlement } = node;
    const ids = { net: node.genesis.net, escrowId: escrow.escrowId };
    const refused = async (bytes: Uint8Array, code: string, of = escrow) =>
      assert.is(await remoteCode(settlement.settle(of, bytes)), code);
    const dispute = (of: Escrow, signer: DuxNode, reason: string) =>
      seal(disputeKind, { ...ids, escrowId: of.escrowId, reason }, signerOf(signer)).bytes;
    const verdict = (pay: bigint, ...by: DuxNode[]) =>
      seal(verdictKind, { ...ids, pay }, ...by.map(signerOf)).bytes;
    await refused(dispute(escrow, node, 'once more'), 'ESCROW_STATE');
    await refused(verdict(0n, stranger), 'ESCROW_SIGNERS');
    await refused(verdict(0n, node), 'ESCROW_SIGNERS');
    await refused(verdict(0n, arbiter, stranger), 'ESCROW_SIGNERS');
    await refused(verdict(0n, arbiter, arbiter), 'WIRE_SIGNATURE');
    await refused(verdict(PRICE + 1n, arbiter), 'ESCROW_AMOUNT');

    const { claim, dispute: denied } = await settlement.inspect(escrow);
    const { order } = (await node.db.repository('task-orders', taskOrderMessage).get(taskId))!;
    const { offer } = (await node.db.repository('tasks', taskRecordMessage).get(taskId))!.attempts[0]!;
    const request = { lock: escrow.decided, claim: claim!, dispute: denied!, order, offer, runs: [] };
    const asked = (of: DuxNode, change: Partial<VerdictRequest> = {}) =>
      remoteCode(
        stranger.network.call(
          of.identity.peer,
          'verdict',
          verdictRequestMessage.encode({ ...request, ...change }),
        ),
      );
    assert.is(await asked(worker), 'NOT_ARBITER');
    assert.is(await asked(arbiter, { runs: [{ taskId, replica: 0, attempt: 1 }] }), 'RERUN_UNKNOWN');
    assert.is(await asked(arbiter, { dispute: claim! }), 'ARBITRATION_INVALID');
    assert.is(await asked(arbiter, { claim: escrow.decided }), 'ARBITRATION_INVALID');
    const other = (await node.db.repository('task-orders', taskOrderMessage).get(late))!;
    assert.is(await asked(arbiter, { order: other.order }), 'ARBITRATION_INVALID');

    await arbiter.network.stop();
    door.open();
    await arbiter.stop();
    const jumpTo = (at: number) => net.clock.jump(at - net.clock.now());
    jumpTo(lateEscrow.lock.claimBy - 20_000);
    const isClaimed = ({ payment }: TaskView) => payment?.escrow?.state === 'claimed';
    await waitFor(async () => (await settlement.inspect(lateEscrow)).claim !== undefined, 'the claim');
    await refused(dispute(lateEscrow, stranger, 'not mine'), 'ESCROW_SIGNERS', lateEscrow);
    net.clock.jump(60_000);
    await seen(node, late, 'shown as claimed', isClaimed);
    jumpTo(lateEscrow.lock.disputeBy + 1_000);
    assert.is(await codeThrown(node.market.tasks.dispute(late, 'too late')), 'DISPUTE_LATE');
    await refused(dispute(lateEscrow, node, 'too late'), 'ESCROW_LATE', lateEscrow);
    jumpTo(escrow.lock.verdictBy + NOTARY_GRACE_MS + 1_000);
    assert.is((await ended(node, late)).payment?.state, 'released');
    const { end } = await outcome(node, taskId);
    assert.equal(end, ['split', PRICE, 'timeout', null]);
  });
});

test.run();
