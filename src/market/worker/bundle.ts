import type { PreparedSandbox, SandboxResult, SandboxTask } from '../../sandbox/index.ts';
import { hasCode } from '../../util/index.ts';
import type { KeptResult } from '../../verification/index.ts';
import {
  type BoundSpec,
  bundleResultMessage,
  encodeCbor,
  isCleanPath,
  MAX_OUTPUT_FILES,
  MAX_STREAM_BYTES,
  MEMBER_ROOM_BYTES,
  MEMBER_STREAM_BYTES,
  type MemberResult,
  memberPath,
  type OutputEntry,
  outputManifest,
  ranWell,
} from '../../wire/index.ts';
import { BUNDLE_MS } from '../options.ts';
import type { WorkerComponents } from './interface.ts';
import type { Lease } from './lease.ts';
import { OutputKeeper } from './outputs.ts';

/** What the runs before have left of the files that a bundle may have. */
export type FilesLeft = Pick<SandboxTask['limits'], 'outputBytes' | 'outputFiles'>;

/** The task of one run of a bundle. */
export function memberTask(
  task: SandboxTask,
  env: Readonly<Record<string, string>>,
  left: FilesLeft,
): SandboxTask {
  return {
    ...task,
    env: { ...task.env, ...env },
    limits: {
      ...task.limits,
      stdoutBytes: MEMBER_STREAM_BYTES,
      stderrBytes: MEMBER_STREAM_BYTES,
      outputBytes: left.outputBytes,
      outputFiles: left.outputFiles,
    },
  };
}

/** Per cent between two words of progress: of runs that take milliseconds each would cost as much as a run. */
const STEP = 10;

type Components = Pick<WorkerComponents, 'blobs' | 'clock'>;

/**
 * Runs the members of a bundle, one after another, until all have run, its time is over, its results have no room for one more, or it is
 * cancelled. `first` is prepared; `prepare` does so for each other one.
 */
export async function runBundle(
  { blobs, clock }: Components,
  lease: Lease,
  first: PreparedSandbox,
  prepare: (member: number, left: FilesLeft) => Promise<PreparedSandbox>,
): Promise<KeptResult> {
  const { members = [], outputBytes } = lease.spec as BoundSpec;
  const results: MemberResult[] = [];
  const outputs: OutputEntry[] = [];
  const left = { outputBytes, outputFiles: MAX_OUTPUT_FILES };
  let room = MAX_STREAM_BYTES;
  const end = clock.monotonic() + BUNDLE_MS;
  let shown = 0;
  for (let prepared: PreparedSandbox | undefined = first; ; prepared = undefined) {
    const member = results.length;
    const keeper = new OutputKeeper(blobs);
    const ran = await unlessCancelled(lease, member, async () => {
      const sandbox = prepared ?? (await prepare(member, left));
      return runMember(sandbox, keeper, lease.stop.signal);
    });
    if (!ran) break;
    // files for which there was too little room here: it runs again as the first of another bundle
    if (member > 0 && ran.truncated.outputs) break;
    const files = keeper.entries.map(entry => ({ ...entry, path: memberPath(member, entry.path) }));
    const kept = files.filter(({ path }) => isCleanPath(path));
    const result = memberResult(ran, kept.length < files.length);
    results.push(result);
    outputs.push(...kept);
    room -= encodeCbor(result).length;
    left.outputBytes -= kept.reduce((sum, { size }) => sum + size, 0);
    left.outputFiles -= kept.length;
    if (results.length === members.length || room < MEMBER_ROOM_BYTES || clock.monotonic() > end) break;
    const percent = Math.floor((100 * results.length) / members.length);
    if (percent < shown + STEP) continue;
    void lease.enter('executing', percent);
    shown = percent;
  }
  return bundleResult(results, outputs, members.length);
}

/** What has run before its requester cancelled the bundle is delivered, and paid: undefined then. */
async function unlessCancelled<T>(
  { stop }: Lease,
  member: number,
  run: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (member > 0 && hasCode(stop.signal.reason, 'CANCELLED')) return undefined;
    throw error;
  }
}

async function runMember(
  prepared: PreparedSandbox,
  keeper: OutputKeeper,
  signal: AbortSignal,
): Promise<SandboxResult> {
  try {
    return await prepared.run(
      { stdout: () => {}, stderr: () => {}, file: output => keeper.file(output) },
      { signal },
    );
  } finally {
    await keeper.close();
  }
}

/** A path that its number makes too long is left out, as any is that is too long. */
function memberResult(
  { outcome, exitCode, oomKilled, stdout, stderr, truncated, usage, startedAt, endedAt }: SandboxResult,
  leftOut: boolean,
): MemberResult {
  return {
    outcome,
    exitCode,
    oomKilled,
    stdout,
    stderr,
    truncated: { ...truncated, outputs: truncated.outputs || leftOut },
    cpuMs: Math.round(usage.cpuMs),
    peakMemoryBytes: Math.round(usage.peakMemoryBytes),
    wallMs: Math.round(usage.wallMs),
    inputBytes: usage.inputBytes,
    startedAt: Math.round(startedAt),
    endedAt: Math.round(endedAt),
  };
}

/** As a result of one run: code 0 only if all have run, and well. */
function bundleResult(
  results: readonly MemberResult[],
  outputs: readonly OutputEntry[],
  members: number,
): KeptResult {
  const stdout = bundleResultMessage.encode({ runs: [...results] });
  const sum = (of: (result: MemberResult) => number) =>
    results.reduce((total, result) => total + of(result), 0);
  const isWhole = results.length === members && results.every(ranWell);
  return {
    outcome: 'exited',
    exitCode: isWhole ? 0 : 1,
    oomKilled: false,
    stdout,
    stderr: new Uint8Array(),
    outputs: outputManifest(outputs),
    truncated: { stdout: false, stderr: false, outputs: false },
    usage: {
      cpuMs: sum(({ cpuMs }) => cpuMs),
      peakMemoryBytes: Math.max(...results.map(({ peakMemoryBytes }) => peakMemoryBytes)),
      wallMs: sum(({ wallMs }) => wallMs),
      inputBytes: sum(({ inputBytes }) => inputBytes),
      outputBytes: outputs.reduce((total, { size }) => total + size, 0),
      stdoutBytes: stdout.length,
      stderrBytes: 0,
    },
    startedAt: results[0]?.startedAt ?? 0,
    endedAt: results.at(-1)?.endedAt ?? 0,
  };
}
