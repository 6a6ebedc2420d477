import { type Abortable, type Clock, deferred, raceSignal, reasonOf } from '../util/index.ts';
import { BadProgram, type Box, type Counted, type ExitState } from './box.ts';
import { type Capture, createCapture } from './capture.ts';
import { failed, unavailable } from './errors.ts';
import type { SandboxLimits, SandboxOutcome, SandboxResult, SandboxSink } from './interface.ts';
import { END, type LauncherReader } from './launcher/protocol.ts';
import type { Staged } from './launcher/staging.ts';
import { OutputCutter, totalBytes } from './outputs.ts';
import { bytesMoved, usedUntilKilled } from './usage.ts';

/** What of a task is needed once its box is staged. */
export interface RanTask {
  readonly key: string;
  readonly limits: SandboxLimits;
  readonly inputBytes: number;
}

export interface RunInput {
  readonly box: Box;
  readonly task: RanTask;
  /** Undefined for a task that is started directly. */
  readonly staged: Pick<Staged, 'reader' | 'go'> | undefined;
  /** When a task that is taken up again was started, wall clock; undefined: it starts now. */
  readonly since: number | undefined;
}

export interface RunOptions {
  /** How long the outputs of a dead task may take to be handed over, beside the time for their bytes. */
  readonly collectTimeoutMs: number;
}

/** A disk that takes less than 1 MB a second is as good as broken. */
const SLOWEST_COLLECT_BYTES_PER_MS = 1_000;

type StopCause = 'timeout' | 'output_limit' | 'aborted' | 'stopped' | 'stuck';

/** Whoever ended a task that was overdue, while nobody looked, has so long to hand it over. */
const OVERDUE_MS = 10_000;

const NOTHING_COUNTED: Counted = { cpuMs: 0, peakMemoryBytes: 0, memoryBytes: 0 };

/** Kills the box, once, for the first cause that comes. */
interface Stopper {
  stop(cause: StopCause): void;
  readonly cause: StopCause | undefined;
  /** Settles when a stop was asked for. The engine ends a kill only once the output is read, so nobody may wait longer. */
  readonly asked: Promise<void>;
  /** What the engine counted until the kill, where a result is to name it. */
  readonly counted: Promise<Counted>;
  /** Aborts when the kill could not be done. */
  readonly broken: AbortSignal;
}

function createStopper(box: Box): Stopper {
  const asked = deferred<void>();
  const counted = deferred<Counted>();
  const broken = new AbortController();
  let first: StopCause | undefined;
  async function kill(cause: StopCause): Promise<Counted> {
    const hasResult = cause === 'timeout' || cause === 'output_limit';
    const counted = hasResult ? await box.usage() : NOTHING_COUNTED;
    await box.kill();
    return counted;
  }
  return {
    stop(cause) {
      if (first) return;
      first = cause;
      asked.resolve();
      kill(cause).then(counted.resolve, error => broken.abort(error));
    },
    get cause() {
      return first;
    },
    asked: asked.promise,
    counted: counted.promise,
    broken: broken.signal,
  };
}

/**
 * Runs a prepared task to its end, as the engine sees it. The box still has to be removed.
 * @throws the signal's reason; CodedError `SANDBOX_UNAVAILABLE`, `SANDBOX_FAILED`.
 */
export async function runTask(
  { clock }: { readonly clock: Clock },
  options: RunOptions,
  input: RunInput,
  sink: SandboxSink,
  {
    signal,
    halt,
    onStarted,
  }: Abortable & { readonly halt: AbortSignal; onStarted?: (() => void) | undefined },
): Promise<SandboxResult> {
  const { box, task, staged, since } = input;
  const stopper = createStopper(box);
  const capture = createCapture(task.limits, sink, stopper.asked);
  const onAbort = () => stopper.stop('aborted');
  const onHalt = () => stopper.stop('stopped');
  signal?.addEventListener('abort', onAbort, { once: true });
  halt.addEventListener('abort', onHalt, { once: true });
  const startedAt = since ?? clock.now();
  const spentMs = Math.max(0, clock.now() - startedAt);
  const began = clock.monotonic() - spentMs;
  let cancelTimer = () => {};
  try {
    if (staged) staged.go();
    else await box.start();
    onStarted?.();
    const leftMs = task.limits.timeoutMs - spentMs;
    cancelTimer = clock.after(Math.max(leftMs, since === undefined ? 0 : OVERDUE_MS), () =>
      stopper.stop('timeout'),
    );
    if (signal?.aborted) onAbort();
    if (halt.aborted) onHalt();
    let wallMs = 0;
    const onTaskEnd = (bytesToCome: number) => {
      if (wallMs === 0) wallMs = clock.monotonic() - began;
      cancelTimer();
      const ms = options.collectTimeoutMs + bytesToCome / SLOWEST_COLLECT_BYTES_PER_MS;
      cancelTimer = clock.after(ms, () => stopper.stop('stuck'));
    };
    const collect = createCollection(sink, stopper, onTaskEnd);
    await raceSignal(pump(box, staged?.reader, capture, stopper, collect), stopper.broken);
    if (wallMs === 0) onTaskEnd(0);
    // When it ended while nobody looked, the box's own end tells.
    const seen = since === undefined ? seenByLauncher(staged?.reader, stopper.cause) : undefined;
    const exit = seen ?? (await box.ended());
    if (since !== undefined && !stopper.cause) wallMs = Math.min(wallMs, lastedMs(exit, startedAt));
    const counted = stopper.cause ? await raceSignal(stopper.counted, stopper.broken) : undefined;
    throwIfStopped(stopper.cause, signal);
    const times = { startedAt, endedAt: startedAt + Math.round(wallMs), wallMs };
    const { reader } = staged ?? {};
    return resultOf({ exit, counted, capture, times, reader, cause: stopper.cause, task });
  } catch (error) {
    if (!staged && error instanceof BadProgram) return notRun(error, startedAt, task);
    // However a box ends that is being stopped, that it is stopped is why.
    throwIfStopped(stopper.cause, signal);
    throw error;
  } finally {
    cancelTimer();
    signal?.removeEventListener('abort', onAbort);
    halt.removeEventListener('abort', onHalt);
  }
}

function lastedMs({ endedAt = Number.POSITIVE_INFINITY }: ExitState, startedAt: number): number {
  return Math.max(0, endedAt - startedAt);
}

/**
 * The launcher's own word, where it is enough: both streams are complete and it could count the kernel's kills. The engine would
 * say the same about 40 ms later.
 */
function seenByLauncher(
  reader: LauncherReader | undefined,
  cause: StopCause | undefined,
): ExitState | undefined {
  const end = reader?.complete ? reader.end : undefined;
  if (!end || cause || end.oomKills < 0) return undefined;
  return { exitCode: end.code, oomKilled: end.oomKills > 0 };
}

/** Takes what a reader has of the outputs by now. */
type Collection = (reader: LauncherReader) => Promise<void>;

/** Hands the outputs on; nobody waits for the sink once a stop was asked for. `onTaskEnd` first at the end, then when their sizes are known. */
function createCollection(
  sink: SandboxSink,
  stopper: Stopper,
  onTaskEnd: (bytesToCome: number) => void,
): Collection {
  let ended = false;
  let cutter: OutputCutter | undefined;
  return async reader => {
    if (!reader.ended) return;
    if (!ended) onTaskEnd(0);
    ended = true;
    if (!reader.outputs) return;
    if (!cutter) onTaskEnd(totalBytes(reader.outputs));
    cutter ??= new OutputCutter(reader.outputs, sink);
    await Promise.race([cutter.push(reader.takeContents()), stopper.asked]);
  };
}

/** Reads the box's output until it ends, or all of the task's was said. After a kill the rest is drained and dropped. */
async function pump(
  box: Box,
  reader: LauncherReader | undefined,
  capture: Capture,
  stopper: Stopper,
  collect: Collection,
): Promise<void> {
  const keep = async (stream: 'stdout' | 'stderr', bytes: Buffer) => {
    if (bytes.length > 0 && !stopper.cause && !(await capture.push(stream, bytes)))
      stopper.stop('output_limit');
  };
  for (let next = await box.next(); !next.done; next = await box.next()) {
    const { stream, bytes } = next.value;
    if (stopper.cause) continue;
    await keep(stream, !reader ? bytes : stream === 'stdout' ? reader.push(bytes) : reader.pushStderr(bytes));
    if (reader) await collect(reader);
    if (seenByLauncher(reader, stopper.cause)) return;
    // It could not count the kernel's kills, so the box's own end is waited for; one that waits for a task is told to end.
    if (reader?.complete && !stopper.cause) void box.write(END);
  }
  if (!reader) return;
  await keep('stdout', reader.flush());
  await keep('stderr', reader.flushStderr());
}

function throwIfStopped(cause: StopCause | undefined, signal: AbortSignal | undefined): void {
  if (cause === 'aborted') throw reasonOf(signal as AbortSignal);
  if (cause === 'stopped') throw unavailable('the node is stopping');
  if (cause === 'stuck') throw failed('the outputs were not handed over in time');
}

interface Findings {
  readonly exit: ExitState;
  readonly cause: StopCause | undefined;
  readonly counted: Counted | undefined;
  readonly capture: Capture;
  readonly reader: LauncherReader | undefined;
  readonly task: RanTask;
  readonly times: { readonly startedAt: number; readonly endedAt: number; readonly wallMs: number };
}

/** Far more than any machine has: above it, a count of CPU time is a lie. */
const MAX_CORES = 1024;

function resultOf({ exit, cause, counted, capture, reader, task, times }: Findings): SandboxResult {
  const end = reader?.end;
  const isOverdue = times.wallMs >= task.limits.timeoutMs;
  const outcome = outcomeOf(exit, cause, end?.signal, isOverdue);
  if (reader && !end && outcome === 'exited')
    throw failed(`the sandbox ended before its task did (exit code ${exit.exitCode})`);
  const { truncated, ...streams } = capture.result();
  const given = { ...streams, outputs: end?.outputs ?? [] };
  const none = { cpuMs: 0, peakMemoryBytes: 0 };
  const killed = counted ? usedUntilKilled(counted, reader?.before ?? { cpuMs: 0, peakBytes: 0 }) : none;
  return {
    outcome,
    exitCode: exit.exitCode,
    oomKilled: exit.oomKilled,
    ...given,
    truncated: { ...truncated, outputs: end?.truncated ?? false },
    // The image may speak in the launcher's place: its counts stay below what can be, and time is what was seen from outside.
    usage: {
      cpuMs: Math.min(end?.cpuMs ?? killed.cpuMs, times.wallMs * MAX_CORES),
      peakMemoryBytes: Math.min(end?.peakBytes ?? killed.peakMemoryBytes, task.limits.memoryBytes),
      wallMs: times.wallMs,
      ...bytesMoved(task.inputBytes, given),
    },
    startedAt: times.startedAt,
    endedAt: times.endedAt,
  };
}

/** 137 by memory is told from a task's own 137 by the engine's word, and by how the launcher saw the task die. */
function outcomeOf(
  exit: ExitState,
  cause: StopCause | undefined,
  endSignal: number | undefined,
  isOverdue: boolean,
): SandboxOutcome {
  if (cause === 'timeout' || cause === 'output_limit') return cause;
  const killed = endSignal === undefined ? exit.exitCode === 137 : endSignal === 9;
  if (exit.oomKilled && killed) return 'out_of_memory';
  // the launcher ends what is overdue where nobody else did
  return isOverdue && endSignal === 9 ? 'timeout' : 'exited';
}

/** A command that is not in the image ends as in a shell: 127, or 126 where it may not be run. */
function notRun(error: BadProgram, at: number, task: RanTask): SandboxResult {
  const given = { stdout: new Uint8Array(), stderr: Buffer.from(`${error.message}\n`), outputs: [] };
  return {
    outcome: 'exited',
    exitCode: error.type.missing ? 127 : 126,
    oomKilled: false,
    ...given,
    truncated: { stdout: false, stderr: false, outputs: false },
    usage: { cpuMs: 0, peakMemoryBytes: 0, wallMs: 0, ...bytesMoved(task.inputBytes, given) },
    startedAt: at,
    endedAt: at,
  };
}
