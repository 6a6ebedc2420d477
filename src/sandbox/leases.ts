import type { Clock } from '../util/index.ts';
import type { Awake } from './box.ts';

/** A box that nobody of its owner's tasks came for in this long is removed: arrays come task upon task. */
const IDLE_MS = 10_000;
/** After so many tasks a fresh box is taken, so that what any of them may have left behind in the kernel has an end. */
const MAX_USES = 1000;
/** Boxes kept in all: more owners at once than this take turns. */
const MAX_KEPT = 16;

interface Kept {
  readonly key: string;
  /** Resolves once it is as good as new; undefined where it is not. */
  readonly renewed: Promise<Awake | undefined>;
  cancel: () => void;
}

/**
 * Boxes between two tasks of one owner, one image and one size: renewed, and kept for a moment for the next. A box never
 * changes its owner.
 */
export class Leases {
  readonly #clock: Clock;
  readonly #uses = new WeakMap<Awake, number>();
  #kept: Kept[] = [];
  #closed = false;

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  /** A box of this key that was renewed, if there is one. */
  async take(key: string): Promise<Awake | undefined> {
    const at = this.#kept.findIndex(kept => kept.key === key);
    if (at < 0) return undefined;
    const [kept] = this.#kept.splice(at, 1);
    kept?.cancel();
    return kept?.renewed;
  }

  /** Keeps a box whose task has ended, once `renew` is done with it; removes it where that fails. Never rejects. */
  put(key: string, awake: Awake, renew: () => Promise<void>): void {
    const uses = (this.#uses.get(awake) ?? 0) + 1;
    this.#uses.set(awake, uses);
    if (this.#closed || uses >= MAX_USES) {
      void awake.release();
      return;
    }
    const renewed = renew().then(
      () => awake,
      async () => {
        await awake.release();
        return undefined;
      },
    );
    const kept: Kept = { key, renewed, cancel: this.#clock.after(IDLE_MS, () => this.#drop(kept)) };
    this.#kept.push(kept);
    void awake.box.closed.then(() => this.#drop(kept));
    const oldest = this.#kept.length > MAX_KEPT ? this.#kept[0] : undefined;
    if (oldest) this.#drop(oldest);
  }

  /** Removes all that is kept. */
  async drain(): Promise<void> {
    await Promise.all([...this.#kept].map(kept => this.#drop(kept)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.drain();
  }

  async #drop(kept: Kept): Promise<void> {
    if (!this.#kept.includes(kept)) return;
    this.#kept = this.#kept.filter(other => other !== kept);
    kept.cancel();
    await (await kept.renewed)?.release();
  }
}
