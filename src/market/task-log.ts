import { type Deferred, deferred, raceSignal } from '../util/index.ts';
import { MAX_STREAM_BYTES } from '../wire/index.ts';
import type { LogChunk } from './interface.ts';

type StreamName = LogChunk['stream'];

const STREAMS: readonly StreamName[] = ['stdout', 'stderr'];
const FIRST_BYTES = 256;

/** Bytes that only grow: what was given out stays as it was. */
class Growing {
  #buffer: Uint8Array = new Uint8Array(0);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  append(bytes: Uint8Array): void {
    const size = this.#size + bytes.length;
    if (size > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(size, 2 * this.#buffer.length, FIRST_BYTES));
      larger.set(this.#buffer.subarray(0, this.#size));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#size);
    this.#size = size;
  }

  from(offset: number): Uint8Array {
    return this.#buffer.subarray(offset, this.#size);
  }
}

/**
 * What one running task has written so far, for those who join late. Each stream is in order and capped by the result's own cap;
 * between the two there is no order. Memory is bound by bytes, however small the pieces are.
 */
export class TaskLog {
  #streams = { stdout: new Growing(), stderr: new Growing() };
  #run = 0;
  #ended = false;
  #changed: Deferred<void> = deferred();

  size(stream: StreamName): number {
    return this.#streams[stream].size;
  }

  /** Takes a chunk at `offset`: what is known already is dropped, a gap or what is beyond the cap is refused. */
  append(stream: StreamName, offset: number, bytes: Uint8Array): void {
    const size = this.size(stream);
    if (this.#ended || offset > size || offset + bytes.length <= size) return;
    const fresh = bytes.subarray(size - offset, Math.max(0, MAX_STREAM_BYTES - offset));
    if (fresh.length === 0) return;
    this.#streams[stream].append(fresh);
    this.#notify();
  }

  /** Another execution begins: those who follow see its output from offset 0. */
  restart(): void {
    if (this.#ended || STREAMS.every(stream => this.size(stream) === 0)) return;
    this.#streams = { stdout: new Growing(), stderr: new Growing() };
    this.#run++;
    this.#notify();
  }

  end(): void {
    this.#ended = true;
    this.#notify();
  }

  /** What is there now from these offsets. */
  read(stdoutFrom: number, stderrFrom: number): LogChunk[] {
    const from = { stdout: stdoutFrom, stderr: stderrFrom };
    return STREAMS.flatMap(stream => {
      const bytes = this.#streams[stream].from(from[stream]);
      return bytes.length === 0 ? [] : [{ stream, offset: from[stream], bytes }];
    });
  }

  /** The same, and then what comes, until `end` or the signal. */
  async *follow(stdoutFrom: number, stderrFrom: number, signal?: AbortSignal): AsyncGenerator<LogChunk> {
    let run = this.#run;
    let next = { stdout: stdoutFrom, stderr: stderrFrom };
    for (;;) {
      signal?.throwIfAborted();
      if (run !== this.#run) {
        run = this.#run;
        next = { stdout: 0, stderr: 0 };
      }
      const [chunk] = this.read(next.stdout, next.stderr);
      if (chunk) {
        next = { ...next, [chunk.stream]: chunk.offset + chunk.bytes.length };
        yield chunk;
      } else if (this.#ended) return;
      else await raceSignal(this.#changed.promise, signal);
    }
  }

  #notify(): void {
    const { resolve } = this.#changed;
    this.#changed = deferred();
    resolve();
  }
}
