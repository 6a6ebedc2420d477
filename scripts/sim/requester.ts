import { CandidateView } from '../../src/market/candidates.ts';
import { SAMPLE, SHARD_NODES } from '../../src/market/options.ts';
import { levelOf } from '../../src/market/regime.ts';
import type { WorkerClass } from '../../src/market/shards.ts';
import { type Experience, NO_EXPERIENCE, type TaskOutcome, withOutcome } from '../../src/reputation/index.ts';
import type { Simulation } from './simulation.ts';
import { exponential, type World } from './world.ts';

/** A walk that ends at peers that are all known already is not tried for ever. */
const WALKS_FOR_ONE = 3;

/** One node that submits: whom it knows, and what it has learned of them. */
export class SimRequester {
  readonly node: number;
  readonly level: number;
  inFlight = 0;
  readonly #views = new Map<WorkerClass, CandidateView<number>>();
  readonly #experience = new Map<number, Experience>();

  constructor(world: World, node: number) {
    this.node = node;
    this.level = levelOf({
      distances: nearestOf(world),
      connected: Math.min(world.nodes - 1, SHARD_NODES),
    });
  }

  view(sim: Simulation, name: WorkerClass): CandidateView<number> {
    const known = this.#views.get(name);
    if (known) return known;
    const view = new CandidateView<number>(sim.world.random);
    this.#views.set(name, view);
    return view;
  }

  sample(sim: Simulation, name: WorkerClass, failed: ReadonlySet<number>): number[] {
    const view = this.view(sim, name);
    view.fitTo(this.inFlight);
    if (view.room > view.size / 4) this.#walk(sim, name, view);
    return view.sample(SAMPLE, peer => !failed.has(peer));
  }

  /** Takes in who was met, as far as there is room. */
  meet(sim: Simulation, name: WorkerClass, peer: number): void {
    if (peer !== this.node && this.view(sim, name).add(peer)) sim.met++;
  }

  known(worker: number): Experience {
    return this.#experience.get(worker) ?? NO_EXPERIENCE;
  }

  learn(worker: number, outcome: TaskOutcome): void {
    this.#experience.set(worker, withOutcome(this.known(worker), outcome, 0));
  }

  renew(): void {
    for (const view of this.#views.values()) view.renew();
  }

  /** Random walks over the members of a class. */
  #walk(sim: Simulation, name: WorkerClass, view: CandidateView<number>): void {
    const members = sim.world.membersOf(name);
    for (let left = WALKS_FOR_ONE * view.room; left > 0 && view.room > 0; left--)
      this.meet(sim, name, members[Math.floor(sim.world.random() * members.length)] as number);
  }
}

/** Distances to the nearest of so many random points: steps of a Poisson process. */
function nearestOf({ nodes, random }: World): number[] {
  let at = 0;
  return Array.from({ length: Math.min(20, nodes - 1) }, () => {
    at += exponential(random, 1 / nodes);
    return at;
  });
}
