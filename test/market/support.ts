import * as assert from 'uvu/assert';
import { holdsMoney } from '../../src/ledger/index.ts';
import { recount } from '../../src/ledger/notary-state.ts';
import { META_KEY, openNotaryStore } from '../../src/ledger/notary-store.ts';
import type { MarketOptions, TaskView } from '../../src/market/index.ts';
import type { DuxNode } from '../../src/node/node.ts';
import type { MemoryProgram } from '../../src/sandbox/index.ts';
import { type Deferred, deferred } from '../../src/util/index.ts';
import { TestNet, type TestNodeInit } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';

/** Leases short enough for a test, and long enough for a busy machine. */
export const quick: Partial<MarketOptions> = {
  heartbeatMs: 200,
  suspectMs: 1_000,
  deadMs: 2_000,
  sweepMs: 100,
};

/** A node that must be able to stop whatever its tasks are doing. */
const STOP_MS = 8_000;

export interface NetOptions {
  /** Escrows that this test leaves open on purpose. */
  readonly open?: number;
}

/** Runs `fn` over a net of its own, with the common audit after it. */
export async function withNet(
  inits: readonly TestNodeInit[],
  fn: (net: TestNet) => Promise<void>,
  { open = 0 }: NetOptions = {},
): Promise<void> {
  const net = await TestNet.start(inits.map(init => ({ ...init, market: { ...quick, ...init.market } })));
  try {
    await fn(net);
    await audit(net, open);
  } finally {
    const began = performance.now();
    await net.stop();
    const ms = performance.now() - began;
    assert.ok(ms < STOP_MS * net.nodes.length, `stopping took ${Math.round(ms)} ms`);
  }
}

/** No money but that of `open` escrows is bound, the supply is all there, and no worker holds a place. */
async function audit(net: TestNet, open: number): Promise<void> {
  const notary = net.nodes[0] as DuxNode;
  await waitFor(async () => (await openEscrows(notary)) === open, `${open} open escrows`, 20_000);
  const store = openNotaryStore(notary.db);
  const meta = await store.meta.get(META_KEY);
  assert.ok(meta);
  await recount(store, notary.genesis, meta);
  const isFree = ({ market }: DuxNode) => {
    const { worker } = market.tasks.stats();
    return worker.running === 0 && worker.queued === 0 && worker.freeMilliCpus === 4_000;
  };
  await waitFor(() => net.nodes.every(isFree), 'all capacity to be free');
}

export async function openEscrows(notary: DuxNode): Promise<number> {
  let count = 0;
  for await (const [, { escrow }] of openNotaryStore(notary.db).escrows.iterate({ limit: 100_000 }))
    if (holdsMoney(escrow)) count++;
  return count;
}

/** How many escrows were paid. */
export async function paidEscrows(notary: DuxNode): Promise<number> {
  let count = 0;
  for await (const [, { escrow }] of openNotaryStore(notary.db).escrows.iterate({ limit: 100_000 }))
    if (escrow.state === 'PAID') count++;
  return count;
}

export interface Gate {
  readonly run: MemoryProgram;
  /** Settles when the first task is inside. */
  readonly entered: Promise<void>;
  /** Tasks that went in. */
  count(): number;
  open(): void;
}

/** A program that waits until it is let go; then it writes `{"ok":true}`. */
export function gate(): Gate {
  const entered: Deferred<void> = deferred();
  const opened: Deferred<void> = deferred();
  let count = 0;
  return {
    entered: entered.promise,
    count: () => count,
    open: () => opened.resolve(),
    async run(_task, sink) {
      count++;
      entered.resolve();
      await opened.promise;
      await sink.stdout(Buffer.from('{"ok":true}\n'));
      return {};
    },
  };
}

/** Resolves once the task looks like this. */
export async function seen(
  node: DuxNode,
  taskId: string,
  what: string,
  test: (view: TaskView) => boolean,
  ms = 15_000,
): Promise<TaskView> {
  let view = await node.market.tasks.get(taskId);
  await waitFor(
    async () => {
      view = await node.market.tasks.get(taskId);
      return test(view);
    },
    `${taskId} to be ${what}`,
    ms,
  );
  return view;
}

/** The code of what `promise` rejects with. */
export async function codeThrown(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'nothing was thrown';
}

/** Index of the node with this peer id. */
export function indexOf(net: TestNet, peer: string | null): number {
  return net.nodes.findIndex(node => node.identity.peer === peer);
}
