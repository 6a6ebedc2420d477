import { type Clock, deferred, every } from '../../util/index.ts';

/** It is looked for so often in the time after which it counts. */
const LOOKS = 5;

/** How long a worker has said nothing. */
export class Silence {
  readonly #clock: Clock;
  readonly #suspectMs: number;
  /** Monotonic. */
  #heardAt: number;
  #saidAt = Number.NaN;
  readonly #suspect = deferred<void>();

  constructor(clock: Clock, suspectMs: number) {
    this.#clock = clock;
    this.#suspectMs = suspectMs;
    this.#heardAt = clock.monotonic();
  }

  heard(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  get ms(): number {
    return this.#clock.monotonic() - this.#heardAt;
  }

  /** Resolves when it has lasted so long, for the first time, that the worker is suspect. */
  get suspect(): Promise<void> {
    return this.#suspect.promise;
  }

  /** Until stopped; `say` is called once for each such silence. */
  watch(say: () => void): () => void {
    return every(this.#clock, this.#suspectMs / LOOKS, async () => {
      if (this.ms < this.#suspectMs || this.#saidAt === this.#heardAt) return;
      this.#saidAt = this.#heardAt;
      say();
      this.#suspect.resolve();
    });
  }
}
