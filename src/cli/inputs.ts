import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import type { Client } from '../api/client.ts';

/** Where a file of this machine lands below /task. */
export interface LocalFile {
  readonly file: string;
  readonly target: unknown;
}

/** An input as the daemon takes it. */
export type InputBody = Record<string, unknown>;

/** Files that go within the task, each and together; larger ones would make a body that is copied often on its way. */
const INLINE_BYTES = 256 * 1024;
const ALL_INLINE_BYTES = 1024 * 1024;

/** Takes files along with one task: small ones within it, the others stored in the daemon first, as they are read. */
export class InputFiles {
  readonly #connect: () => Promise<Client>;
  readonly #signal: AbortSignal;
  #inlineLeft = ALL_INLINE_BYTES;

  /** `connect` is called where a file is to be stored. */
  constructor(connect: () => Promise<Client>, signal: AbortSignal) {
    this.#connect = connect;
    this.#signal = signal;
  }

  async take({ file, target }: LocalFile): Promise<InputBody> {
    const { size } = await stat(file);
    if (size <= Math.min(INLINE_BYTES, this.#inlineLeft)) {
      this.#inlineLeft -= size;
      return { target, base64: (await readFile(file)).toString('base64') };
    }
    const client = await this.#connect();
    const { body } = await client.putBlob({ body: createReadStream(file) }, { signal: this.#signal });
    return { target, cid: body.cid };
  }
}
