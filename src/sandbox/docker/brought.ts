import { statfs } from 'node:fs/promises';
import {
  type Abortable,
  type Clock,
  codeOf,
  every,
  type Logger,
  messageOf,
  Semaphore,
} from '../../util/index.ts';
import { unavailable } from '../errors.ts';
import type { BroughtImage, ImageJournal, PrunedImage } from '../interface.ts';
import type { DockerOptions } from '../options.ts';
import { type Engine, statusOf } from './engine.ts';
import { outdatedImages } from './outdated.ts';

/** The images that this node pulled itself: which, when each was last used, and the removal of what is too old or too much. */
export interface Brought {
  /** Takes up what was noted before, and looks now and then for what is to go. */
  start(): Promise<void>;
  /** Waits for a removal in flight. */
  stop(): Promise<void>;
  /** The ids that the engine holds now, to tell later what a pull brought. Undefined where it cannot say: then nothing counts. */
  before(): Promise<ReadonlySet<string> | undefined>;
  /** Notes what a pull left on the engine, unless that was there before it; then looks whether all still fits. Never rejects. */
  add(
    image: Pick<BroughtImage, 'ref' | 'digest' | 'sizeBytes'>,
    before: ReadonlySet<string> | undefined,
  ): Promise<void>;
  /** By whatever name. */
  used(digest: string): void;
  /** Never one that a container holds, or that was used in the last minute. @throws `SANDBOX_UNAVAILABLE` */
  prune(options: Abortable & { readonly all: boolean }): Promise<PrunedImage[]>;
}

/** The last use is counted in days: written down this often at most. */
const SAVE_MS = 3_600_000;
/** Ages are counted in days, too; a look that finds nothing to do costs two small questions. */
const LOOK_MS = 3_600_000;

export function createBrought(
  components: {
    readonly engine: Engine;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly journal: ImageJournal;
    readonly onRemoved: (image: BroughtImage) => void;
  },
  options: Pick<DockerOptions, 'imageMaxAgeMs' | 'imageDiskShare'>,
): Brought {
  const { engine, clock, logger, journal, onRemoved } = components;
  const images = new Map<string, BroughtImage>();
  const savedAt = new Map<string, number>();
  const turns = new Semaphore(1);
  let loaded = false;
  let stopping = new AbortController();
  let stopLooking = () => {};

  async function load(): Promise<void> {
    if (loaded) return;
    for (const image of await journal.load()) if (!images.has(image.ref)) images.set(image.ref, image);
    loaded = true;
  }

  async function save(image: BroughtImage): Promise<void> {
    images.set(image.ref, image);
    savedAt.set(image.ref, image.usedAt);
    await harmless('noted', () => journal.save(image));
  }

  async function forget(image: BroughtImage): Promise<void> {
    images.delete(image.ref);
    savedAt.delete(image.ref);
    await harmless('forgotten', () => journal.remove(image));
  }

  async function harmless(what: string, fn: () => Promise<void>): Promise<void> {
    try {
      await fn();
    } catch (error) {
      logger.warn({ code: codeOf(error), error: messageOf(error) }, `pulled images could not be ${what}`);
    }
  }

  async function facts({ signal }: Abortable = {}): Promise<{ id: string; rootDir: string }> {
    const info: { ID: string; DockerRootDir: string } = await engine.call(
      'asking the engine for its disk',
      docker => docker.info(),
      { signal },
    );
    return { id: info.ID, rootDir: info.DockerRootDir };
  }

  /** True when it is gone; false while something holds it, or where its name means what somebody else brought. */
  async function remove(image: BroughtImage, on: Abortable): Promise<boolean> {
    const { ref, digest, sizeBytes: bytes } = image;
    try {
      const now = await engine.call('looking for an image', docker => docker.getImage(ref).inspect(), on);
      // A task has looked at it meanwhile, and is about to make a container of it.
      if (images.get(ref)?.usedAt !== image.usedAt) return false;
      // By its name and without force: other names of it stay, and it stays while a container is made of it.
      const gone: readonly { readonly Deleted?: string }[] =
        now.Id === digest
          ? await engine.call('removing an image', docker => docker.getImage(ref).remove(), on)
          : [];
      await forget(image);
      if (!gone.some(({ Deleted }) => Deleted === digest)) return false;
      onRemoved(image);
      logger.info({ image: ref, bytes }, 'removed an image that this node had pulled');
      return true;
    } catch (error) {
      on.signal?.throwIfAborted();
      if (statusOf(error) === 404) await forget(image);
      else if (statusOf(error) !== 409)
        logger.warn({ image: ref, code: codeOf(error), error: messageOf(error) }, 'an image stays');
      return false;
    }
  }

  async function prune(all: boolean, signal: AbortSignal): Promise<PrunedImage[]> {
    signal.throwIfAborted();
    await load();
    const { id, rootDir } = await facts({ signal });
    const own = [...images.values()].filter(image => image.engine === id);
    const maxBytes = options.imageDiskShare * (await diskBytes(rootDir));
    const limits = { now: clock.now(), maxAgeMs: all ? 0 : options.imageMaxAgeMs, maxBytes };
    const removed: PrunedImage[] = [];
    for (const image of outdatedImages(own, limits))
      if (await remove(image, { signal })) removed.push({ ref: image.ref, bytes: image.sizeBytes });
    return removed;
  }

  /** One at a time, ended by either signal. */
  const pruneInTurn = ({ all, signal }: Abortable & { readonly all: boolean }) => {
    const both = AbortSignal.any([stopping.signal, ...(signal ? [signal] : [])]);
    return turns.run(() => prune(all, both));
  };

  async function look(): Promise<void> {
    try {
      await pruneInTurn({ all: false });
    } catch (error) {
      logger.debug({ code: codeOf(error), error: messageOf(error) }, 'pulled images were not looked through');
    }
  }

  return {
    async start() {
      stopping = new AbortController();
      await harmless('looked up', load);
      stopLooking = every(clock, LOOK_MS, look);
    },
    async stop() {
      stopLooking();
      stopping.abort(unavailable('the node is stopping'));
      await turns.run(async () => {});
    },
    async before() {
      try {
        const list = await engine.call('listing images', docker => docker.listImages({ all: true }));
        return new Set(list.map(({ Id }) => Id));
      } catch (error) {
        logger.debug({ code: codeOf(error), error: messageOf(error) }, 'images could not be listed');
        return undefined;
      }
    },
    async add(image, before) {
      if (!before || before.has(image.digest)) return;
      await harmless('noted', async () => {
        const { id } = await facts();
        await save({ ...image, engine: id, usedAt: clock.now() });
      });
      void look();
    },
    used(digest) {
      for (const image of images.values()) {
        if (image.digest !== digest) continue;
        const now = { ...image, usedAt: clock.now() };
        images.set(now.ref, now);
        if (now.usedAt - (savedAt.get(now.ref) ?? 0) > SAVE_MS) void save(now);
      }
    },
    prune: pruneInTurn,
  };
}

/** The size of the file system below `path`. An engine elsewhere has a disk that cannot be seen from here: no limit. */
async function diskBytes(path: string): Promise<number> {
  try {
    const { blocks, bsize } = await statfs(path);
    return blocks * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
