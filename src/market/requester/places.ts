import { PLACE_MS } from '../options.ts';

/**
 * Late binding, the requester's side (Sparrow: Ousterhout et al., SOSP 2013): one attempt waits at several busy workers, and the
 * first of them that has a slot gets it. While one is being granted the others get `cancel`: a slot that is free must not wait.
 */
export class Places<P> {
  readonly #until: number;
  readonly #waiting: Set<P>;
  #granted: P | undefined;

  constructor(workers: Iterable<P>, nowMs: number) {
    this.#waiting = new Set(workers);
    this.#until = nowMs + PLACE_MS;
  }

  /** The answer to a worker that has a slot free. To the same one always the same. */
  claim(worker: P, nowMs: number): 'grant' | 'cancel' {
    if (this.#granted !== undefined) return worker === this.#granted ? 'grant' : 'cancel';
    if (!this.#waiting.delete(worker) || nowMs > this.#until) return 'cancel';
    this.#granted = worker;
    return 'grant';
  }

  /** The granted worker has taken it: those that are to be told, so that they keep no place for it. */
  taken(): P[] {
    const others = [...this.#waiting];
    this.#waiting.clear();
    return others;
  }

  /** This worker will not take it: it has no place for it, has given its place up, or refused what it was granted. */
  refused(worker: P): void {
    this.#waiting.delete(worker);
    if (worker === this.#granted) this.#granted = undefined;
  }

  /** Nobody can claim it any more: another round is needed. */
  isOver(nowMs: number): boolean {
    return this.#granted === undefined && (this.#waiting.size === 0 || nowMs > this.#until);
  }
}
