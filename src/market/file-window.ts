import { type Abortable, type Deferred, deferred, raceSignal } from '../util/index.ts';
import { FILE_WINDOW_BYTES } from '../wire/index.ts';

/** The sender's side: how many bytes of files may be on their way on one stream. */
export class FileWindow {
  #sent = 0;
  #taken = 0;
  #moved: Deferred<void> = deferred();

  /** Resolves when there is room for a piece, and counts it as sent. @throws the signal's reason. */
  async room(bytes: number, { signal }: Abortable): Promise<void> {
    while (this.#sent + bytes - this.#taken > FILE_WINDOW_BYTES)
      await raceSignal(this.#moved.promise, signal);
    this.#sent += bytes;
  }

  /** The other side has so many on its disk, all in all. Who says more than came only fills its own memory. */
  taken(bytes: number): void {
    this.#taken = Math.max(this.#taken, Math.min(bytes, this.#sent));
    const { resolve } = this.#moved;
    this.#moved = deferred();
    resolve();
  }
}

/** The receiver's side. */
export class TakenBytes {
  #taken = 0;
  #said = 0;

  /** Counts a piece that is on disk; what is to be said of all of them, now and then. */
  add(bytes: number): number | undefined {
    this.#taken += bytes;
    if (this.#taken - this.#said < FILE_WINDOW_BYTES / 8) return undefined;
    this.#said = this.#taken;
    return this.#said;
  }
}
