import type { PreparedSandbox, SandboxImage, SandboxTask } from '../../sandbox/index.ts';
import { codeOf, hasCode, messageOf, withDeadline } from '../../util/index.ts';
import { attest, type KeptResult } from '../../verification/index.ts';
import {
  type BoundSpec,
  type ErrorClass,
  MAX_OUTPUT_FILES,
  MAX_STREAM_BYTES,
  outputManifest,
  type Runtime,
} from '../../wire/index.ts';
import type { Capacity } from '../capacity.ts';
import { type FilesLeft, memberTask, runBundle } from './bundle.ts';
import type { Estimates } from './estimates.ts';
import type { WorkerComponents } from './interface.ts';
import type { Lease, LeaseFailure } from './lease.ts';
import { OutputKeeper } from './outputs.ts';

/** Codes of errors that are somebody else's fault than this worker's. */
const CLASSES: Readonly<Record<string, ErrorClass>> = {
  IMAGE_UNKNOWN: 'user',
  SANDBOX_REFUSED: 'user',
  CANCELLED: 'user',
  LOCK_MISSING: 'network',
  LOCK_DIFFERS: 'network',
  SUPERSEDED: 'network',
};

export function failureOf(error: unknown): LeaseFailure {
  const known = /^[A-Z_]{2,40}$/.test(codeOf(error));
  const code = known ? codeOf(error) : 'WORKER_FAILED';
  return { class: CLASSES[code] ?? 'worker', code, message: messageOf(error) };
}

/** What brings a lease to an attested result. */
export type Work = (components: WorkerComponents, capacity: Capacity, lease: Lease) => Promise<KeptResult>;

/** Takes a lease by `work` to its attestation, or to its end without one. Never throws. */
export async function execute(
  components: WorkerComponents,
  capacity: Capacity,
  estimates: Estimates,
  lease: Lease,
  work: Work,
): Promise<void> {
  const { logger, metrics, clock } = components;
  try {
    const started = lease.executingSince ?? clock.monotonic();
    const result = await work(components, capacity, lease);
    const runs = lease.spec?.members?.length ?? 1;
    if (result.outcome === 'exited') estimates.learn(clock.monotonic() - started, runs);
    metrics.count('executions_total', { outcome: result.outcome });
  } catch (error) {
    const failure = failureOf(lease.stop.signal.aborted ? lease.stop.signal.reason : error);
    metrics.count('executions_total', { outcome: failure.code });
    logger.info(
      { task: lease.key, code: failure.code, error: failure.message },
      'lease ended without a result',
    );
    await lease.giveUp(failure);
  }
  lease.spec = null;
  await lease.deliver();
}

/** All of it, from its `slot`, or from the queue. */
export const staged =
  (slot: (() => void) | undefined): Work =>
  (components, capacity, lease) =>
    runStaged(components, capacity, lease, slot);

async function runStaged(
  components: WorkerComponents,
  capacity: Capacity,
  lease: Lease,
  slot: (() => void) | undefined,
): Promise<KeptResult> {
  const { clock } = components;
  const spec = lease.spec as BoundSpec;
  const { signal } = lease.stop;
  const { requester, priority, deadline, terms } = lease.offer;
  const { limits } = terms;
  const within = <T>(ms: number, what: string, fn: (signal: AbortSignal) => Promise<T>) =>
    withDeadline(ms, what, fn, { signal, clock });
  const release =
    slot ??
    (await within(limits.queueMs, 'waiting in the queue', signal =>
      capacity.acquire(spec, { requester, priority, deadline }, { signal }),
    ));
  let prepared: PreparedSandbox | undefined;
  try {
    const image = await within(limits.pullMs, 'the image', signal => pull(components, lease, spec, signal));
    await lease.enter('staging');
    const { members } = spec;
    const task = sandboxTask(components, lease, spec);
    const prepare = (signal: AbortSignal, member = 0, left: FilesLeft = task.limits) => {
      const env = members?.[member];
      return components.executor.prepare(env ? memberTask(task, env, left) : task, image, { signal });
    };
    prepared = await within(limits.stageMs, 'staging', async signal => {
      await lease.inputs?.fetch({ signal });
      return prepare(signal);
    });
    await lease.awaitLock();
    const { runtime } = prepared;
    await lease.enter('executing');
    lease.executingSince = clock.monotonic();
    const result = members
      ? await runBundle(components, lease, prepared, (...next) =>
          within(limits.stageMs, 'staging', signal => prepare(signal, ...next)),
        )
      : await run(components, lease, prepared, image.digest);
    prepared = undefined;
    const kept = () => collect(components, lease, runtime, image.digest, result);
    // a bundle that was cancelled has a result all the same: of what had run by then
    const isPart = members && hasCode(signal.reason, 'CANCELLED');
    await withDeadline(limits.collectMs, 'collecting', kept, { ...(isPart ? {} : { signal }), clock });
    return result;
  } finally {
    release();
    await prepared?.discard();
  }
}

async function pull(
  { executor }: WorkerComponents,
  lease: Lease,
  { image }: BoundSpec,
  signal: AbortSignal,
): Promise<SandboxImage> {
  if (!executor.hasImage(image)) await lease.enter('pulling');
  let shown = -1;
  return executor.ensureImage(image, {
    signal,
    onProgress({ fraction }) {
      const percent = fraction === null ? null : Math.floor(fraction * 100);
      if (percent === null || percent === shown) return;
      shown = percent;
      void lease.enter('pulling', Math.min(100, percent));
    },
  });
}

export async function run(
  { blobs }: WorkerComponents,
  lease: Lease,
  prepared: PreparedSandbox,
  imageDigest: string,
): Promise<KeptResult> {
  const keeper = new OutputKeeper(blobs);
  try {
    const ran = await prepared.run(
      {
        stdout: bytes => lease.output('stdout', bytes),
        stderr: bytes => lease.output('stderr', bytes),
        file(output) {
          // said, not waited for: a requester that reads slowly must not hold up the sandbox
          if (lease.phase !== 'collecting') void lease.enter('collecting');
          return keeper.file(output);
        },
      },
      { signal: lease.stop.signal, onStarted: () => void lease.started(prepared.handle, imageDigest) },
    );
    return { ...ran, outputs: outputManifest(keeper.entries) };
  } finally {
    await keeper.close();
  }
}

export async function collect(
  { blobs, signer, genesis }: WorkerComponents,
  lease: Lease,
  runtime: Runtime,
  imageDigest: string,
  result: KeptResult,
): Promise<void> {
  if (lease.phase !== 'collecting') await lease.enter('collecting');
  await Promise.all([blobs.put(result.stdout), blobs.put(result.stderr)]);
  const { record, award } = lease;
  const attestation = attest(signer, {
    net: genesis.net,
    ref: record,
    escrowId: record.escrowId,
    specHash: award.specHash,
    runtime,
    imageDigest,
    result,
  });
  const { outputs, truncated, oomKilled } = result;
  const change = { attestation: attestation.bytes, outputs: [...outputs], truncated, oomKilled };
  await lease.attested(change, result);
}

function sandboxTask({ blobs }: WorkerComponents, lease: Lease, spec: BoundSpec): SandboxTask {
  return {
    key: lease.key,
    image: spec.image,
    program: spec.program,
    env: spec.env,
    workingDir: spec.workingDir ?? undefined,
    inputs: spec.inputs.map(input =>
      'bytes' in input ? input : { path: input.path, file: blobs.path(input.cid), size: input.size },
    ),
    runtime: spec.runtime ?? undefined,
    reuseBy: spec.reuse ? lease.record.requester : undefined,
    // a bundle's runs follow each other only while this process is there
    resumable: spec.resumable && !spec.members,
    allowHosts: spec.allowHosts,
    gpus: spec.gpus ?? undefined,
    limits: {
      milliCpus: spec.milliCpus,
      memoryBytes: spec.memoryBytes,
      diskBytes: spec.diskBytes,
      timeoutMs: spec.timeoutMs,
      stdoutBytes: MAX_STREAM_BYTES,
      stderrBytes: MAX_STREAM_BYTES,
      outputBytes: Math.min(spec.outputBytes, spec.diskBytes),
      outputFiles: MAX_OUTPUT_FILES,
    },
  };
}
