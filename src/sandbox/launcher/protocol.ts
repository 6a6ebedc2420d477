import { createReadStream } from 'node:fs';
import * as z from 'zod';
import { MAX_PATH_BYTES } from '../../wire/index.ts';
import { failed } from '../errors.ts';
import type { SandboxInput, SandboxOutput, SandboxTask } from '../interface.ts';
import { checkedOutputs, totalBytes } from '../outputs.ts';
import { type CheckedTask, hasNetwork, sizeOfInput } from '../task.ts';
import { fromHex, splitAtMark } from './cuts.ts';
import { relaySource } from './relay.ts';

export const NONCE_BYTES = 16;
/** Where a box has its bound inputs; below /task are links to them, as only root could make folders of the task's own around mounts. */
export const INPUTS_DIR = '/inputs';
/** Read at once of an input file. */
const PIECE_BYTES = 256 * 1024;
/** Room for the facts of an answer and for each file that it lists (a path of at most MAX_PATH_BYTES, escaped as JSON). */
const ANSWER_BYTES = 4096;
const ANSWER_BYTES_PER_FILE = 6 * MAX_PATH_BYTES + 32;

/** What the box had used when its task began: the launcher itself, and earlier tasks. Zeros where it cannot see that. */
const spentBefore = z.object({
  cpuMs: z.number().min(0).default(0),
  peakBytes: z.number().min(0).default(0),
});

export type SpentBefore = z.infer<typeof spentBefore>;

const stagedAnswer = z.union([
  z.object({ staged: z.literal(true), ...spentBefore.shape }),
  z.object({ refused: z.string().max(1000) }),
]);

const endAnswer = z.object({
  code: z.int().min(0).max(255),
  signal: z.int().min(0).max(127),
  cpuMs: z.number().min(0),
  peakBytes: z.number().min(0),
  /** Processes that the kernel killed for memory; -1 where the sandbox cannot see it. */
  oomKills: z.int().min(-1),
  files: z.array(z.tuple([z.string(), z.int().min(0)])),
  truncated: z.boolean(),
});

/** What the launcher says when the task has ended. */
export type TaskEnd = Omit<z.infer<typeof endAnswer>, 'files'> & {
  readonly outputs: readonly SandboxOutput[];
};

function withLength(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The bytes that stage a task, before those of its inputs. `cwd` is absolute; `env` is the whole of what the task adds. */
export function encodeHeader(task: CheckedTask, cwd: string, env: Readonly<Record<string, string>>): Buffer {
  const { outputBytes, outputFiles } = task.limits;
  const header = {
    ...('code' in task.program ? { code: task.program.code } : { argv: task.program.argv }),
    env,
    cwd,
    // A number: the launcher reads what Python and JSON write alike.
    reuse: task.reuseBy === undefined ? 0 : 1,
    // Seconds, 0 where its daemon ends it: rounded up, so that a daemon that is there comes first.
    alone: task.resumable ? Math.ceil(task.limits.timeoutMs / 1000) + 1 : 0,
    ...(hasNetwork(task) ? { relay: relaySource } : {}),
    inputs: task.inputs.map(input => [input.path, sizeOfInput(input)]),
    links: task.bound.map(({ path }, i) => [path, `${INPUTS_DIR}/${i}`]),
    limits: { outputBytes, outputFiles, pathBytes: MAX_PATH_BYTES },
  };
  return withLength(JSON.stringify(header));
}

/** Then the inputs' own bytes, in their order; those of files as they are read. @throws CodedError `SANDBOX_FAILED` for a file of another size. */
export async function* inputContents(inputs: readonly SandboxInput[]): AsyncGenerator<Buffer> {
  for (const input of inputs) {
    if ('bytes' in input) yield Buffer.from(input.bytes.buffer, input.bytes.byteOffset, input.bytes.length);
    else yield* fileContents(input.file, input.size);
  }
}

async function* fileContents(file: string, size: number): AsyncGenerator<Buffer> {
  let left = size;
  // not beyond its size, should it grow
  const bytes = size === 0 ? [] : createReadStream(file, { end: size - 1, highWaterMark: PIECE_BYTES });
  for await (const piece of bytes) {
    left -= piece.length;
    yield piece;
  }
  if (left > 0) throw failed('an input file is shorter than it was said to be');
}

/** The bytes that start a staged task. */
export function encodeGo(nonce: Buffer): Buffer {
  return Buffer.concat([Buffer.from('G'), nonce]);
}

/** The byte that makes a sandbox, whose task has ended, wipe itself and wait for the next one. */
export const NEXT = Buffer.from('N');
/** Any other byte ends it. */
export const END = Buffer.from('E');

/** Whether `bytes`, all that a launcher has said so far, are its word that it waits for a task; undefined: not yet. */
export function saysReady(bytes: Buffer): boolean | undefined {
  const same = READY.subarray(0, bytes.length).equals(bytes);
  return same && bytes.length < READY.length ? undefined : same;
}

const READY = withLength('{"ready":true}');

/** What a reader is to expect. */
export interface ReaderOptions {
  /** The outputs come as hexadecimal digits: see the launcher. */
  readonly hex?: boolean | undefined;
  /** The launcher's first word comes too. */
  readonly fromStart?: boolean | undefined;
}

type State = 'waking' | 'staging' | 'running' | 'ending' | 'collecting' | 'done';

/**
 * Reads the launcher's side of the protocol out of the sandbox's stdout. The image, and so its interpreter, is the
 * requester's own choice: nothing that comes is trusted, no more is kept than `limits` allow, and of the outputs nothing: what `push`
 * found of them is to be taken with `takeContents` before the next.
 * @throws CodedError `SANDBOX_FAILED` when an answer breaks the protocol.
 */
export class LauncherReader {
  readonly #mark: Buffer;
  readonly #limits: SandboxTask['limits'];
  readonly #hex: boolean;
  #state: State;
  #held: Buffer = Buffer.alloc(0);
  #refused: string | undefined;
  #before: SpentBefore = { cpuMs: 0, peakBytes: 0 };
  /** What the launcher said, while the outputs still come. */
  #answer: TaskEnd | undefined;
  #contents: Buffer = Buffer.alloc(0);
  #contentLeft = 0;
  #end: TaskEnd | undefined;
  #heldStderr: Buffer = Buffer.alloc(0);
  #stderrEnded = false;

  constructor(
    nonce: Buffer,
    limits: SandboxTask['limits'],
    { hex = false, fromStart = false }: ReaderOptions = {},
  ) {
    this.#mark = Buffer.concat([Buffer.from([0]), nonce]);
    this.#limits = limits;
    this.#hex = hex;
    this.#state = fromStart ? 'waking' : 'staging';
  }

  /** True once the inputs were taken, or refused with `refused`. */
  get staged(): boolean {
    return this.#state !== 'staging' || this.#refused !== undefined;
  }
  get refused(): string | undefined {
    return this.#refused;
  }
  get before(): SpentBefore {
    return this.#before;
  }

  /** True once the task is dead. */
  get ended(): boolean {
    return !['waking', 'staging', 'running'].includes(this.#state);
  }
  /** Undefined until the outputs are complete too. */
  get end(): TaskEnd | undefined {
    return this.#end;
  }
  /** Known once the task has ended, before the first of their bytes. */
  get outputs(): readonly SandboxOutput[] | undefined {
    return this.#answer?.outputs;
  }

  /** The outputs' next bytes: one file after another, without anything between. */
  takeContents(): Buffer {
    const contents = this.#contents;
    this.#contents = Buffer.alloc(0);
    return contents;
  }

  /** True when both streams have come to their end: nothing of the task is still under way. */
  get complete(): boolean {
    return this.#end !== undefined && this.#stderrEnded;
  }

  /** Takes the next bytes of stderr; returns those that are the task's own. */
  pushStderr(chunk: Buffer): Buffer {
    if (this.#stderrEnded) return Buffer.alloc(0);
    const { own, rest, found } = splitAtMark(Buffer.concat([this.#heldStderr, chunk]), this.#mark);
    this.#heldStderr = rest;
    this.#stderrEnded = found;
    return own;
  }

  /** Takes the next bytes; returns those that are the task's own stdout. */
  push(chunk: Buffer): Buffer {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    let own: Buffer = Buffer.alloc(0);
    if (this.#state === 'waking') this.#readReady();
    if (this.#state === 'staging') this.#readStaged();
    if (this.#state === 'running') own = this.#readRunning();
    if (this.#state === 'ending') this.#readEnd();
    if (this.#state === 'collecting') this.#readContents();
    if (this.#state === 'done') this.#held = Buffer.alloc(0);
    return own;
  }

  /** What is still held back of the task's stderr, for when it ended without the launcher's word. */
  flushStderr(): Buffer {
    const rest = this.#stderrEnded ? Buffer.alloc(0) : this.#heldStderr;
    this.#heldStderr = Buffer.alloc(0);
    return rest;
  }

  /** The same of its stdout. */
  flush(): Buffer {
    const rest = this.#state === 'running' ? this.#held : Buffer.alloc(0);
    this.#held = Buffer.alloc(0);
    return rest;
  }

  #readReady(): void {
    const ready = saysReady(this.#held.subarray(0, READY.length));
    if (ready === false) throw failed('the beginning of what the task said is lost');
    if (!ready) return;
    this.#held = this.#held.subarray(READY.length);
    this.#state = 'staging';
  }

  #readStaged(): void {
    const answer = this.#takeAnswer(stagedAnswer, ANSWER_BYTES);
    if (!answer) return;
    if ('refused' in answer) {
      this.#refused = answer.refused;
      return;
    }
    this.#before = answer;
    this.#state = 'running';
  }

  #readRunning(): Buffer {
    const { own, rest, found } = splitAtMark(this.#held, this.#mark);
    this.#held = rest;
    if (found) this.#state = 'ending';
    return own;
  }

  #readEnd(): void {
    const answer = this.#takeAnswer(
      endAnswer,
      ANSWER_BYTES + this.#limits.outputFiles * ANSWER_BYTES_PER_FILE,
    );
    if (!answer) return;
    const { files, ...facts } = answer;
    const outputs = checkedOutputs(files, this.#limits);
    this.#answer = { ...facts, outputs };
    this.#contentLeft = totalBytes(outputs);
    this.#state = 'collecting';
  }

  #readContents(): void {
    const { bytes, rest } = this.#hex ? fromHex(this.#held) : { bytes: this.#held, rest: Buffer.alloc(0) };
    if (bytes.length > this.#contentLeft)
      throw failed('the sandbox hands over files of another size than it said');
    this.#contentLeft -= bytes.length;
    this.#contents = bytes;
    this.#held = rest;
    if (this.#contentLeft > 0) return;
    this.#end = this.#answer;
    this.#state = 'done';
  }

  #takeAnswer<T>(schema: z.ZodType<T>, maxBytes: number): T | undefined {
    if (this.#held.length < 4) return undefined;
    const length = this.#held.readUInt32BE(0);
    if (length > maxBytes) throw failed('the launcher sends an answer that is too long');
    if (this.#held.length < 4 + length) return undefined;
    const text = this.#held.toString('utf8', 4, 4 + length);
    this.#held = this.#held.subarray(4 + length);
    try {
      return schema.parse(JSON.parse(text));
    } catch (cause) {
      throw failed('the launcher sends an answer that cannot be read', { cause });
    }
  }
}
