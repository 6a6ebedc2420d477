/** One that waits for a worker's capacity. */
export interface Turn {
  /** Whose it is: each requester has a line of its own. */
  readonly requester: string;
  /** 1 to 10, against the requester's other tasks alone. */
  readonly priority: number;
  /** Wall-clock milliseconds. */
  readonly deadline: number;
}

/** `cost` is what it will hold, in slots. */
export type Waiting = Turn & { readonly cost: number };

interface Ranked<T> {
  readonly item: T;
  readonly level: number;
  readonly order: number;
}

interface Line<T> {
  readonly waiting: Ranked<T>[];
  /** What its requester may take before the next has its turn, in slots. */
  deficit: number;
}

const AGE_MS = 60_000;
/** What a requester may take each time its turn comes, in slots: a task of usual size. */
const QUANTUM = 1;

/**
 * A task's level among others: one step of priority is worth a minute of waiting, so that nobody waits for ever behind those who come
 * later. It never changes, as all grow older alike. `since`: milliseconds of the clock that all of them are told by.
 */
export function levelOf(priority: number, since: number): number {
  return priority - Math.floor(since / AGE_MS);
}

/**
 * Who is next. Across requesters: who holds least of the machine (max-min fairness), among those deficit round-robin (Shreedhar and
 * Varghese, 1996), so that who sends a thousand tasks holds up nobody else's ten. Within one requester's line: priority and age, then
 * the earliest deadline, then arrival.
 */
export class FairQueue<T extends Waiting> {
  /** In the order of their turns. */
  readonly #lines = new Map<string, Line<T>>();
  #arrivals = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  sizeOf(requester: string): number {
    return this.#lines.get(requester)?.waiting.length ?? 0;
  }

  /** `now`: monotonic milliseconds. */
  add(item: T, now: number): void {
    const line = this.#lines.get(item.requester) ?? { waiting: [], deficit: 0 };
    line.waiting.push({ item, level: levelOf(item.priority, now), order: this.#arrivals++ });
    line.waiting.sort(byTurn);
    this.#lines.set(item.requester, line);
    this.#size++;
  }

  /** Whose turn it is, by what each requester holds, in slots. Looking again changes nothing. */
  peek(heldBy: (requester: string) => number): T | undefined {
    const least = Math.min(...[...this.#lines.keys()].map(heldBy));
    for (;;) {
      const first = [...this.#lines].find(([requester]) => heldBy(requester) <= least);
      if (!first) return undefined;
      const [requester, line] = first;
      const next = line.waiting[0]?.item;
      if (next && next.cost <= line.deficit) return next;
      line.deficit += QUANTUM;
      this.#lines.delete(requester);
      this.#lines.set(requester, line);
    }
  }

  /** The first of one requester's line. */
  peekOf(requester: string): T | undefined {
    return this.#lines.get(requester)?.waiting[0]?.item;
  }

  /** Takes it out because its turn has come: that is what its requester pays for with its next turns. */
  take(item: T): void {
    const line = this.#lines.get(item.requester);
    if (line) line.deficit -= item.cost;
    this.remove(item);
  }

  /** Takes it out because it waits no more. A line that is empty saves nothing up. */
  remove(item: T): void {
    const line = this.#lines.get(item.requester);
    const at = line?.waiting.findIndex(other => other.item === item) ?? -1;
    if (!line || at < 0) return;
    line.waiting.splice(at, 1);
    this.#size--;
    if (line.waiting.length === 0) this.#lines.delete(item.requester);
  }
}

function byTurn<T extends Waiting>(a: Ranked<T>, b: Ranked<T>): number {
  return b.level - a.level || a.item.deadline - b.item.deadline || a.order - b.order;
}
