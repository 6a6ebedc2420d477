import type { Abortable } from '../util/index.ts';
import type { Gpus, Runtime } from '../wire/index.ts';

/** What a task may use. Every number is a hard limit that the implementation enforces. */
export interface SandboxLimits {
  readonly milliCpus: number;
  readonly memoryBytes: number;
  /** Size of the writable /task. */
  readonly diskBytes: number;
  /** Time of the task's own process, from start to end. */
  readonly timeoutMs: number;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** Sum of the sizes of collected files. */
  readonly outputBytes: number;
  readonly outputFiles: number;
}

/** An input; lands below /task. `path` is a relative POSIX path without `..`. */
export type SandboxInput = { readonly path: string; readonly bytes: Uint8Array } | FileInput;

/** A file of this machine, by its absolute path, that nobody changes while the task lives. A large one may be read-only inside. */
export interface FileInput {
  readonly path: string;
  readonly file: string;
  readonly size: number;
}

/** A file that was collected from /task/outputs. */
export interface SandboxOutput {
  /** Relative to it. */
  readonly path: string;
  readonly size: number;
}

/** What the task runs: Python source in the image's interpreter, or a command line. */
export type SandboxProgram = { readonly code: string } | { readonly argv: readonly string[] };

export interface SandboxTask {
  /** `<taskId>/<replica>/<attempt>`: labels the container, names it in logs. */
  readonly key: string;
  readonly image: string;
  readonly program: SandboxProgram;
  readonly env: Readonly<Record<string, string>>;
  /** Relative to /task, or absolute; default /task. */
  readonly workingDir?: string | undefined;
  readonly inputs: readonly SandboxInput[];
  readonly limits: SandboxLimits;
  /** Undefined: the executor's own. */
  readonly runtime?: Runtime | undefined;
  /** Whose task it is, where a sandbox that ran tasks of the same owner and image before will do. Undefined: a fresh one. */
  readonly reuseBy?: string | undefined;
  /** Goes on without this process, where the runtime can: see `PreparedSandbox.handle`. */
  readonly resumable?: boolean | undefined;
  /** Host patterns; empty or undefined: no network. */
  readonly allowHosts?: readonly string[] | undefined;
  readonly gpus?: Gpus | undefined;
}

/** `output_limit`: stdout or stderr went over its cap and the task was killed. */
export type SandboxOutcome = 'exited' | 'timeout' | 'out_of_memory' | 'output_limit';

export interface SandboxUsage {
  readonly cpuMs: number;
  readonly peakMemoryBytes: number;
  readonly wallMs: number;
  /** Of input files, and of those that were collected. */
  readonly inputBytes: number;
  readonly outputBytes: number;
  /** As far as they were kept. */
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
}

export interface SandboxResult {
  readonly outcome: SandboxOutcome;
  /** The task's own; 128 + signal when a signal ended it. */
  readonly exitCode: number;
  /** Some process of the task was killed for memory, even if the task itself exited 0. */
  readonly oomKilled: boolean;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** Their bytes went to the sink. */
  readonly outputs: readonly SandboxOutput[];
  readonly truncated: { readonly stdout: boolean; readonly stderr: boolean; readonly outputs: boolean };
  readonly usage: SandboxUsage;
  /** Wall-clock milliseconds. */
  readonly startedAt: number;
  readonly endedAt: number;
}

/**
 * Where output goes, called in order for each stream; a returned promise holds the task's pipe back. What it throws ends the run with it.
 */
export interface SandboxSink {
  stdout(chunk: Uint8Array): void | Promise<void>;
  stderr(chunk: Uint8Array): void | Promise<void>;
  /** A collected file, once the task is dead: one after another, each with exactly as many bytes as its size says. */
  file(output: SandboxOutput): Promise<OutputTarget>;
}

/** Takes one file's bytes. Without `end`, the file did not come whole, and there is no result. */
export interface OutputTarget {
  write(chunk: Uint8Array): Promise<void>;
  end(): Promise<void>;
}

export interface SandboxImage {
  readonly ref: string;
  /** `sha256:…`, what the attestation names. */
  readonly digest: string;
  readonly sizeBytes: number;
  readonly architecture: string;
}

/** A sandbox that was created and staged, but whose task has not started. `run` or `discard`, once. */
export interface PreparedSandbox {
  readonly id: string;
  readonly runtime: Runtime;
  /**
   * What `Executor.resume` needs, once the task has started: for this node's own disk alone, as it holds what the task must not know. Null: the task ends
   * with this process.
   */
  readonly handle: string | null;
  /** The task starts now. An aborted signal kills it: rejects with the signal's reason, leaving nothing behind. */
  run(sink: SandboxSink, options: Abortable & { onStarted?: () => void }): Promise<SandboxResult>;
  discard(): Promise<void>;
}

export interface ExecutorStatus {
  readonly available: boolean;
  readonly version: string | null;
  /** One sentence on what is missing and how to mend it, when not available. */
  readonly reason: string | null;
}

/** What one task may ask for at most, and must ask for at least: outside of it `prepare` refuses. */
export interface ExecutorLimits {
  readonly maxDiskBytes: number;
  readonly minMemoryBytes: number;
  /** What a task may name as its runtime. */
  readonly runtimes: readonly Runtime[];
  /** What the machine lends, null: none. */
  readonly gpus: Gpus | null;
  /** Hosts that tasks may be let to; empty: tasks have no network here. `*`: any public one. */
  readonly allowedHosts: readonly string[];
  /** Whether an image that is not here may be got; else only those that `hasImage` tells of can run. */
  readonly pullsImages: boolean;
}

export interface PullProgress {
  readonly fraction: number | null;
  readonly text: string;
}

/** An image that this node pulled itself. */
export interface BroughtImage {
  /** As engines list it: `python:3.9-slim`, `python@sha256:…`. */
  readonly ref: string;
  /** The id of the engine that holds it. */
  readonly engine: string;
  readonly digest: string;
  /** With the layers that it shares with others. */
  readonly sizeBytes: number;
  /** Wall-clock milliseconds. */
  readonly usedAt: number;
}

/** Keeps over restarts which images this node pulled: only those does it ever remove. */
export interface ImageJournal {
  load(): Promise<BroughtImage[]>;
  /** In place of what was noted of the same reference. */
  save(image: BroughtImage): Promise<void>;
  remove(image: BroughtImage): Promise<void>;
}

export interface PrunedImage {
  readonly ref: string;
  /** Its size; layers that others share are counted in, and stay. */
  readonly bytes: number;
}

/**
 * Runs one stranger's task in one sandbox. Coded errors:
 * `SANDBOX_UNAVAILABLE` (class worker: the engine is away or died), `IMAGE_UNKNOWN` (class user: no such image here or at
 * its registry), `IMAGE_PULL_FAILED` (class worker), `SANDBOX_REFUSED` (class user: the task asks for what cannot be
 * enforced; its `reason` says what), `SANDBOX_FAILED` (class worker: anything else that the engine answered).
 */
export interface Executor {
  /** Of tasks that name none. */
  readonly runtime: Runtime;
  /** Does nothing once it was started. */
  start(): Promise<void>;
  /** Kills and removes what is running, waits for removals in flight. */
  stop(): Promise<void>;
  /** The last known state; cheap, never throws. */
  status(): ExecutorStatus;
  /** Fixed and cheap: for a worker that decides on an offer. */
  limits(): ExecutorLimits;
  /** Looks again now. */
  probe(options?: Abortable): Promise<ExecutorStatus>;
  /** True when `ref` is here by what was last seen; cheap. */
  hasImage(ref: string): boolean;
  ensureImage(
    ref: string,
    options: Abortable & { onProgress?: (progress: PullProgress) => void },
  ): Promise<SandboxImage>;
  /** Whether sandboxes are kept ready for tasks to come. Off, as at the start: those that wait are removed. */
  keepReady(on: boolean): Promise<void>;
  /**
   * Removes images that this node pulled and nobody uses now: those past the operator's limits, with `all` every one. Throws
   * `SANDBOX_UNAVAILABLE`.
   */
  prune(options: Abortable & { readonly all: boolean }): Promise<PrunedImage[]>;
  prepare(task: SandboxTask, image: SandboxImage, options: Abortable): Promise<PreparedSandbox>;
  /**
   * Takes up what an earlier run of this owner started at `startedAt` (wall clock), before `recover`: its `run` says all of its output again, from the first
   * byte, and its time goes on. Throws `SANDBOX_FAILED` when it is gone.
   */
  resume(handle: string, startedAt: number): Promise<PreparedSandbox>;
  /**
   * Removes what an earlier run of this owner left and nobody took up; returns how many sandboxes that were. Throws `SANDBOX_UNAVAILABLE` when the
   * engine is away: the same is then done, and logged, once it is there.
   */
  recover(): Promise<number>;
}
