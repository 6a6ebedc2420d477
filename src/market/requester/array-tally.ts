import { OUTCOME } from '../../wire/index.ts';
import type { ElementState } from '../interface.ts';

export interface ArrayCounts {
  readonly completed: number;
  readonly failed: number;
  readonly running: number;
  readonly waiting: number;
}

interface Element {
  state: ElementState;
  /** Runs that came to nothing by its own fault. */
  failures: number;
  /** The bundle that holds its newest result, or holds it now. */
  bundle: string | null;
}

/** Which of an array's elements wait, run, are done or have failed: what its bundles, told of in their order, add up to. */
export class ArrayTally {
  readonly #runs: number;
  readonly #elements: Element[];
  /** Those that wait, in the order in which they go. */
  #queue: number[];
  readonly #counts: Record<ElementState, number>;

  /** `runs`: in so many an element may fail. */
  constructor(total: number, runs: number) {
    this.#runs = runs;
    this.#elements = Array.from({ length: total }, () => ({ state: 'waiting', failures: 0, bundle: null }));
    this.#queue = [...this.#elements.keys()];
    this.#counts = { waiting: total, running: 0, completed: 0, failed: 0 };
  }

  get counts(): ArrayCounts {
    return { ...this.#counts };
  }

  /** The next that wait; a bundle that starts takes them out. */
  next(count: number): number[] {
    return this.#queue.slice(0, count);
  }

  of(index: number): Readonly<Element> {
    return this.#elements[index] as Element;
  }

  indices(state: ElementState): number[] {
    return [...this.#elements.keys()].filter(index => this.of(index).state === state);
  }

  started(bundle: string, indices: readonly number[]): void {
    const gone = new Set(indices);
    this.#queue = this.#queue.filter(index => !gone.has(index));
    for (const index of indices) {
      this.#move(index, 'running');
      (this.#elements[index] as Element).bundle = bundle;
    }
  }

  /** What became of them, by the bytes of `OUTCOME`: who was not run comes next, who failed and may run again comes last. */
  settled(indices: readonly number[], outcomes: Uint8Array): void {
    const again: number[] = [];
    for (const [i, index] of indices.entries()) {
      const element = this.#elements[index] as Element;
      if (outcomes[i] === OUTCOME.failed) element.failures++;
      const isOut = outcomes[i] === OUTCOME.failed && element.failures >= this.#runs;
      const isDone = outcomes[i] === OUTCOME.completed;
      this.#move(index, isDone ? 'completed' : isOut ? 'failed' : 'waiting');
      if (element.state !== 'waiting') continue;
      if (outcomes[i] === OUTCOME.failed) this.#queue.push(index);
      else again.push(index);
    }
    this.#queue.unshift(...again);
  }

  #move(index: number, state: ElementState): void {
    const element = this.#elements[index] as Element;
    this.#counts[element.state]--;
    this.#counts[state]++;
    element.state = state;
  }
}
