import type { ImageInfo, ImageInspectInfo } from 'dockerode';
import { LRUCache } from 'lru-cache';
import { type Abortable, type Clock, codeOf, type Logger, messageOf } from '../../util/index.ts';
import { imageUnknown, refused } from '../errors.ts';
import type { PullProgress, SandboxImage } from '../interface.ts';
import type { LauncherFacts } from '../opener.ts';
import type { DockerOptions } from '../options.ts';
import { type Engine, statusOf } from './engine.ts';
import { pullImage } from './pull.ts';

/** What is remembered of an image by its digest; a digest's content never changes. */
export interface ImageFacts {
  readonly volumes: readonly string[];
  /** Set once its `python3` was tried and is not there or cannot run the launcher: why. */
  readonly noLauncher: string | undefined;
}

export interface Images extends LauncherFacts {
  has(ref: string): boolean;
  ensure(
    ref: string,
    options: Abortable & { onProgress?: (progress: PullProgress) => void },
  ): Promise<SandboxImage>;
  facts(image: SandboxImage): Promise<ImageFacts>;
  refresh(): Promise<void>;
}

/** A miss asks the engine again, at most this often. */
const REFRESH_MS = 1_000;
const MAX_REMEMBERED = 256;
const MAX_REF_LENGTH = 255;
/** More declared volumes than this are refused; each costs a tmpfs. */
const MAX_VOLUMES = 8;

/** `python` -> `python:latest`, `docker.io/library/x:1` -> `x:1`; digests and ids stay. */
export function normalRef(ref: string): string {
  const short = ref.replace(/^(index\.)?docker\.io\//, '').replace(/^library\//, '');
  const last = short.slice(short.lastIndexOf('/') + 1);
  return last.includes(':') || last.includes('@') ? short : `${short}:latest`;
}

export function createImages(
  components: { readonly engine: Engine; readonly clock: Clock; readonly logger: Logger },
  options: DockerOptions,
): Images {
  const { engine, clock, logger } = components;
  let known = new Set<string>();
  let refreshedAt = -Infinity;
  const factsByDigest = new LRUCache<string, ImageFacts>({ max: MAX_REMEMBERED });

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

  async function inspect(ref: string, { signal }: Abortable): Promise<ImageInspectInfo | undefined> {
    try {
      return await engine.call('looking for the image', docker => docker.getImage(ref).inspect(), { signal });
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      if (statusOf(error) === 400) throw imageUnknown(ref, 'that is not the name of an image');
      throw error;
    }
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
      const hit = known.has(ref) || known.has(normalRef(ref));
      if (!hit && clock.monotonic() - refreshedAt > REFRESH_MS) void refresh();
      return hit;
    },
    async ensure(ref, { signal, onProgress }) {
      if (ref === '' || ref.length > MAX_REF_LENGTH || !/^[\w][\w.:/@-]*$/.test(ref))
        throw imageUnknown(ref.slice(0, MAX_REF_LENGTH), 'that is not the name of an image');
      let info = await inspect(ref, { signal });
      if (!info) {
        await pullImage({ engine, clock }, options, normalRef(ref), { signal, onProgress });
        info = await inspect(ref, { signal });
        if (!info) throw imageUnknown(ref, 'the registry sent an image of another name');
      }
      remember(info);
      known.add(normalRef(ref));
      return { ref, digest: info.Id, sizeBytes: info.Size, architecture: info.Architecture };
    },
    facts: factsOf,
    noLauncher: async image => (await factsOf(image)).noLauncher,
    withoutLauncher(digest, noLauncher) {
      const facts = factsByDigest.get(digest);
      if (facts) factsByDigest.set(digest, { ...facts, noLauncher });
    },
    refresh,
  };
}

function namesOf(image: ImageInfo): string[] {
  return [image.Id, ...(image.RepoTags ?? []), ...(image.RepoDigests ?? [])];
}

function volumesOf(info: ImageInspectInfo): string[] {
  const volumes = Object.keys(info.Config.Volumes ?? {});
  if (volumes.length > MAX_VOLUMES) throw refused(`the image declares more than ${MAX_VOLUMES} volumes`);
  return volumes.filter(path => path !== '/task' && path !== '/tmp');
}
