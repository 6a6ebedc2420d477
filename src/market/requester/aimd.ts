/** Auctions at a time: at the start, and within what. Fewer than four would wait for every slow worker's answer. */
const START = 16;
const MIN = 4;
const MAX = 64;

/**
 * How many auctions a requester holds at a time, by additive increase and multiplicative decrease (Chiu and Jain, 1989): after as
 * many as the limit allows, half of it where most of them met full workers, else one more. Workers that are full already are not asked
 * more and more.
 */
export class AuctionLimit {
  #limit = START;
  #seen = 0;
  #crowded = 0;

  get value(): number {
    return this.#limit;
  }

  /** Notes an auction's end; crowded: more than half of its answers said that there is no place. */
  note(crowded: boolean): void {
    this.#seen++;
    if (crowded) this.#crowded++;
    if (this.#seen < this.#limit) return;
    this.#limit =
      this.#crowded > this.#seen / 2
        ? Math.max(MIN, Math.floor(this.#limit / 2))
        : Math.min(MAX, this.#limit + 1);
    this.#seen = 0;
    this.#crowded = 0;
  }
}
