import {
  CodedError,
  codeOf,
  type Deferred,
  deferred,
  hasCode,
  type Logger,
  messageOf,
} from '../util/index.ts';
import { MAX_SUBMIT } from '../wire/index.ts';

/** Work that waits: some seconds of full load. More means that the disk has stopped. */
const MAX_QUEUE = 4096;
/** The same in bytes: orders of 64 KiB would otherwise fill 256 MiB. */
const MAX_QUEUE_BYTES = 32 * 1024 * 1024;

export type WorkErrorType = { code: 'LEDGER_STOPPED' } | { code: 'QUEUE_FULL'; limit: number };

interface Waiting<T, R> {
  readonly item: T;
  readonly bytes: number;
  readonly done: Deferred<R>;
}

/** A notary's work, a batch at a time: what comes while one is being written shares the next one's sync. */
export class WorkQueue<T, R> {
  readonly #logger: Logger;
  readonly #batch: (items: readonly T[]) => Promise<readonly R[]>;
  #waiting: Waiting<T, R>[] = [];
  #bytes = 0;
  #running: Promise<void> | undefined;
  /** Why nothing is taken; undefined while it is. */
  #failure: unknown = stopped();

  /** `batch` has a result for each item; when it throws, nothing more is done until a restart, unless the disk was only busy. */
  constructor(logger: Logger, batch: (items: readonly T[]) => Promise<readonly R[]>) {
    this.#logger = logger;
    this.#batch = batch;
  }

  start(): void {
    this.#failure = undefined;
  }

  /** Why it stopped by itself; undefined while it runs, and where it was told to stop. */
  get failure(): unknown {
    return hasCode(this.#failure, 'LEDGER_STOPPED') ? undefined : this.#failure;
  }

  /** Waits for the batch under way. */
  async stop(): Promise<void> {
    this.#failure ??= stopped();
    this.#refuse(this.#takeAll(), this.#failure);
    await this.#running;
  }

  /** @throws CodedError `QUEUE_FULL`, `LEDGER_STOPPED`, and what the batch throws. */
  async add(item: T, bytes: number): Promise<R> {
    if (this.#failure) throw this.#failure;
    if (this.#waiting.length >= MAX_QUEUE || this.#bytes + bytes > MAX_QUEUE_BYTES)
      throw new CodedError<WorkErrorType>(
        { code: 'QUEUE_FULL', limit: MAX_QUEUE },
        'the notary has too much to decide: try again in a moment',
      );
    const done = deferred<R>();
    this.#waiting.push({ item, bytes, done });
    this.#bytes += bytes;
    this.#running ??= this.#run();
    return done.promise;
  }

  async #run(): Promise<void> {
    // Lets the items of one request share a batch.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_SUBMIT);
      for (const { bytes } of batch) this.#bytes -= bytes;
      try {
        const results = await this.#batch(batch.map(({ item }) => item));
        for (const [i, { done }] of batch.entries()) done.resolve(results[i]!);
      } catch (error) {
        // A disk that does not keep up has written nothing: the batch may come again.
        if (hasCode(error, 'DB_BUSY')) this.#refuse(batch, error);
        else this.#fail(error, batch);
      }
    }
    this.#running = undefined;
  }

  /** A batch that could not be written, or must not be: whatever is on disk then, nothing more is signed until a restart. */
  #fail(error: unknown, batch: readonly Waiting<T, R>[]): void {
    this.#failure ??= error;
    this.#logger.error({ code: codeOf(error), reason: messageOf(error) }, 'the notary stopped');
    this.#refuse([...batch, ...this.#takeAll()], error);
  }

  #takeAll(): Waiting<T, R>[] {
    this.#bytes = 0;
    return this.#waiting.splice(0);
  }

  #refuse(waiting: readonly Waiting<T, R>[], error: unknown): void {
    for (const { done } of waiting) done.reject(error);
  }
}

export function stopped(): CodedError<WorkErrorType> {
  return new CodedError<WorkErrorType>({ code: 'LEDGER_STOPPED' }, 'the notary is not running');
}
