import { randomBytes } from 'node:crypto';
import { CodedError } from '../../util/index.ts';
import { BadProgram, type Box } from '../box.ts';
import { refused } from '../errors.ts';
import type { CheckedTask } from '../task.ts';
import { encodeGo, encodeStage, LauncherReader, NONCE_BYTES } from './protocol.ts';

/** A box whose launcher has taken the inputs and waits for the word to start. */
export interface Staged {
  readonly reader: LauncherReader;
  go(): void;
}

/** The image's `python3` is missing or cannot run the launcher. */
export class NoLauncher extends CodedError<{ code: 'NO_LAUNCHER'; reason: string }> {
  constructor(reason: string) {
    super({ code: 'NO_LAUNCHER', reason }, reason);
  }
}

/** What of a launcher's own complaints is kept for the error. */
const COMPLAINT_BYTES = 4096;
/** Where the image has a home of its own, the task's user may not write there. */
const TASK_ENV = { HOME: '/tmp' };

/**
 * Starts the box's launcher and hands it the inputs.
 * @throws NoLauncher; CodedError `SANDBOX_REFUSED` when the inputs do not fit.
 */
export async function stage(box: Box, task: CheckedTask): Promise<Staged> {
  const nonce = randomBytes(NONCE_BYTES);
  const reader = new LauncherReader(nonce, task.limits);
  try {
    await box.start();
  } catch (error) {
    throw error instanceof BadProgram ? new NoLauncher('the image has no python3') : error;
  }
  box.write(encodeStage(task, task.cwd, { ...TASK_ENV, ...task.env }));
  let complaint = '';
  while (!reader.staged) {
    const { value: frame, done } = await box.next();
    if (done) {
      const { oomKilled } = await box.ended();
      if (oomKilled) throw refused('memoryBytes is too small to hold the inputs');
      throw new NoLauncher(`the image's python3 cannot run the launcher: ${lastLine(complaint)}`);
    }
    if (frame.stream === 'stdout') reader.push(frame.bytes);
    else complaint = (complaint + frame.bytes.toString()).slice(-COMPLAINT_BYTES);
  }
  if (reader.refused !== undefined) throw refused(reader.refused);
  return { reader, go: () => box.write([encodeGo(nonce)]) };
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) || 'it ended without a word';
}
