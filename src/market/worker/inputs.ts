import type { BlobWriter } from '../../storage/index.ts';
import {
  type Abortable,
  CodedError,
  type Deferred,
  deferred,
  raceSignal,
  Semaphore,
} from '../../util/index.ts';
import { type FetchedInput, fetchedInputs, type RequesterMessage, type TaskSpec } from '../../wire/index.ts';
import { TakenBytes } from '../file-window.ts';
import type { WorkerComponents } from './interface.ts';
import type { Outlet } from './outlet.ts';

type InputMessage = Extract<RequesterMessage, { type: 'input' }>;

/** The input that is under way. */
interface Current {
  readonly input: FetchedInput;
  readonly writer: BlobWriter;
  /** Settles when it is whole, or cannot be kept. */
  readonly whole: Deferred<void>;
}

/** Fetches a task's inputs from its requester, one after another, over whatever stream is open: a broken one loses no byte. */
export class InputFetcher {
  readonly #blobs: WorkerComponents['blobs'];
  readonly #outlet: Outlet;
  readonly #inputs: readonly FetchedInput[];
  /** An old stream may still bring a piece while a new one does. */
  readonly #taking = new Semaphore(1);
  #current: Current | null = null;
  /** From the stream that is open now. */
  #taken = new TakenBytes();

  constructor({ blobs }: Pick<WorkerComponents, 'blobs'>, outlet: Outlet, spec: TaskSpec) {
    this.#blobs = blobs;
    this.#outlet = outlet;
    this.#inputs = fetchedInputs(spec);
  }

  /** Of all that the task needs. */
  get cids(): string[] {
    return this.#inputs.map(({ cid }) => cid);
  }

  /**
   * Resolves when all are in the storage, each found to be what its CID says.
   * @throws CodedError `INPUT_DIFFERS`; StorageError `STORAGE_FULL`; the signal's reason.
   */
  async fetch({ signal }: Abortable): Promise<void> {
    for (const input of this.#inputs) {
      signal?.throwIfAborted();
      const isHere = (await this.#blobs.touch(input.cid)) === input.size;
      const isSound = isHere && (await this.#blobs.isSound(input.cid));
      if (isHere && !isSound) await this.#blobs.delete(input.cid);
      if (!isSound) await this.#fetchOne(input, signal);
    }
  }

  async #fetchOne(input: FetchedInput, signal: AbortSignal | undefined): Promise<void> {
    const writer = await this.#blobs.create(input.size);
    const current = { input, writer, whole: deferred<void>() };
    this.#current = current;
    try {
      if (input.size === 0) current.whole.resolve();
      else void this.#ask(current);
      await raceSignal(current.whole.promise, signal);
      const { cid } = await writer.end();
      if (cid !== input.cid)
        throw new CodedError(
          { code: 'INPUT_DIFFERS', cid: input.cid },
          'an input came with other bytes than its CID says',
        );
      await writer.commit();
    } finally {
      this.#current = null;
      await writer.discard();
    }
  }

  /** A (new) stream of the requester: what is missing is asked for again. */
  attached(): void {
    this.#taken = new TakenBytes();
    if (this.#current) void this.#ask(this.#current);
  }

  #ask({ input, writer }: Current): Promise<void> {
    return this.#outlet.say({ type: 'need', cid: input.cid, offset: writer.size });
  }

  /**
   * A piece; resolves when it is on disk, which holds the requester back. What came already is skipped.
   * @throws CodedError `PROTOCOL` for what was not asked for.
   */
  take(message: InputMessage): Promise<void> {
    return this.#taking.run(async () => {
      const taken = this.#taken.add(message.bytes.length);
      if (taken !== undefined) void this.#outlet.say({ type: 'taken', bytes: taken });
      const current = this.#current;
      if (!current || current.input.cid !== message.cid) return;
      const { input, writer, whole } = current;
      const end = message.offset + message.bytes.length;
      if (message.offset > writer.size || end > input.size)
        throw new CodedError({ code: 'PROTOCOL' }, 'an input came with a gap, or with more than its size');
      if (end <= writer.size) return;
      try {
        await writer.write(message.bytes.subarray(writer.size - message.offset));
        if (writer.size === input.size) whole.resolve();
      } catch (error) {
        whole.reject(error);
      }
    });
  }
}
