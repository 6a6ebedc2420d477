import type { OutputTarget, SandboxOutput } from '../../sandbox/index.ts';
import type { BlobStore, BlobWriter } from '../../storage/index.ts';
import type { OutputEntry } from '../../wire/index.ts';

/** Takes the files that a run hands over into the storage, as they come. */
export class OutputKeeper {
  /** Those that are whole, under their content ids. */
  readonly entries: OutputEntry[] = [];
  readonly #blobs: BlobStore;
  #writer: BlobWriter | undefined;

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /** @throws StorageError `STORAGE_FULL`. */
  async file({ path, size }: SandboxOutput): Promise<OutputTarget> {
    const writer = await this.#blobs.create(size);
    this.#writer = writer;
    return {
      write: chunk => writer.write(chunk),
      end: async () => {
        this.entries.push({ path, ...(await writer.commit()) });
      },
    };
  }

  /** Lets go of a file that did not come whole. */
  async close(): Promise<void> {
    await this.#writer?.discard();
  }
}
