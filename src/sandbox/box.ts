import { CodedError } from '../util/index.ts';

/** One piece of a task's stdout or stderr. */
export interface Frame {
  readonly stream: 'stdout' | 'stderr';
  readonly bytes: Buffer;
}

/** How a box is said to have ended by what holds it: the engine, or the kernel. */
export interface ExitState {
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Wall-clock milliseconds, where what holds it says so. */
  readonly endedAt?: number | undefined;
}

/** What was counted of a box from outside, since it was made. */
export interface Counted {
  readonly cpuMs: number;
  readonly peakMemoryBytes: number;
  /** What it holds now. */
  readonly memoryBytes: number;
}

/** One sandbox that was made, its streams attached; started or not. What all runtimes have in common. */
export interface Box {
  readonly id: string;
  /** The next piece of stdout or stderr; done when the box, or what holds it, has ended. */
  next(): Promise<IteratorResult<Frame, void>>;
  /** @throws BadProgram when its first program cannot be run. */
  start(): Promise<void>;
  /** Resolves once it may take more, or takes nothing any more. */
  write(bytes: Buffer): Promise<void>;
  kill(): Promise<void>;
  /**
   * Waits until the box has ended. `SANDBOX_UNAVAILABLE` when what holds it is gone.
   * @throws BadProgram where only the end tells.
   */
  ended(): Promise<ExitState>;
  /** What was counted so far; zeros when nobody can say. */
  usage(): Promise<Counted>;
  remove(): Promise<void>;
  /** Settles when its streams have ended: it is dead, or what holds it is gone. Never rejects. */
  readonly closed: Promise<void>;
}

/** A box whose launcher waits for a task. */
export interface Awake {
  readonly box: Box;
  /** Removes the box; never rejects. */
  readonly release: () => Promise<void>;
  /** By what it is found again after this process has ended; undefined where it ends with it. */
  readonly lasting?: { readonly name: string; readonly uid: number } | undefined;
}

/** The first program of a box is not there, or cannot be executed. */
export class BadProgram extends CodedError<{ code: 'BAD_PROGRAM'; missing: boolean }> {
  constructor(missing: boolean, options?: ErrorOptions) {
    const reason = missing ? 'not found' : 'not executable';
    super({ code: 'BAD_PROGRAM', missing }, `cannot run the command: ${reason}`, options);
  }
}
