import { nextStep } from '../../src/market/binding.ts';
import {
  AWARD_TIMEOUT_MS,
  BID_WINDOW_MAX_MS,
  defaultMarketOptions,
  PLACE_MS,
} from '../../src/market/options.ts';
import { wayOf } from '../../src/market/regime.ts';
import { Places } from '../../src/market/requester/places.ts';
import { backoffMs } from '../../src/market/requester/waiting-room.ts';
import { costOf, factsOf, rank } from '../../src/market/score.ts';
import { bidWindowMs, hasEnough } from '../../src/market/window.ts';
import type { SimRequester } from './requester.ts';
import type { Simulation } from './simulation.ts';
import type { SimBid, SimWorker } from './worker.ts';
import { type Job, serves } from './world.ts';

const { secondValue } = defaultMarketOptions;

/** A node that an offer reaches, and when. */
export interface Hearer {
  readonly node: number;
  readonly delayMs: number;
}

interface ScoredBid {
  readonly bid: SimBid;
  readonly score: number;
  readonly isFree: boolean;
}

/** One task from its submission to its result, as its requester moves it on. */
export class SimTask {
  readonly job: Job;
  readonly isMeasured: boolean;
  readonly submittedAt: number;
  messages = 0;
  /** From the submission to the first acceptance, and to the result, milliseconds. */
  assignedMs: number | undefined;
  resultMs: number | undefined;
  rounds = 0;
  places: Places<number> | undefined;
  readonly #sim: Simulation;
  readonly #requester: SimRequester;
  readonly #index: number;
  readonly #failed = new Set<number>();
  #attempt = 0;
  /** Rounds that found nobody. */
  #fruitless = 0;
  /** Of those asked by the last one, who could ever run it. */
  #able = 0;
  /** What the bid said that was accepted, and when it was. */
  #accepted: { readonly claimedMs: number; readonly at: number } | undefined;
  /** In the order of the last auction. */
  #bids: readonly ScoredBid[] = [];

  constructor(sim: Simulation, index: number, job: Job, isMeasured: boolean) {
    this.isMeasured = isMeasured;
    this.#sim = sim;
    this.#index = index;
    this.job = job;
    this.#requester = sim.requester(job.requester);
    this.submittedAt = sim.timeline.monotonic();
    this.#requester.inFlight++;
  }

  /** One auction, and what follows from it. */
  round(): void {
    const sim = this.#sim;
    const attempt = ++this.#attempt;
    const way = wayOf(this.#requester.level, this.#fruitless);
    this.rounds++;
    this.#accepted = undefined;
    this.places = undefined;
    this.#able = 0;
    if (way === 'shard') {
      const { heard, messages } = sim.gossip(this.job);
      this.messages += messages;
      this.#auction(attempt, heard, { isGossip: true, windowMs: BID_WINDOW_MAX_MS });
      return;
    }
    const nodes =
      way === 'all'
        ? sim.others(this.job.requester).filter(node => !this.#failed.has(node))
        : this.#requester.sample(sim, this.job.class, this.#failed);
    const windowMs = bidWindowMs(nodes.map(node => sim.world.rtt(this.job.requester, node)));
    this.messages += nodes.length;
    this.#able = nodes.filter(node => serves(node, this.job.class)).length;
    const heard = nodes.map(node => ({ node, delayMs: this.#delayTo(node) }));
    this.#auction(attempt, heard, { isGossip: false, windowMs });
  }

  /** A worker has a slot for it. */
  claimed(worker: SimWorker, attempt: number, release: () => void): void {
    const sim = this.#sim;
    const isCurrent = attempt === this.#attempt;
    const answer = (isCurrent && this.places?.claim(worker.node, sim.timeline.monotonic())) || 'cancel';
    this.#send(worker.node, () => {
      if (!worker.isUp) return answer === 'grant' ? this.#unanswered(attempt, worker.node) : undefined;
      if (answer === 'cancel') {
        release();
        sim.claimNext(worker);
        return;
      }
      // the award is behind the grant
      this.messages++;
      worker.run(sim, this, release);
      this.#send(worker.node, () => this.#taken(attempt, worker.node));
    });
  }

  /** It ran to its end. */
  ended(worker: number): void {
    const { timeline } = this.#sim;
    const attempt = this.#attempt;
    timeline.after(this.#delayTo(worker), () => {
      if (attempt !== this.#attempt || this.resultMs !== undefined) return;
      this.resultMs = timeline.monotonic() - this.submittedAt;
      this.#requester.inFlight--;
      const accepted = this.#accepted;
      const time = accepted
        ? { claimedMs: accepted.claimedMs, actualMs: timeline.monotonic() - accepted.at }
        : null;
      this.#requester.learn(worker, { success: true, time });
      this.#sim.ended(this);
    });
  }

  /** Its lease is over: the worker has been silent for too long. */
  lost(worker: number, attempt: number): void {
    if (attempt === this.#attempt && this.resultMs === undefined) this.#failedAt(worker);
  }

  get attempt(): number {
    return this.#attempt;
  }

  #auction(
    attempt: number,
    heard: readonly Hearer[],
    { isGossip, windowMs }: { isGossip: boolean; windowMs: number },
  ): void {
    const sim = this.#sim;
    const view = this.#requester.view(sim, this.job.class);
    const bids: ScoredBid[] = [];
    const silent = new Set(heard.map(({ node }) => node));
    let isOpen = true;
    const close = () => {
      if (!isOpen) return;
      isOpen = false;
      if (attempt === this.#attempt) this.#choose(attempt, bids);
    };
    const answered = (node: number, bid: SimBid | undefined) => {
      silent.delete(node);
      view.answered(node);
      if (!isOpen) return;
      if (bid) {
        bids.push({ bid, score: this.#scoreOf(bid), isFree: bid.queuePosition === 0 });
        if (this.#requester.level > 0)
          for (const peer of [node, ...sim.hints(this.job.class)])
            this.#requester.meet(sim, this.job.class, peer);
      }
      const all = !isGossip && silent.size === 0;
      if (all || hasEnough(bids.map(({ bid }) => bid))) close();
    };
    for (const { node, delayMs } of heard)
      sim.timeline.after(delayMs, () => {
        const worker = sim.worker(node);
        if (!worker.isUp) return;
        const bid = this.#failed.has(node) ? undefined : worker.bidOn(this.job);
        if (isGossip && !bid) return;
        this.#send(node, () => answered(node, bid));
      });
    sim.timeline.after(windowMs, () => {
      for (const node of silent) view.silent(node);
      close();
    });
  }

  #choose(attempt: number, bids: readonly ScoredBid[]): void {
    this.#bids = rank(bids, this.#sim.world.random);
    this.#award(attempt, this.#bids);
  }

  /** Bid after bid, until one is taken or all that are left are busy. */
  #award(attempt: number, left: readonly ScoredBid[]): void {
    const sim = this.#sim;
    const [first] = left;
    const step =
      first && sim.binding === 'queue'
        ? { award: first, atOnce: false }
        : nextStep(left, { secondValue, isOnly: this.#able === 1 });
    if (!step || 'waitFor' in step) {
      if (step) this.#wait(attempt, step.waitFor);
      else this.#again(attempt);
      return;
    }
    const { award: choice, atOnce } = step;
    const { worker: node } = choice.bid;
    this.#send(node, () => {
      const worker = sim.worker(node);
      if (!worker.isUp) return this.#unanswered(attempt, node);
      const accepts = atOnce ? worker.start(sim, this) : worker.enqueue(sim, this);
      this.#send(node, () => {
        if (attempt !== this.#attempt) return;
        if (accepts) return this.#taken(attempt, node);
        sim.refusedAwards++;
        this.#award(
          attempt,
          left.flatMap(bid => (bid !== choice ? [bid] : atOnce ? [{ ...bid, isFree: false }] : [])),
        );
      });
    });
  }

  /** Places at those that are busy. */
  #wait(attempt: number, busy: readonly ScoredBid[]): void {
    const sim = this.#sim;
    const workers = busy.map(({ bid }) => bid.worker);
    const places = new Places(workers, sim.timeline.monotonic());
    const key = this.#key(attempt);
    this.places = places;
    sim.reserved(key, this, attempt);
    const isOver = () => attempt === this.#attempt && places.isOver(sim.timeline.monotonic());
    for (const node of workers)
      this.#send(node, () => {
        const worker = sim.worker(node);
        if (!worker.isUp) return;
        const isPlaced = worker.reserve(sim, this, key);
        this.#send(node, () => {
          if (isPlaced) return;
          places.refused(node);
          if (isOver()) this.#again(attempt);
        });
        if (isPlaced) sim.claimNext(worker);
      });
    sim.timeline.after(PLACE_MS + 1, () => {
      sim.forget(key);
      if (isOver()) this.round();
    });
  }

  #again(attempt: number): void {
    const { timeline, world } = this.#sim;
    // where nobody else can do it, one that was lost is better than nobody
    if (this.#bids.length === 0) this.#failed.clear();
    timeline.after(backoffMs(this.#fruitless++, world.random), () => {
      if (attempt === this.#attempt) this.round();
    });
  }

  #taken(attempt: number, worker: number): void {
    const { timeline } = this.#sim;
    const bid = this.#bids.find(scored => scored.bid.worker === worker)?.bid;
    if (attempt !== this.#attempt || !bid) return;
    const queueMs = this.places ? 0 : bid.queueMs;
    this.#accepted = { claimedMs: bid.etaMs + queueMs, at: timeline.monotonic() };
    const key = this.#key(attempt);
    for (const other of this.places?.taken() ?? [])
      this.#send(other, () => {
        this.messages++;
        this.#sim.worker(other).cancel(key, this.job);
      });
    if (this.assignedMs !== undefined) return;
    this.assignedMs = timeline.monotonic() - this.submittedAt;
    this.#sim.assigned(this);
  }

  /** An award that nobody answers costs its attempt's number. */
  #unanswered(attempt: number, worker: number): void {
    this.#sim.timeline.after(AWARD_TIMEOUT_MS, () => {
      if (attempt === this.#attempt) this.#failedAt(worker);
    });
  }

  #failedAt(worker: number): void {
    this.#sim.failures++;
    this.#failed.add(worker);
    this.#requester.learn(worker, { success: false, time: null });
    this.round();
  }

  #scoreOf(bid: SimBid): number {
    return costOf(factsOf(bid, this.#requester.known(bid.worker), { isSelf: false, secondValue }));
  }

  #key(attempt: number): string {
    return `${this.#index}/${attempt}`;
  }

  #delayTo(node: number): number {
    return this.#sim.world.delay(this.job.requester, node);
  }

  #send(node: number, arrived: () => void): void {
    this.messages++;
    this.#sim.timeline.after(this.#delayTo(node), arrived);
  }
}
