import { CodedError, type Logger, messageOf } from '../../util/index.ts';
import { CHUNK_BYTES, type WorkerMessage } from '../../wire/index.ts';
import { sendAll, type WorkerChannel } from '../channel.ts';
import { FileWindow } from '../file-window.ts';
import { TaskLog } from '../task-log.ts';
import type { FilesFrom } from './delivery.ts';

/** What a requester has already when it opens a stream. */
export interface From extends FilesFrom {
  readonly stdoutFrom: number;
  readonly stderrFrom: number;
}

interface Line {
  readonly channel: WorkerChannel;
  /** Of a result's files, what it needs no more. */
  readonly files: FilesFrom;
  readonly window: FileWindow;
  readonly stop: AbortController;
  /** Settles when all logs are sent, or the stream is gone. */
  readonly logs: Promise<void>;
  /** What it was told of the end. */
  said: string | null;
}

/** What one lease says to its requester, over the stream that is open now: logs in order, and the end after them, once. */
export class Outlet {
  log = new TaskLog();
  readonly #logger: Logger;
  readonly #key: string;
  #line: Line | null = null;
  /** Endings are told one after another. */
  #telling: Promise<void> = Promise.resolve();

  constructor(logger: Logger, key: string) {
    this.#logger = logger;
    this.#key = key;
  }

  get attached(): boolean {
    return this.#line !== null;
  }

  /** A (new) stream of the requester, which has the logs up to these offsets, and these files. */
  attach(channel: WorkerChannel, from: From): void {
    this.#line?.channel.abort(
      new CodedError({ code: 'SUPERSEDED' }, 'the requester has opened a newer stream'),
    );
    this.#line?.stop.abort();
    const stop = new AbortController();
    const logs = this.#sendLogs(channel, from, stop.signal);
    this.#line = { channel, files: from, window: new FileWindow(), stop, logs, said: null };
  }

  detach(channel: WorkerChannel): void {
    if (this.#line?.channel !== channel) return;
    this.#line.stop.abort();
    this.#line = null;
  }

  abort(error: Error): void {
    const channel = this.#line?.channel;
    if (!channel) return;
    this.detach(channel);
    channel.abort(error);
  }

  /** Lets go of the logs: nobody will ask for them any more. */
  release(): void {
    this.log.end();
    this.log = new TaskLog();
    this.log.end();
  }

  /** Ends the stream without waiting for the other side. */
  close(): void {
    const channel = this.#line?.channel;
    if (!channel) return;
    this.detach(channel);
    channel
      .close()
      .catch(error => this.#logger.debug({ task: this.#key, error: messageOf(error) }, 'close failed'));
  }

  /** The requester has taken so many bytes of files from this stream. */
  taken(channel: WorkerChannel, bytes: number): void {
    if (this.#line?.channel === channel) this.#line.window.taken(bytes);
  }

  /** Tells the requester, if it listens; a broken stream detaches, and it will attach again. */
  async say(message: WorkerMessage): Promise<void> {
    const channel = this.#line?.channel;
    if (channel) await this.#send(channel, message);
  }

  /** Tells an ending after all logs: on each stream once for each `name`. Never rejects. */
  tell(name: string, messages: (files: FilesFrom) => AsyncIterable<WorkerMessage>): Promise<void> {
    this.#telling = this.#telling.then(() => this.#tell(name, messages));
    return this.#telling;
  }

  async #tell(name: string, messages: (files: FilesFrom) => AsyncIterable<WorkerMessage>): Promise<void> {
    const line = this.#line;
    if (!line || line.said === name) return;
    line.said = name;
    await line.logs;
    try {
      await sendAll(line.channel, this.#whileOn(line, messages(line.files)));
    } catch (error) {
      this.#broke(line.channel, error);
    }
  }

  async *#whileOn(line: Line, messages: AsyncIterable<WorkerMessage>): AsyncGenerator<WorkerMessage> {
    for await (const message of messages) {
      if (message.type === 'file') await line.window.room(message.bytes.length, line.stop);
      if (this.#line !== line) return;
      yield message;
    }
  }

  async #sendLogs(
    channel: WorkerChannel,
    { stdoutFrom, stderrFrom }: From,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      for await (const { stream, offset, bytes } of this.log.follow(stdoutFrom, stderrFrom, signal))
        for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
          const piece = bytes.subarray(at, at + CHUNK_BYTES);
          await channel.send({ type: 'log', stream, offset: offset + at, bytes: piece }, { signal });
        }
    } catch (error) {
      this.#broke(channel, error);
    }
  }

  async #send(channel: WorkerChannel, message: WorkerMessage): Promise<void> {
    try {
      await channel.send(message);
    } catch (error) {
      this.#broke(channel, error);
    }
  }

  #broke(channel: WorkerChannel, error: unknown): void {
    this.#logger.debug({ task: this.#key, error: messageOf(error) }, 'requester’s stream broke');
    this.detach(channel);
  }
}
