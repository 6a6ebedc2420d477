import type { ImageInfo, ImageInspectInfo } from 'dockerode';
import { LRUCache } from 'lru-cache';
import { type Abortable, type Clock, codeOf, type Logger, messageOf } from '../../util/index.ts';
import { imageUnknown, pullFailed, refused } from '../errors.ts';
import { parseImage, shortName } from '../image-name.ts';
import type { ImageJournal, PrunedImage, PullProgress, SandboxImage } from '../interface.ts';
import type { LauncherFacts } from '../opener.ts';
import type { DockerOptions } from '../options.ts';
import { createBrought } from './brought.ts';
import { type Engine, statusOf } from './engine.ts';
import { pullImage } from './pull.ts';

/** What is remembered of an image by its digest; a digest's content never changes. */
export interface ImageFacts {
  readonly volumes: readonly string[];
  /** Set once its `python3` was tried and is not there or cannot run the launcher: why. */
  readonly noLauncher: string | undefined;
}

export interface Images extends LauncherFacts {
  start(): Promise<void>;
  stop(): Promise<void>;
  has(ref: string): boolean;
  ensure(
    ref: string,
    options: Abortable & { onProgress?: (progress: PullProgress) => void },
  ): Promise<SandboxImage>;
  facts(image: SandboxImage): Promise<ImageFacts>;
  /** It turned out to be gone: the next `ensure` asks the engine. */
  forget(digest: string): void;
  refresh(): Promise<void>;
  prune(options: Abortable & { readonly all: boolean }): Promise<PrunedImage[]>;
}

export interface ImagesComponents {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly journal: ImageJournal;
}

/** A miss asks the engine again, at most this often. */
const REFRESH_MS = 1_000;
/**
 * How long an image that was looked at counts as still there: the look costs 3 to 5 ms, a third of a warm start. One that goes
 * meanwhile is noticed when its container is made; a tag that moves meanwhile is seen this much later.
 */
const FRESH_MS = 5_000;
const MAX_REMEMBERED = 256;
const MAX_REF_LENGTH = 255;
/** More declared volumes than this are refused; each costs a tmpfs. */
const MAX_VOLUMES = 8;
/** What only scripts/images makes. A stranger may have taken that name at the registry. */
const HOME_MADE = 'docker.io/duxnode/';
const ID = /^sha256:[0-9a-f]{64}$/;

interface Seen {
  readonly image: SandboxImage;
  /** Monotonic. */
  readonly at: number;
}

export function createImages(components: ImagesComponents, options: DockerOptions): Images {
  const { engine, clock, logger } = components;
  let known = new Set<string>();
  let refreshedAt = -Infinity;
  const factsByDigest = new LRUCache<string, ImageFacts>({ max: MAX_REMEMBERED });
  /** By the reference as it was asked for. */
  const seen = new LRUCache<string, Seen>({ max: MAX_REMEMBERED });
  const brought = createBrought({ ...components, onRemoved: ({ digest }) => forget(digest) }, options);

  function forget(digest: string): void {
    for (const [ref, { image }] of seen.entries()) if (image.digest === digest) seen.delete(ref);
    void refresh();
  }

  async function refresh(): Promise<void> {
    refreshedAt = clock.monotonic();
    try {
      const list = await engine.call('listing images', docker => docker.listImages());
      known = new Set(list.flatMap(namesOf));
    } catch (error) {
      // The engine says by itself when it is away; what was known stays until it is back.
      logger.debug({ code: codeOf(error), reason: messageOf(error) }, 'images could not be listed');
    }
  }

  async function inspect(name: string, { signal }: Abortable): Promise<ImageInspectInfo | undefined> {
    try {
      return await engine.call('looking for the image', docker => docker.getImage(name).inspect(), {
        signal,
      });
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      if (statusOf(error) === 400) throw imageUnknown(name, 'that is not the name of an image');
      throw error;
    }
  }

  /** By its full name alone: an engine takes a short one for the beginning of an id, too. */
  async function find(ref: string, on: Abortable): Promise<ImageInspectInfo | undefined> {
    const info = await inspect(shortName(ref), on);
    const name = parseImage(ref);
    if (info || !name?.digest) return info;
    // An engine knows by digest what a registry sent; what was built or loaded here has no other digest than its id.
    const byId = await inspect(name.digest, on);
    const names = byId?.RepoTags ?? [];
    return names.some(tag => parseImage(tag)?.repository === name.repository) ? byId : undefined;
  }

  async function bring(ref: string, on: Parameters<Images['ensure']>[1]): Promise<ImageInspectInfo> {
    const name = parseImage(ref);
    if (!name) throw imageUnknown(ref, 'it is not here, and an id alone cannot be pulled');
    if (name.repository.startsWith(HOME_MADE))
      throw pullFailed(ref, 'it is in no registry: scripts/images/build-base.sh makes it on this machine');
    const before = await brought.before();
    await pullImage({ engine, clock }, options, shortName(ref), on);
    const info = await find(ref, on);
    if (!info) throw imageUnknown(ref, 'the registry sent an image of another name');
    await brought.add({ ref: shortName(ref), digest: info.Id, sizeBytes: info.Size }, before);
    return info;
  }

  function remember(info: ImageInspectInfo): ImageFacts {
    const facts = factsByDigest.get(info.Id) ?? { volumes: volumesOf(info), noLauncher: undefined };
    factsByDigest.set(info.Id, facts);
    return facts;
  }

  async function factsOf(image: SandboxImage): Promise<ImageFacts> {
    const facts = factsByDigest.get(image.digest);
    if (facts) return facts;
    const info = await inspect(image.digest, {});
    if (!info) throw imageUnknown(image.ref, `its content ${image.digest} is no longer here`);
    return remember(info);
  }

  return {
    has(ref) {
      const hit = known.has(shortName(ref));
      if (!hit && clock.monotonic() - refreshedAt > REFRESH_MS) void refresh();
      return hit;
    },
    async ensure(ref, { signal, onProgress }) {
      if (ref.length > MAX_REF_LENGTH || (!parseImage(ref) && !ID.test(ref)))
        throw imageUnknown(ref.slice(0, MAX_REF_LENGTH), 'that is not the name of an image');
      signal?.throwIfAborted();
      const before = seen.get(ref);
      if (before && clock.monotonic() - before.at < FRESH_MS && engine.status().available)
        return before.image;
      const info =
        (await find(ref, { signal })) ?? (await bring(ref, { signal, ...(onProgress && { onProgress }) }));
      remember(info);
      brought.used(info.Id);
      known.add(shortName(ref));
      const image = { ref, digest: info.Id, sizeBytes: info.Size, architecture: info.Architecture };
      seen.set(ref, { image, at: clock.monotonic() });
      return image;
    },
    facts: factsOf,
    noLauncher: async image => (await factsOf(image)).noLauncher,
    withoutLauncher(digest, noLauncher) {
      const facts = factsByDigest.get(digest);
      if (facts) factsByDigest.set(digest, { ...facts, noLauncher });
    },
    forget,
    refresh,
    start: brought.start,
    stop: brought.stop,
    prune: brought.prune,
  };
}

/** Every name under which it may be asked for; by id only below a name that it has here. */
function namesOf({ Id: id, RepoTags: tags, RepoDigests: digests }: ImageInfo): string[] {
  const names = tags ?? [];
  const pinned = names.map(tag => shortName(`${tag.slice(0, tag.lastIndexOf(':'))}@${id}`));
  return [id, ...names, ...(digests ?? []), ...pinned];
}

function volumesOf(info: ImageInspectInfo): string[] {
  const volumes = Object.keys(info.Config.Volumes ?? {});
  if (volumes.length > MAX_VOLUMES) throw refused(`the image declares more than ${MAX_VOLUMES} volumes`);
  return volumes.filter(path => path !== '/task' && path !== '/tmp');
}
