import type { BlobStore } from '../../storage/index.ts';
import { CodedError } from '../../util/index.ts';
import type { RequesterMessage, WorkerMessage } from '../../wire/index.ts';
import { type RequesterChannel, sendAll } from '../channel.ts';
import { FileWindow } from '../file-window.ts';

type Need = Extract<WorkerMessage, { type: 'need' }>;

/** Sends a worker the inputs that it asks for, one at a time, from the disk and as fast as it takes them. */
export class InputSender {
  readonly #blobs: BlobStore;
  readonly #cids: readonly string[];
  #stop = new AbortController();
  #channel: RequesterChannel | null = null;
  #window = new FileWindow();

  constructor(blobs: BlobStore, cids: readonly string[]) {
    this.#blobs = blobs;
    this.#cids = cids;
  }

  /**
   * Begins to send; asked again, only the newer goes on. `onGone` when this node does not have it any more; a stream that breaks is
   * noticed by its reader.
   * @throws CodedError `PROTOCOL` for what is no input of this task.
   */
  start(channel: RequesterChannel, need: Need, onGone: (error: Error) => void): void {
    if (!this.#cids.includes(need.cid))
      throw new CodedError({ code: 'PROTOCOL' }, 'the worker asks for what is no input of its task');
    this.stop();
    if (this.#channel !== channel) this.#window = new FileWindow();
    this.#channel = channel;
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#send(channel, need, signal).catch(error => {
      if (!signal.aborted) onGone(error);
    });
  }

  /** The worker has taken so many bytes of inputs from the stream that is open. */
  taken(bytes: number): void {
    this.#window.taken(bytes);
  }

  stop(): void {
    this.#stop.abort();
  }

  async #send(channel: RequesterChannel, { cid, offset: from }: Need, signal: AbortSignal): Promise<void> {
    const reading = await this.#blobs.read(cid, from);
    if (!reading)
      throw new CodedError({ code: 'INPUT_GONE', cid }, `the input ${cid} is not in the storage any more`);
    await sendAll(channel, inputMessages(cid, from, this.#paced(reading.bytes, signal)), { signal });
  }

  async *#paced(pieces: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for await (const bytes of pieces) {
      await this.#window.room(bytes.length, { signal });
      yield bytes;
    }
  }
}

async function* inputMessages(
  cid: string,
  from: number,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<RequesterMessage> {
  let offset = from;
  for await (const bytes of pieces) {
    yield { type: 'input', cid, offset, bytes };
    offset += bytes.length;
  }
}
