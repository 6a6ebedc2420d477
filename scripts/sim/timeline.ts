/** Time that jumps from one event to the next: a binary heap of what is to happen. */
export class Timeline {
  #now = 0;
  readonly #times: number[] = [];
  readonly #events: (() => void)[] = [];

  /** Milliseconds since the start. */
  readonly monotonic = (): number => this.#now;

  after(ms: number, event: () => void): void {
    const time = this.#now + ms;
    let at = this.#times.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((this.#times[parent] as number) <= time) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#times[at] = time;
    this.#events[at] = event;
  }

  /** Lets the next event happen; false: there is none. */
  step(): boolean {
    const event = this.#events[0];
    if (!event) return false;
    this.#now = this.#times[0] as number;
    this.#removeFirst();
    event();
    return true;
  }

  /** The last one takes the free place, and sinks to where it belongs. */
  #removeFirst(): void {
    const time = this.#times.pop() as number;
    const event = this.#events.pop() as () => void;
    const size = this.#times.length;
    if (size === 0) return;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && (this.#times[child + 1] as number) < (this.#times[child] as number)) child++;
      if ((this.#times[child] as number) >= time) break;
      this.#move(child, at);
      at = child;
    }
    this.#times[at] = time;
    this.#events[at] = event;
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from] as number;
    this.#events[to] = this.#events[from] as () => void;
  }
}
