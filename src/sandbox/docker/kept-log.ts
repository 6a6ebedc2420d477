import type { HostConfig } from 'dockerode';
import type { Frame } from '../box.ts';
import { failed } from '../errors.ts';

/**
 * What the engine keeps of all that a resumable task says: its streams' caps with lines of ten bytes, and its files. One file, so that nothing is lost
 * before it is full; then it begins again from nothing.
 */
const KEPT_BYTES = 16 * 2 ** 20;
/** What the `local` driver notes of each line beside its bytes, and of a piece of one that is longer than 16 KiB or does not end. */
const LINE_BYTES = 40;
const PIECE_BYTES = 120;
const LINE_END = 10;

export const keptLog: HostConfig['LogConfig'] = {
  Type: 'local',
  Config: { 'max-size': `${KEPT_BYTES}`, 'max-file': '1', compress: 'false' },
};

/**
 * The frames of a kept log, as far as it is sure to hold all of them.
 * @throws CodedError `SANDBOX_FAILED` beyond that.
 */
export async function* keptFrames(
  frames: AsyncGenerator<Frame, void>,
  keptBytes: number = KEPT_BYTES,
): AsyncGenerator<Frame, void> {
  let used = 0;
  for await (const frame of frames) {
    used += frame.bytes.length + (frame.bytes.at(-1) === LINE_END ? LINE_BYTES : PIECE_BYTES);
    if (used > keptBytes) throw failed('the task has said more than the engine keeps of it');
    yield frame;
  }
}
