import { LRUCache } from 'lru-cache';

/** What one worker has broken in a row: an award refused although it bid, or an execution that failed by its fault. */
interface Broken {
  readonly count: number;
  readonly at: number;
}

/** Once may be bad luck: two requesters take the same slot, a machine is switched off. */
const FORGIVEN = 1;
const FIRST_REST_MS = 30_000;
const LONGEST_REST_MS = 86_400_000;

/** How long a worker is the last to be asked, milliseconds, after it has broken so much in a row: twice as long each time, as for any peer that does not answer. */
export function restMs(count: number): number {
  if (count <= FORGIVEN) return 0;
  return Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** Math.min(20, count - FORGIVEN - 1));
}

/** Who has lately broken what it promised, however cheap it says to be. In memory: after a restart it takes two more to know it again. */
export class Breaker {
  readonly #broken: LRUCache<string, Broken>;

  constructor(maxPeers: number) {
    this.#broken = new LRUCache({ max: maxPeers });
  }

  broke(peer: string, now: number): void {
    this.#broken.set(peer, { count: (this.#broken.peek(peer)?.count ?? 0) + 1, at: now });
  }

  kept(peer: string): void {
    this.#broken.delete(peer);
  }

  isResting(peer: string, now: number): boolean {
    const broken = this.#broken.peek(peer);
    return broken !== undefined && now < broken.at + restMs(broken.count);
  }
}
