import { isCleanPath } from '../wire/index.ts';
import { failed } from './errors.ts';
import type { OutputTarget, SandboxLimits, SandboxOutput, SandboxSink } from './interface.ts';

/**
 * The outputs that a sandbox says it has, checked again: clean and distinct paths, no file that is a folder of another, count and
 * sizes within the limits.
 * @throws CodedError `SANDBOX_FAILED` for anything else.
 */
export function checkedOutputs(
  list: readonly (readonly [path: string, size: number])[],
  limits: Pick<SandboxLimits, 'outputBytes' | 'outputFiles'>,
): SandboxOutput[] {
  if (list.length > limits.outputFiles) throw failed('the sandbox hands over more files than were asked for');
  if (totalBytes(list.map(([path, size]) => ({ path, size }))) > limits.outputBytes)
    throw failed('the sandbox hands over more output than was asked for');
  checkPaths(list.map(([path]) => path));
  return list.map(([path, size]) => ({ path, size }));
}

export function totalBytes(outputs: readonly SandboxOutput[]): number {
  return outputs.reduce((sum, { size }) => sum + size, 0);
}

function checkPaths(paths: readonly string[]): void {
  const seen = new Set<string>();
  for (const path of paths) {
    if (!isCleanPath(path) || seen.has(path))
      throw failed(`the sandbox hands over a file with an unusable name`);
    seen.add(path);
  }
  for (const path of paths)
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1))
      if (seen.has(path.slice(0, at))) throw failed('the sandbox hands over a file inside a file');
}

/** Cuts the outputs' plain bytes, which come one after another, into files: each is handed on as it comes, nothing is held. */
export class OutputCutter {
  readonly #outputs: readonly SandboxOutput[];
  readonly #sink: SandboxSink;
  #next = 0;
  #target: OutputTarget | undefined;
  #left = 0;

  constructor(outputs: readonly SandboxOutput[], sink: SandboxSink) {
    this.#outputs = outputs;
    this.#sink = sink;
  }

  /** Resolves when all of them are taken; files without a byte go by on their way. */
  async push(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; ; ) {
      const output = this.#outputs[this.#next];
      if (!output) return;
      if (!this.#target) {
        this.#target = await this.#sink.file(output);
        this.#left = output.size;
      }
      const piece = rest.subarray(0, this.#left);
      rest = rest.subarray(piece.length);
      this.#left -= piece.length;
      if (piece.length > 0) await this.#target.write(piece);
      if (this.#left > 0) return;
      await this.#target.end();
      this.#target = undefined;
      this.#next++;
    }
  }
}
