import { raceSignal } from '../util/index.ts';
import { MAX_STREAM_BYTES } from '../wire/index.ts';
import type { LogChunk } from './interface.ts';

type StreamName = LogChunk['stream'];

/** What one running task has written so far, for those who join late; both streams are capped by the result's own cap. */
export class TaskLog {
  readonly #chunks: LogChunk[] = [];
  readonly #sizes = { stdout: 0, stderr: 0 };
  #ended = false;
  #wake: (() => void)[] = [];

  size(stream: StreamName): number {
    return this.#sizes[stream];
  }

  /** Takes a chunk at `offset`: what is known already is dropped, a gap or what is beyond the cap is refused. */
  append(stream: StreamName, offset: number, bytes: Uint8Array): void {
    const size = this.#sizes[stream];
    if (this.#ended || offset > size || offset + bytes.length <= size) return;
    const fresh = bytes.subarray(size - offset, MAX_STREAM_BYTES - offset);
    if (fresh.length === 0) return;
    this.#chunks.push({ stream, offset: size, bytes: fresh });
    this.#sizes[stream] = size + fresh.length;
    this.#notify();
  }

  end(): void {
    this.#ended = true;
    this.#notify();
  }

  /** What is there now from these offsets, in the order it came. */
  read(stdoutFrom: number, stderrFrom: number): LogChunk[] {
    return this.#chunks.flatMap(chunk => clip(chunk, chunk.stream === 'stdout' ? stdoutFrom : stderrFrom));
  }

  /** The same, and then what comes, until `end` or the signal. */
  async *follow(stdoutFrom: number, stderrFrom: number, signal?: AbortSignal): AsyncGenerator<LogChunk> {
    for (let i = 0; ; i++) {
      while (i >= this.#chunks.length) {
        if (this.#ended) return;
        await raceSignal(new Promise<void>(resolve => this.#wake.push(resolve)), signal);
      }
      const chunk = this.#chunks[i] as LogChunk;
      yield* clip(chunk, chunk.stream === 'stdout' ? stdoutFrom : stderrFrom);
    }
  }

  #notify(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const resolve of waiting) resolve();
  }
}

function clip(chunk: LogChunk, from: number): LogChunk[] {
  const skip = Math.max(0, from - chunk.offset);
  if (skip >= chunk.bytes.length) return [];
  return [{ stream: chunk.stream, offset: chunk.offset + skip, bytes: chunk.bytes.subarray(skip) }];
}
