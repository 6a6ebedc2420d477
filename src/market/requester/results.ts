import { LRUCache } from 'lru-cache';
import type { BlobReading } from '../../storage/index.ts';
import { CodedError } from '../../util/index.ts';
import { bundleResultMessage, type MemberResult, memberPath } from '../../wire/index.ts';
import type { ResultView } from '../interface.ts';
import type { Arrays } from './arrays.ts';
import type { RequesterComponents } from './interface.ts';
import type { TaskStore } from './task-store.ts';
import { attested } from './views.ts';

/** Results of bundles that were read a moment ago, of at most a MiB each: their elements are asked for one after another. */
const READ_BUNDLES = 8;

/** What tasks, and elements of arrays, have brought forth. */
export class Results {
  readonly #components: RequesterComponents;
  readonly #store: TaskStore;
  readonly #arrays: Arrays;
  readonly #bundles = new LRUCache<string, readonly MemberResult[]>({ max: READ_BUNDLES });

  constructor(components: RequesterComponents, store: TaskStore, arrays: Arrays) {
    this.#components = components;
    this.#store = store;
    this.#arrays = arrays;
  }

  /** @throws CodedError `TASK_NOT_FOUND`, `ELEMENT_NOT_FOUND`, `RESULT_NOT_READY`, `RESULT_EXPIRED`. */
  async result(taskId: string, index?: number): Promise<ResultView> {
    if (index === undefined) return this.#ofTask(taskId);
    const record = await this.#arrays.bundleOf(taskId, index);
    const whole = await this.#ofTask(record.taskId);
    const member = record.bundle.elements.indexOf(index);
    const run = (await this.#runsOf(record.taskId, whole))[member];
    if (!run) throw notReady(taskId);
    return ofMember(whole, run, member);
  }

  /** @throws CodedError as `result`, and `OUTPUT_NOT_FOUND`. */
  async output(taskId: string, path: string, index?: number): Promise<BlobReading> {
    const entry = (await this.result(taskId, index)).outputs.find(output => output.path === path);
    if (!entry) throw new CodedError({ code: 'OUTPUT_NOT_FOUND', path }, `the task wrote no outputs/${path}`);
    return (await this.#components.blobs.read(entry.cid)) ?? goneBytes(entry.cid);
  }

  /** @throws CodedError `TASK_NOT_FOUND`, `RECEIPT_NOT_READY`. */
  async receipt(taskId: string): Promise<Uint8Array> {
    await this.#store.get(taskId);
    // its end is told while the receipt is still on its way to the disk
    await this.#store.live.get(taskId)?.written;
    const receipt = await this.#components.receipts.get(taskId);
    if (!receipt) throw new CodedError({ code: 'RECEIPT_NOT_READY', taskId }, 'the task has no receipt yet');
    return receipt;
  }

  async #ofTask(taskId: string): Promise<ResultView> {
    const { result, policy } = await this.#store.get(taskId);
    if (!result) throw notReady(taskId);
    if (result.expired)
      throw new CodedError(
        { code: 'RESULT_EXPIRED', taskId },
        'the result was removed after its retention time',
      );
    const { stdoutCid, stderrCid, exitCode, outcome, usage, imageDigest, runtime } = attested(result);
    return {
      stdout: await this.#blob(stdoutCid),
      stderr: await this.#blob(stderrCid),
      exitCode,
      outcome,
      usage,
      imageDigest,
      runtime,
      oomKilled: result.oomKilled,
      truncated: result.truncated,
      outputs: result.outputs,
      worker: result.worker,
      attestation: result.attestation,
      verification: { mode: policy.verification, passed: true, checks: result.checks },
    };
  }

  async #runsOf(taskId: string, { stdout }: ResultView): Promise<readonly MemberResult[]> {
    const known = this.#bundles.get(taskId);
    if (known) return known;
    const { runs } = bundleResultMessage.decode(stdout);
    this.#bundles.set(taskId, runs);
    return runs;
  }

  async #blob(cid: string): Promise<Uint8Array> {
    return (await this.#components.blobs.get(cid)) ?? goneBytes(cid);
  }
}

function ofMember(whole: ResultView, run: MemberResult, member: number): ResultView {
  const folder = memberPath(member, '');
  const outputs = whole.outputs
    .filter(({ path }) => path.startsWith(folder))
    .map(entry => ({ ...entry, path: entry.path.slice(folder.length) }));
  const { stdout, stderr, exitCode, outcome, oomKilled, truncated } = run;
  const { cpuMs, peakMemoryBytes, wallMs, inputBytes } = run;
  const usage = {
    cpuMs,
    peakMemoryBytes,
    wallMs,
    inputBytes,
    outputBytes: outputs.reduce((sum, { size }) => sum + size, 0),
    stdoutBytes: stdout.length,
    stderrBytes: stderr.length,
  };
  return { ...whole, stdout, stderr, exitCode, outcome, oomKilled, truncated, outputs, usage };
}

function notReady(taskId: string): CodedError {
  return new CodedError({ code: 'RESULT_NOT_READY', taskId }, 'the task has no result yet');
}

function goneBytes(cid: string): never {
  throw new CodedError({ code: 'RESULT_EXPIRED', cid }, 'the bytes of this result are not here any more');
}
