import { decide } from '../../src/market/bidder.ts';
import { Capacity, type Line } from '../../src/market/capacity.ts';
import { Estimates } from '../../src/market/worker/estimates.ts';
import { type Claim, type Reservation, Reservations } from '../../src/market/worker/reservations.ts';
import type { Estimate } from '../../src/wire/index.ts';
import { biddersView, offerOf, shares } from './offers.ts';
import type { Simulation } from './simulation.ts';
import type { SimTask } from './task.ts';
import { type Job, machineOf } from './world.ts';

/** No slots are kept for anyone. */
const nobody = { peer: 'nobody', slots: 0 };

export type SimBid = Estimate & { readonly worker: number };

/** One node that lends its machine: the market's own rules, and a machine that only counts. */
export class SimWorker {
  readonly node: number;
  isUp = true;
  #capacity: Capacity;
  readonly #estimates = new Estimates();
  #reservations: Reservations | undefined;
  #tasks: SimTask[] = [];
  #busySlots = 0;
  /** Rises when it dies: what began before has no end. */
  #life = 0;

  constructor(sim: Simulation, node: number) {
    this.node = node;
    this.#capacity = new Capacity(machineOf(node).total, nobody, sim.timeline);
  }

  /** Some runs that are over, and some that are under way. */
  warmUp(sim: Simulation, load: number, pastRuns: number): void {
    const { speed, total } = machineOf(this.node);
    for (let i = 0; i < pastRuns; i++) this.#estimates.learn(sim.world.runMs() / speed);
    for (let slot = 0; slot < total.slots; slot++) {
      const release = sim.world.random() < load ? this.#capacity.take(shares.cpu, 'someone') : undefined;
      if (release) this.#busy(sim, release, sim.world.restMs() / speed);
    }
  }

  /** Undefined: it refuses. */
  bidOn(job: Job): SimBid | undefined {
    const offer = offerOf(job);
    const line: Line = this.#reservations ?? this.#capacity;
    const decision = decide(offer, biddersView(this.node, line));
    if (!decision.bid) return undefined;
    const time = this.#estimates.promise(line, offer);
    return { worker: this.node, ask: decision.ask, ...time, imageCached: true, bytesMissing: 0 };
  }

  /** An award that starts at once or not at all. */
  start(sim: Simulation, task: SimTask): boolean {
    const line = this.#reservations ?? this.#capacity;
    const release = line.take(shares[task.job.class], offerOf(task.job).requester);
    if (release) this.run(sim, task, release);
    return release !== undefined;
  }

  /** An award that may wait in this worker's own queue. */
  enqueue(sim: Simulation, task: SimTask): boolean {
    if (!this.bidOn(task.job)) return false;
    const life = this.#life;
    const { signal } = new AbortController();
    this.#tasks.push(task);
    void this.#capacity.acquire(shares[task.job.class], offerOf(task.job), { signal }).then(release => {
      if (life === this.#life) this.run(sim, task, release);
    });
    return true;
  }

  reserve(sim: Simulation, task: SimTask, key: string): boolean {
    const { requester, priority, deadline } = offerOf(task.job);
    this.#reservations ??= new Reservations(this.#capacity, sim.timeline);
    return this.#reservations.reserve({
      key,
      requester,
      share: shares[task.job.class],
      priority,
      deadline,
    });
  }

  cancel(key: string, job: Job): void {
    this.#reservations?.cancel(key, offerOf(job).requester);
  }

  claim(): Claim<Reservation> | undefined {
    return this.#reservations?.claim();
  }

  /** With a slot that it has. */
  run(sim: Simulation, task: SimTask, release: () => void): void {
    const ms = task.job.runMs / machineOf(this.node).speed;
    if (!this.#tasks.includes(task)) this.#tasks.push(task);
    this.#busy(sim, release, ms, () => {
      this.#tasks = this.#tasks.filter(other => other !== task);
      this.#estimates.learn(ms);
      task.ended(this.node);
    });
  }

  /** What it was given is lost. */
  die(sim: Simulation): readonly SimTask[] {
    const lost = this.#tasks;
    this.isUp = false;
    this.#life++;
    sim.busySlots -= this.#busySlots;
    this.#busySlots = 0;
    this.#tasks = [];
    this.#reservations = undefined;
    this.#capacity = new Capacity(machineOf(this.node).total, nobody, sim.timeline);
    return lost;
  }

  #busy(sim: Simulation, release: () => void, ms: number, ended = () => {}): void {
    const life = this.#life;
    this.#busySlots++;
    sim.busySlots++;
    sim.timeline.after(ms, () => {
      if (life !== this.#life) return;
      this.#busySlots--;
      sim.busySlots--;
      release();
      ended();
      sim.claimNext(this);
    });
  }
}
