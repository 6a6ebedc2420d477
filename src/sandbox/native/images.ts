import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Abortable, type Clock, codeOf, type Logger, messageOf } from '../../util/index.ts';
import { failed, imageUnknown, pullFailed, unavailable } from '../errors.ts';
import { shortName } from '../image-name.ts';
import type { SandboxImage } from '../interface.ts';
import type { LauncherFacts } from '../opener.ts';
import type { NativeOptions } from '../options.ts';
import { resolveInRoot } from './in-root.ts';
import { BadImage, readSaveFile, type SavedImage } from './save-file.ts';
import { unpackLayers } from './unpack.ts';

/** An unpacked image. */
export interface Unpacked {
  /** The folder that is the sandbox's `/`. */
  readonly root: string;
  readonly env: readonly string[];
  /** Where the image declares volumes, as paths inside that are folders there. */
  readonly volumes: readonly string[];
  readonly sizeBytes: number;
}

export interface NativeImages extends LauncherFacts {
  has(ref: string): boolean;
  ensure(ref: string, options: Abortable): Promise<SandboxImage>;
  /** What `ensure` unpacked. */
  unpacked(image: SandboxImage): Unpacked;
  /** Looks for files of images; removes what was unpacked of one that is no longer there. */
  start(): Promise<void>;
  /** Ends what is being unpacked. */
  stop(): Promise<void>;
}

/** A miss looks at the folder again, at most this often. */
const REFRESH_MS = 1_000;
/** Each file is opened once for each change of it. */
const MAX_FILES = 256;
const MAX_REF_LENGTH = 255;
/** Where the sandbox mounts something of its own, a volume would be hidden anyway. */
const OWN_MOUNTS = /^\/(dev|proc|sys|task|tmp)(\/|$)/;
/** By Node's name for a machine. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** What a task may call an image: a name that it has, that name pinned to its id, or the id. */
function namesOf({ tags, digest }: SavedImage): string[] {
  return [...tags.flatMap(tag => [shortName(tag), shortName(`${tag}@${digest}`)]), digest];
}

export function createNativeImages(
  { logger, clock }: { readonly logger: Logger; readonly clock: Clock },
  options: NativeOptions,
): NativeImages {
  const folder = join(options.stateDir, 'images');
  const read = new Map<string, { stamp: string; images: SavedImage[] }>();
  const ready = new Map<string, Promise<Unpacked>>();
  const done = new Map<string, Unpacked>();
  /** Of the images that were unpacked, so not more of them. */
  const withoutLauncher = new Map<string, string>();
  let known = new Map<string, SavedImage>();
  let refreshedAt = -Infinity;
  let halt = new AbortController();

  async function refresh(): Promise<void> {
    refreshedAt = clock.monotonic();
    const files = (await namesIn(options.imagesDir))
      .filter(name => name.endsWith('.tar'))
      .slice(0, MAX_FILES);
    const found: { at: number; images: SavedImage[] }[] = [];
    for (const name of files) {
      const file = join(options.imagesDir, name);
      try {
        const { mtimeMs, size } = await stat(file);
        const stamp = `${mtimeMs}/${size}`;
        const kept = read.get(file);
        const images = kept?.stamp === stamp ? kept.images : await readSaveFile(file);
        read.set(file, { stamp, images });
        found.push({ at: mtimeMs, images });
      } catch (error) {
        logger.warn({ file, reason: messageOf(error) }, 'a file is not taken for an image');
      }
    }
    // Of two images with one name the newer has it.
    found.sort((a, b) => a.at - b.at);
    known = new Map(
      found.flatMap(({ images }) =>
        images.flatMap(image => namesOf(image).map(name => [name, image] as const)),
      ),
    );
  }

  const find = (ref: string) => known.get(ref) ?? known.get(shortName(ref));

  function unpackOnce(ref: string, image: SavedImage): Promise<Unpacked> {
    const going = ready.get(image.digest);
    if (going) return going;
    const unpacking = unpack(image).then(
      unpacked => {
        done.set(image.digest, unpacked);
        return unpacked;
      },
      error => {
        ready.delete(image.digest);
        if (!(error instanceof BadImage)) throw error;
        throw pullFailed(ref, `${image.file} cannot be used: ${error.message}; make or save it again`);
      },
    );
    ready.set(image.digest, unpacking);
    return unpacking;
  }

  /** Whole or not at all: a broken run leaves a folder that the next start removes. */
  async function unpack(image: SavedImage): Promise<Unpacked> {
    const place = join(folder, image.digest.slice('sha256:'.length));
    const root = join(place, 'root');
    let sizeBytes = await sizeOf(place);
    if (sizeBytes === undefined) {
      const temporary = `${place}.part`;
      await rm(temporary, { recursive: true, force: true });
      await mkdir(join(temporary, 'root'), { recursive: true, mode: 0o755 });
      try {
        const began = clock.monotonic();
        const { bytes } = await unpackLayers(image.file, image.layers, join(temporary, 'root'), options, {
          signal: halt.signal,
        });
        sizeBytes = bytes;
        await writeFile(join(temporary, String(bytes)), '');
        await rename(temporary, place);
        const ms = Math.round(clock.monotonic() - began);
        logger.info({ image: image.digest, bytes, ms }, 'unpacked an image');
      } catch (error) {
        await rm(temporary, { recursive: true, force: true });
        throw error;
      }
    }
    const volumes = await Promise.all(image.volumes.map(path => volumeIn(root, path)));
    const kept = volumes.filter(path => path !== undefined);
    return { root, env: image.env, volumes: kept, sizeBytes };
  }

  return {
    has(ref) {
      const hit = find(ref) !== undefined;
      if (!hit && clock.monotonic() - refreshedAt > REFRESH_MS) void refresh().catch(sayNotListed);
      return hit;
    },
    async ensure(ref, { signal }) {
      if (ref === '' || ref.length > MAX_REF_LENGTH || !/^[\w][\w.:/@-]*$/.test(ref))
        throw imageUnknown(ref.slice(0, MAX_REF_LENGTH), 'that is not the name of an image');
      if (!find(ref)) await refresh();
      const image = find(ref);
      if (!image)
        throw pullFailed(
          ref,
          `this node pulls none without Docker: 'docker save' it to a .tar file in ${options.imagesDir}`,
        );
      if (image.architecture !== ARCHITECTURES[process.arch])
        throw pullFailed(ref, `it is for ${image.architecture}`);
      const { sizeBytes } = await unpackOnce(ref, image);
      signal?.throwIfAborted();
      return { ref, digest: image.digest, sizeBytes, architecture: image.architecture };
    },
    unpacked(image) {
      const found = done.get(image.digest);
      if (!found) throw failed(`the image ${image.digest} was not unpacked`);
      return found;
    },
    noLauncher: async image => withoutLauncher.get(image.digest),
    withoutLauncher: (digest, reason) => void withoutLauncher.set(digest, reason),
    async start() {
      halt = new AbortController();
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await refresh();
      const kept = new Set([...known.values()].map(image => image.digest.slice('sha256:'.length)));
      for (const name of await readdir(folder))
        if (!kept.has(name)) await rm(join(folder, name), { recursive: true, force: true });
    },
    async stop() {
      halt.abort(unavailable('the node is stopping'));
      await Promise.allSettled(ready.values());
    },
  };

  function sayNotListed(error: unknown): void {
    logger.warn({ folder: options.imagesDir, reason: messageOf(error) }, 'images could not be listed');
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** The size of what was unpacked to `place`, which the name of a file beside its root keeps; undefined when there is none. */
async function sizeOf(place: string): Promise<number | undefined> {
  const name = (await namesIn(place)).find(each => /^\d+$/.test(each));
  return name === undefined ? undefined : Number(name);
}

async function volumeIn(root: string, path: string): Promise<string | undefined> {
  if (!path.startsWith('/') || path.includes('\0')) return undefined;
  const found = await resolveInRoot(root, path, { create: true });
  const inside = found?.slice(root.length);
  if (!found || !inside || OWN_MOUNTS.test(inside)) return undefined;
  return (await stat(found)).isDirectory() ? inside : undefined;
}
