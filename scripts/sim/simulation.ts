import {
  ANSWER_SPREAD_MS,
  defaultMarketOptions,
  SHARD_NODES,
  VIEW_RENEW_MS,
} from '../../src/market/options.ts';
import { answerChance, type WorkerClass } from '../../src/market/shards.ts';
import { quantile } from '../bench/figures.ts';
import { SimRequester } from './requester.ts';
import { type Hearer, SimTask } from './task.ts';
import { Timeline } from './timeline.ts';
import { SimWorker } from './worker.ts';
import {
  downShare,
  exponential,
  type Job,
  jobs,
  type SimInit,
  slotsOf,
  World,
  warmUpTasks,
} from './world.ts';

/** Neighbours in a gossip mesh: each gets every message from about all of its own. */
const MESH = 6;
/** Runs behind each worker when the simulation begins: as many as its estimate remembers. */
const PAST_RUNS = 15;

export interface SimResult {
  readonly messages: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of submission to result. */
  readonly meanMs: number;
  readonly utilisation: number;
  /** For each task. */
  readonly rounds: number;
  readonly refusedAwards: number;
  readonly failures: number;
  readonly met: number;
}

/** A worker’s own queue grants by a promise: what follows from it happens before the next event. */
const granted = Promise.resolve();

/** A network of workers and requesters, and what is on its way between them. */
export class Simulation {
  readonly timeline = new Timeline();
  readonly world: World;
  readonly binding: SimInit['binding'];
  busySlots = 0;
  met = 0;
  refusedAwards = 0;
  failures = 0;
  readonly #init: SimInit;
  readonly #workers: SimWorker[];
  readonly #requesters = new Map<number, SimRequester>();
  readonly #reserved = new Map<string, { readonly task: SimTask; readonly attempt: number }>();
  readonly #measured: SimTask[] = [];
  #slotsUp = 0;
  /** Sum over the submissions that are measured. */
  #busyShare = 0;
  #submitted = 0;
  #unassigned: number;
  #unended: number;

  constructor(init: SimInit) {
    this.#init = init;
    this.binding = init.binding;
    this.#unassigned = init.tasks;
    this.#unended = init.tasks;
    this.world = new World(init);
    this.#workers = Array.from({ length: init.nodes }, (_, node) => new SimWorker(this, node));
  }

  async run(): Promise<SimResult> {
    const { load, nodes } = this.#init;
    for (const worker of this.#workers) {
      this.#slotsUp += slotsOf(worker.node);
      worker.warmUp(this, load, PAST_RUNS);
    }
    for (let down = Math.round(nodes * downShare(this.#init)); down > 0; down--) this.#failAny();
    this.#failLater();
    this.#submitNext(jobs(this.#init));
    while (this.#unended > 0 && this.timeline.step()) await granted;
    return this.#result();
  }

  worker(node: number): SimWorker {
    return this.#workers[node] as SimWorker;
  }

  requester(node: number): SimRequester {
    const known = this.#requesters.get(node);
    if (known) return known;
    const requester = new SimRequester(this.world, node);
    this.#requesters.set(node, requester);
    const renew = () => {
      requester.renew();
      this.timeline.after(VIEW_RENEW_MS, renew);
    };
    this.timeline.after(VIEW_RENEW_MS * this.world.random(), renew);
    return requester;
  }

  others(requester: number): number[] {
    return this.#workers.map(({ node }) => node).filter(node => node !== requester);
  }

  /** What a bid of this node names: out of its own view, or where it never submits of any walk. */
  hints(name: WorkerClass): number[] {
    const members = this.world.membersOf(name);
    return [0, 1].map(() => members[Math.floor(this.world.random() * members.length)] as number);
  }

  /** One shard of a job's class: who hears the offer and answers, and what its spreading costs. */
  gossip({ class: name, requester }: Job): { heard: Hearer[]; messages: number } {
    const { world } = this;
    const members = world.membersOf(name);
    const shards = 2 ** Math.max(0, Math.ceil(Math.log2(members.length / SHARD_NODES)));
    const first = Math.floor(world.random() * shards);
    const shard = members.filter((node, i) => i % shards === first && node !== requester);
    const chance = answerChance(shard.length);
    const answering = shard.filter(() => world.random() < chance);
    const heard = answering.map(node => ({ node, delayMs: this.#spreadMs(requester, node) }));
    return {
      heard,
      messages: Math.min(MESH, shard.length) + shard.length * Math.min(MESH - 1, shard.length - 1),
    };
  }

  /** Asks for tasks for the slots that are free, where places wait for them. */
  claimNext(worker: SimWorker): void {
    for (let claim = worker.claim(); claim; claim = worker.claim()) {
      const { reservation, release } = claim;
      const place = this.#reserved.get(reservation.key);
      const delayMs = this.world.delay(worker.node, Number(reservation.requester));
      if (place) place.task.messages++;
      this.timeline.after(delayMs, () => {
        if (place) return place.task.claimed(worker, place.attempt, release);
        release();
        this.claimNext(worker);
      });
    }
  }

  reserved(key: string, task: SimTask, attempt: number): void {
    this.#reserved.set(key, { task, attempt });
  }

  forget(key: string): void {
    this.#reserved.delete(key);
  }

  assigned(task: SimTask): void {
    if (task.isMeasured) this.#unassigned--;
  }

  ended(task: SimTask): void {
    if (task.isMeasured) this.#unended--;
  }

  /** Those that come after the last that is measured keep the load where it was, until nearly all of these have a worker. */
  #submitNext(queue: Iterator<Job, never>): void {
    const job = queue.next().value;
    this.timeline.after(job.gapMs, () => {
      const { tasks } = this.#init;
      const index = this.#submitted - warmUpTasks(this.#init);
      if (index >= tasks && this.#unassigned <= tasks / 200) return;
      this.#submitted++;
      const isMeasured = index >= 0 && index < tasks;
      const task = new SimTask(this, index, job, isMeasured);
      if (isMeasured) {
        this.#measured.push(task);
        this.#busyShare += this.busySlots / this.#slotsUp;
      }
      task.round();
      this.#submitNext(queue);
    });
  }

  #failLater(): void {
    this.timeline.after(exponential(this.world.random, this.#init.failEveryMs / this.#init.nodes), () => {
      this.#failAny();
      this.#failLater();
    });
  }

  #failAny(): void {
    const worker = this.worker(this.world.anyNode());
    if (!worker.isUp) return;
    for (const task of worker.die(this)) {
      const { attempt } = task;
      this.timeline.after(defaultMarketOptions.deadMs, () => task.lost(worker.node, attempt));
    }
    this.#slotsUp -= slotsOf(worker.node);
    this.timeline.after(exponential(this.world.random, this.#init.downMs), () => {
      worker.isUp = true;
      this.#slotsUp += slotsOf(worker.node);
    });
  }

  /** Three hops through a mesh, and the pause that keeps answers apart. */
  #spreadMs(from: number, to: number): number {
    const { world } = this;
    const [a, b] = [world.anyNode(), world.anyNode()];
    const hops = world.delay(from, a) + world.delay(a, b) + world.delay(b, to);
    return hops + ANSWER_SPREAD_MS * world.random();
  }

  #result(): SimResult {
    const { tasks } = this.#init;
    const assigned = this.#measured.map(({ assignedMs }) => assignedMs ?? Number.POSITIVE_INFINITY);
    const mean = (of: (task: SimTask) => number) =>
      this.#measured.reduce((sum, task) => sum + of(task), 0) / tasks;
    return {
      messages: mean(task => task.messages),
      p50Ms: quantile(assigned, 0.5),
      p99Ms: quantile(assigned, 0.99),
      meanMs: mean(task => task.resultMs ?? Number.POSITIVE_INFINITY),
      utilisation: this.#busyShare / tasks,
      rounds: mean(task => task.rounds),
      refusedAwards: this.refusedAwards / this.#submitted,
      failures: this.failures / this.#submitted,
      met: this.met / this.#submitted,
    };
  }
}
