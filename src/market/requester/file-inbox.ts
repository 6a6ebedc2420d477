import type { BlobFacts, BlobStore, BlobWriter } from '../../storage/index.ts';
import { CodedError, codeOf, messageOf } from '../../util/index.ts';
import { MAX_OUTPUT_FILES, type OutputEntry, type WorkerMessage } from '../../wire/index.ts';

type FileMessage = Extract<WorkerMessage, { type: 'file' }>;

interface Incoming {
  readonly path: string;
  readonly size: number;
  readonly writer: BlobWriter;
}

/**
 * The files of one result while they come: on disk, within the task's limits, and no part of the storage until somebody has checked
 * the result. They outlive a broken stream: the next one goes on where it broke.
 */
export class FileInbox {
  readonly #blobs: BlobStore;
  readonly #maxBytes: number;
  #done: (Incoming & { readonly facts: BlobFacts })[] = [];
  #open: Incoming | null = null;
  #bytes = 0;

  constructor(blobs: BlobStore, maxBytes: number) {
    this.#blobs = blobs;
    this.#maxBytes = maxBytes;
  }

  get position(): { filesDone: number; fileFrom: number } {
    return { filesDone: this.#done.length, fileFrom: this.#open?.writer.size ?? 0 };
  }

  /**
   * Resolves when the piece is on disk, which holds the worker back.
   * @throws CodedError `PROTOCOL` for what no result of this task may be; `STORAGE_FULL`, `STORAGE_FAILED` for what this node cannot keep.
   */
  async take(message: FileMessage): Promise<void> {
    const { path, size, offset, bytes } = message;
    this.#check(message);
    try {
      this.#open ??= { path, size, writer: await this.#blobs.create(size) };
      const { writer } = this.#open;
      await writer.write(bytes);
      if (offset + bytes.length < size) return;
      this.#done.push({ ...this.#open, facts: await writer.end() });
      this.#open = null;
    } catch (cause) {
      const code = codeOf(cause) === 'STORAGE_FULL' ? 'STORAGE_FULL' : 'STORAGE_FAILED';
      throw new CodedError({ code }, `a file of the result cannot be kept: ${messageOf(cause)}`, { cause });
    }
  }

  #check({ path, size, offset, bytes }: FileMessage): void {
    const open = this.#open;
    const isNext = open
      ? open.path === path && open.size === size && open.writer.size === offset
      : offset === 0 && this.#isNew(path, size);
    const fits = offset + bytes.length <= size && (bytes.length > 0 || size === 0);
    if (!isNext || !fits)
      throw new CodedError(
        { code: 'PROTOCOL' },
        'the worker sends more or other files than a result may hold',
      );
    if (!open) this.#bytes += size;
  }

  #isNew(path: string, size: number): boolean {
    return (
      this.#done.length < MAX_OUTPUT_FILES &&
      this.#bytes + size <= this.#maxBytes &&
      !this.#done.some(file => file.path === path)
    );
  }

  /** What came, by its own bytes. @throws CodedError `PROTOCOL` when one is not whole. */
  outputs(): OutputEntry[] {
    if (this.#open) throw new CodedError({ code: 'PROTOCOL' }, 'the result came before all of its files');
    return this.#done.map(({ path, facts }) => ({ path, ...facts }));
  }

  /** Makes them part of the storage. @throws StorageError. */
  async commit(): Promise<void> {
    for (const { writer } of this.#done) await writer.commit();
    this.#done = [];
  }

  /** Lets go of all that is not committed; what comes then is the first again. */
  async discard(): Promise<void> {
    const writers = [...this.#done.map(({ writer }) => writer), ...(this.#open ? [this.#open.writer] : [])];
    this.#done = [];
    this.#open = null;
    this.#bytes = 0;
    for (const writer of writers) await writer.discard();
  }
}
