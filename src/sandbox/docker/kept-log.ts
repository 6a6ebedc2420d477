import type { Readable } from 'node:stream';
import type { HostConfig } from 'dockerode';
import type { Frame } from '../box.ts';
import { failed } from '../errors.ts';
import { demux } from './demux.ts';

/**
 * What the engine keeps of all that a resumable task says: its streams' caps with lines of ten bytes, and its files. One file, so that nothing is lost
 * before it is full; then it begins again from nothing.
 */
const KEPT_BYTES = 16 * 2 ** 20;
/** What the `local` driver notes of each line beside its bytes, and of a piece of one that is longer than 16 KiB or does not end. */
const LINE_BYTES = 40;
const PIECE_BYTES = 120;
const LINE_END = 10;
/** Of the first words, which tell whether the log still begins where it did. */
const HEAD_BYTES = 16;

export const keptLog: HostConfig['LogConfig'] = {
  Type: 'local',
  Config: { 'max-size': `${KEPT_BYTES}`, 'max-file': '1', compress: 'false' },
};

/** A kept log, from its first byte. */
export interface KeptLog {
  /** As far as it goes while the task runs: the engine (20.10) may leave out what comes at the very end. */
  readonly live: Readable;
  /** All of it, once the container has ended. */
  whole(): Promise<Readable>;
}

/**
 * Everything that a container has said and will say, each byte once.
 * @throws CodedError `SANDBOX_FAILED` where the engine is not sure to have kept it all.
 */
export async function* keptFrames({ live, whole }: KeptLog): AsyncGenerator<Frame, void> {
  const given = { stdout: 0, stderr: 0 };
  let head: Buffer = Buffer.alloc(0);
  for await (const frame of withinBound(demux(live))) {
    if (frame.stream === 'stdout' && given.stdout === 0) head = frame.bytes.subarray(0, HEAD_BYTES);
    given[frame.stream] += frame.bytes.length;
    yield frame;
  }
  const read = { stdout: 0, stderr: 0 };
  for await (const { stream, bytes } of withinBound(demux(await whole()))) {
    if (stream === 'stdout' && read.stdout === 0 && !startAlike(head, bytes))
      throw failed('the beginning of what the task said is lost');
    const fresh = bytes.subarray(Math.max(0, given[stream] - read[stream]));
    read[stream] += bytes.length;
    if (fresh.length > 0) yield { stream, bytes: fresh };
  }
}

const startAlike = (a: Buffer, b: Buffer): boolean => {
  const length = Math.min(a.length, b.length);
  return a.subarray(0, length).equals(b.subarray(0, length));
};

async function* withinBound(frames: AsyncIterable<Frame>): AsyncGenerator<Frame, void> {
  let used = 0;
  for await (const frame of frames) {
    used += frame.bytes.length + (frame.bytes.at(-1) === LINE_END ? LINE_BYTES : PIECE_BYTES);
    if (used > KEPT_BYTES) throw failed('the task has said more than the engine keeps of it');
    yield frame;
  }
}
