import { draw } from '../../src/market/candidates.ts';
import { SHARD_NODES } from '../../src/market/options.ts';
import type { DuxNode } from '../../src/node/node.ts';
import { createMemoryExecutor, type MemoryProgram } from '../../src/sandbox/index.ts';
import { deferred, type Metrics, noMetrics, Semaphore, sleep, systemClock } from '../../src/util/index.ts';
import type { MovableClock } from '../../test/fixtures/movable-clock.ts';
import { TestNet, type TestNodeInit, taskRequest } from '../../test/fixtures/nodes.ts';
import { randomOf } from '../../test/fixtures/random.ts';
import { waitFor } from '../../test/fixtures/wait.ts';
import { mean, median, quantile } from '../bench/figures.ts';
import { jobs, machineOf, NODES_PER_REQUESTER, type SimInit, slotsOf, World } from '../sim/world.ts';

/** Calls that bring a task to its worker; bids on what a small network gossips beside them are in vain, and not simulated. */
const MARKET_CALLS = ['offer', 'place', 'claim'];
const STARTED_AT_ONCE = 3;
/** Connections that a node looks for; who submits has those of a large network. */
const NEIGHBOURS = 4;
const READY_MS = 1_200_000;
const GIB = 2 ** 30;

export interface ScaleInit extends SimInit {
  /** Real seconds for one second of the nodes: what they compute is then as much faster. */
  readonly slow: number;
}

export interface ScaleResult {
  readonly messages: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly utilisation: number;
  /** For each task. */
  readonly refusedAwards: number;
  /** Median round trip of connected nodes, milliseconds of their time. */
  readonly rttMs: number;
}

/** Everybody's time, slower than ours. */
function slowClock(slow: number): MovableClock {
  const began = Date.now();
  return {
    now: () => Math.round(began + (Date.now() - began) / slow),
    monotonic: () => performance.now() / slow,
    after: (ms, fn) => systemClock.after(ms * slow, fn),
    jump() {
      throw new Error('this clock does not jump');
    },
  };
}

/** Real nodes on libp2p’s memory transport, with the simulator’s machines and its users; what a task does is to wait. */
export class RealNetwork {
  readonly #init: ScaleInit;
  readonly #clock: MovableClock;
  readonly #random: () => number;
  readonly #began = new Map<string, number>();
  #net: TestNet | undefined;
  #messages = 0;
  #changed = deferred<void>();

  constructor(init: ScaleInit) {
    this.#init = init;
    this.#clock = slowClock(init.slow);
    this.#random = randomOf(init.seed);
  }

  get nodes(): readonly DuxNode[] {
    return this.#net?.nodes ?? [];
  }

  /** All nodes, connected, and members of the network. */
  async start(): Promise<void> {
    const { nodes } = this.#init;
    const net = await TestNet.start([this.#nodeInit(0)], this.#clock);
    this.#net = net;
    const lanes = new Semaphore(STARTED_AT_ONCE);
    const others = Array.from({ length: nodes - 1 }, (_, i) => i + 1);
    await Promise.all(others.map(node => lanes.run(() => net.add(this.#nodeInit(node)))));
    const users = net.nodes.filter((_, i) => i % NODES_PER_REQUESTER === 0);
    if (nodes > SHARD_NODES) for (const user of users) this.#introduce(user);
    await waitFor(
      () =>
        users.every(({ network }) => network.peers().length >= Math.min(nodes - 1, SHARD_NODES)) &&
        net.nodes.every(({ membership }) => users.every(({ identity }) => membership.has(identity.peer))),
      'all users to be connected and known',
      READY_MS,
    );
  }

  /** Whoever submits in a large network knows that it is large: nodes by themselves stop at 64 connections. */
  #introduce({ identity, network }: DuxNode): void {
    const strangers = this.nodes.filter(
      other => other.identity.peer !== identity.peer && !network.isConnected(other.identity.peer),
    );
    for (const other of draw(SHARD_NODES, strangers, this.#random))
      network.join(other.network.addresses()[0] as string);
  }

  async stop(): Promise<void> {
    await this.#net?.stop();
  }

  /** Fills the machines as they would be, then lets the users submit. */
  async run(): Promise<ScaleResult> {
    await this.#warmUp();
    const { tasks } = this.#init;
    const before = this.#messages;
    const queue = jobs(this.#init);
    const submissions: Promise<{ node: DuxNode; taskId: string; at: number }>[] = [];
    const busy: number[] = [];
    const submit = async (node: DuxNode, runMs: number) => {
      const at = this.#clock.monotonic();
      const { taskId } = await node.market.tasks.submit(this.#task(runMs));
      return { node, taskId, at };
    };
    while (submissions.length < tasks) {
      const { gapMs, requester, runMs } = queue.next().value;
      await sleep(gapMs, { clock: this.#clock });
      busy.push(this.#slotsBusy());
      submissions.push(submit(this.nodes[requester] as DuxNode, runMs));
    }
    const submitted = await Promise.all(submissions);
    while (submitted.some(({ taskId }) => !this.#began.has(taskId))) await this.#changed.promise;
    const views = await Promise.all(submitted.map(({ node, taskId }) => node.market.tasks.get(taskId)));
    const attempts = views.flatMap(view => view.attempts);
    const refused = attempts.flatMap(({ bids }) =>
      bids.filter(({ score, refusal }) => score !== null && refusal),
    ).length;
    const awards = attempts.filter(({ worker }) => worker !== null).length + refused;
    const assigned = submitted.map(({ taskId, at }) => (this.#began.get(taskId) as number) - at);
    const rtts = this.nodes.flatMap(({ network }) => network.peers().flatMap(({ rttMs }) => rttMs ?? []));
    return {
      messages: (this.#messages - before + 2 * awards) / tasks,
      p50Ms: quantile(assigned, 0.5),
      p99Ms: quantile(assigned, 0.99),
      utilisation: mean(busy),
      refusedAwards: refused / tasks,
      rttMs: median(rtts) / this.#init.slow,
    };
  }

  /** Runs that are under way when the first user comes: each machine’s own. */
  async #warmUp(): Promise<void> {
    const world = new World(this.#init);
    const own: Promise<string>[] = [];
    for (const [i, node] of this.nodes.entries()) {
      const policy = { avoidSelf: false, requirePeers: [node.identity.peer] };
      for (let slot = 0; slot < slotsOf(i); slot++)
        if (this.#random() < this.#init.load) {
          const request = this.#task(world.restMs() / machineOf(i).speed, policy);
          own.push(node.market.tasks.submit(request).then(({ taskId }) => taskId));
        }
    }
    const ids = await Promise.all(own);
    while (ids.some(taskId => !this.#began.has(taskId))) await this.#changed.promise;
  }

  #task(runMs: number, policy: Parameters<typeof taskRequest>[0] = {}) {
    const unpaid = { payment: 0n, maxTotal: 0n, deadline: this.#clock.now() + 86_400_000 };
    const { spec, ...rest } = taskRequest({ ...unpaid, ...policy }, String(runMs));
    return { ...rest, spec: { ...spec, memoryBytes: GIB, timeoutMs: 3_600_000 } };
  }

  #nodeInit(node: number): TestNodeInit {
    const { speed, total } = machineOf(node);
    const run: MemoryProgram = async ({ key, program }, sink, signal) => {
      this.#began.set(key.split('/')[0] as string, this.#clock.monotonic());
      const changed = this.#changed;
      this.#changed = deferred();
      changed.resolve();
      const runMs = 'code' in program ? Number(program.code) : 0;
      await sleep(runMs / speed, { signal, clock: this.#clock });
      await sink.stdout(Buffer.from('done\n'));
      return {};
    };
    return {
      executor: () => createMemoryExecutor({ clock: this.#clock }, { run }),
      metrics: this.#counting(),
      meshUpTo: this.#init.nodes > SHARD_NODES ? NEIGHBOURS : undefined,
      market: {
        slots: total.slots,
        milliCpus: total.milliCpus,
        memoryBytes: total.memoryBytes,
        diskBytes: total.diskBytes,
      },
    };
  }

  #counting(): Metrics {
    return {
      ...noMetrics,
      count: (name, labels) => {
        if (name === 'network_messages_total' && MARKET_CALLS.includes(labels?.protocol ?? ''))
          this.#messages++;
      },
    };
  }

  #slotsBusy(): number {
    let busy = 0;
    let slots = 0;
    for (const { market } of this.nodes) {
      const { worker } = market.tasks.stats();
      busy += worker.running;
      slots += worker.slots;
    }
    return busy / slots;
  }
}
