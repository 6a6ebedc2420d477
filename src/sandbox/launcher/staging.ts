import { randomBytes } from 'node:crypto';
import { type Clock, CodedError, raceSignal, withDeadline } from '../../util/index.ts';
import { BadProgram, type Box } from '../box.ts';
import { failed, refused } from '../errors.ts';
import { type CheckedTask, hasNetwork, sizeOfInput } from '../task.ts';
import {
  encodeGo,
  encodeHeader,
  inputContents,
  LauncherReader,
  NEXT,
  NONCE_BYTES,
  saysReady,
} from './protocol.ts';
import { proxyEnv } from './relay.ts';

/** A box whose launcher has taken the inputs and waits for the word to start. */
export interface Staged {
  readonly reader: LauncherReader;
  /** What the launcher marks the end with. */
  readonly nonce: Buffer;
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
/** Python starts in 20 ms, and in a second on a machine that is busy; an image's own may never come to an end. */
const WAKE_MS = 30_000;
/** Inputs go into memory: some MiB take some milliseconds; those of the slowest machine 1 MB a second. */
const STAGE_MS = 60_000;
const SLOWEST_STAGE_BYTES_PER_MS = 1_000;

/**
 * Starts the box's launcher and waits until it waits for a task.
 * @throws NoLauncher; CodedError `SANDBOX_REFUSED` when its memory is too small, `SANDBOX_FAILED` when it does not answer.
 */
export async function wake(box: Box, { clock }: { readonly clock: Clock }): Promise<void> {
  try {
    await box.start();
    await inTime(WAKE_MS, clock, () => awaitReady(box));
  } catch (error) {
    // An engine says so at the start, a process when it ends.
    throw error instanceof BadProgram ? new NoLauncher('the image has no python3') : error;
  }
}

async function awaitReady(box: Box): Promise<void> {
  let said: Buffer = Buffer.alloc(0);
  let complaint = '';
  for (;;) {
    const { value: frame, done } = await box.next();
    if (done) {
      const { oomKilled } = await box.ended();
      if (oomKilled) throw refused('memoryBytes is too small to start anything');
      throw new NoLauncher(`the image's python3 cannot run the launcher: ${lastLine(complaint)}`);
    }
    if (frame.stream === 'stderr') {
      complaint = (complaint + frame.bytes.toString()).slice(-COMPLAINT_BYTES);
      continue;
    }
    said = Buffer.concat([said, frame.bytes]);
    const ready = saysReady(said);
    if (ready) return;
    if (ready === false) throw new NoLauncher(`the image's python3 does not run the launcher`);
  }
}

/**
 * Hands a task to a box that waits for one.
 * @throws CodedError `SANDBOX_REFUSED` when the inputs do not fit, `SANDBOX_FAILED` when the box ended or does not answer.
 */
export async function stage(
  box: Box,
  task: CheckedTask,
  { clock }: { readonly clock: Clock },
): Promise<Staged> {
  const nonce = randomBytes(NONCE_BYTES);
  const reader = new LauncherReader(nonce, task.limits, { hex: task.resumable });
  const bytes = task.inputs.reduce((sum, input) => sum + sizeOfInput(input), 0);
  await inTime(STAGE_MS + bytes / SLOWEST_STAGE_BYTES_PER_MS, clock, () => handOver(box, task, reader));
  if (reader.refused !== undefined) throw refused(reader.refused);
  return { reader, nonce, go: () => void box.write(encodeGo(nonce)) };
}

/** Sends and listens at once: a launcher that refuses half-way reads no more. */
async function handOver(box: Box, task: CheckedTask, reader: LauncherReader): Promise<void> {
  const broken = new AbortController();
  send(box, task).catch(error => broken.abort(error));
  while (!reader.staged) {
    const { value: frame, done } = await raceSignal(box.next(), broken.signal);
    if (done) {
      const { oomKilled } = await box.ended();
      throw oomKilled
        ? refused('memoryBytes is too small to hold the inputs')
        : failed('the sandbox ended before its task began');
    }
    if (frame.stream === 'stdout') reader.push(frame.bytes);
  }
}

/** As fast as the launcher reads: nothing of a file is held here. */
async function send(box: Box, task: CheckedTask): Promise<void> {
  await box.write(
    encodeHeader(task, task.cwd, { ...TASK_ENV, ...(hasNetwork(task) ? proxyEnv : {}), ...task.env }),
  );
  for await (const bytes of inputContents(task.inputs)) await box.write(bytes);
}

/** Makes a box whose task has ended as good as new: no process, no file is left. @throws as `wake` does. */
export async function renew(box: Box, { clock }: { readonly clock: Clock }): Promise<void> {
  void box.write(NEXT);
  await inTime(WAKE_MS, clock, () => awaitReady(box));
}

async function inTime(ms: number, clock: Clock, fn: () => Promise<void>): Promise<void> {
  try {
    await withDeadline(ms, 'the sandbox', fn, { clock });
  } catch (error) {
    throw error instanceof CodedError && error.type.code === 'TIMEOUT'
      ? failed(`the sandbox did not answer for ${ms / 1000} s`, { cause: error })
      : error;
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) || 'it ended without a word';
}
