import type { Frame } from '../box.ts';
import { failed } from '../errors.ts';

const HEADER_BYTES = 8;
const STREAMS = ['stdout', 'stdout', 'stderr'] as const;

/**
 * Splits the engine's attach stream (header: stream number, three zeros, u32 length) into frames, passing payloads on
 * as they come: nothing but an incomplete header is ever held, whatever length a header claims.
 * Format: Docker Engine API, "Attach to a container", stream format.
 * @throws CodedError `SANDBOX_FAILED` on a stream number that does not exist.
 */
export class Demuxer {
  #header: Buffer = Buffer.alloc(0);
  #left = 0;
  #stream: Frame['stream'] = 'stdout';

  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#left > 0) {
        const bytes = rest.subarray(0, this.#left);
        rest = rest.subarray(bytes.length);
        this.#left -= bytes.length;
        frames.push({ stream: this.#stream, bytes });
        continue;
      }
      const part = rest.subarray(0, HEADER_BYTES - this.#header.length);
      rest = rest.subarray(part.length);
      this.#header = this.#header.length === 0 ? part : Buffer.concat([this.#header, part]);
      if (this.#header.length === HEADER_BYTES) this.#open();
    }
    return frames;
  }

  #open(): void {
    const stream = STREAMS[this.#header.readUInt8(0)];
    if (!stream) throw failed(`the engine's stream is not in its own format`);
    this.#stream = stream;
    this.#left = this.#header.readUInt32BE(4);
    this.#header = Buffer.alloc(0);
  }
}

/** The frames of a readable stream. It is read only as fast as frames are asked for, which holds the task back. */
export async function* demux(stream: AsyncIterable<Buffer>): AsyncGenerator<Frame, void> {
  const demuxer = new Demuxer();
  for await (const chunk of stream) yield* demuxer.push(chunk);
}
