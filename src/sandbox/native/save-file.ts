import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import * as z from 'zod';
import { CodedError } from '../../util/index.ts';

/** A file is no image, or not the one that it says. */
export class BadImage extends CodedError<{ code: 'BAD_IMAGE'; reason: string }> {
  constructor(reason: string, options?: ErrorOptions) {
    super({ code: 'BAD_IMAGE', reason }, reason, options);
  }
}

/** A layer's place in the file. */
export interface Layer {
  readonly offset: number;
  readonly size: number;
  /** Of its plain tar: `sha256:…`. */
  readonly diffId: string;
}

/** An image in a file that `docker save` or `build-base.sh` wrote. */
export interface SavedImage {
  readonly file: string;
  /** Its id, `sha256:…`: the hash of its configuration, which names the hashes of all layers. */
  readonly digest: string;
  readonly tags: readonly string[];
  /** As Docker names it, such as `amd64`. */
  readonly architecture: string;
  readonly env: readonly string[];
  readonly volumes: readonly string[];
  readonly layers: readonly Layer[];
}

const BLOCK = 512;
/** Real ones have a few KiB. */
const MAX_JSON_BYTES = 4 * 2 ** 20;
/** Docker's own limit. */
const MAX_LAYERS = 128;
/** Four for each layer, and a few images. */
const MAX_ENTRIES = 4096;
/** More declared volumes than this are refused; each costs a tmpfs. */
const MAX_VOLUMES = 8;

const text = z.string().max(4096);

const manifestSchema = z
  .array(
    z.object({
      Config: text,
      RepoTags: z.array(text).max(1000).nullish(),
      Layers: z.array(text).min(1).max(MAX_LAYERS),
    }),
  )
  .max(MAX_ENTRIES);

const configSchema = z.object({
  architecture: text,
  os: z.literal('linux'),
  config: z
    .object({
      Env: z
        .array(z.string().max(128 * 1024))
        .max(1000)
        .nullish(),
      Volumes: z.record(text, z.unknown()).nullish(),
    })
    .nullish(),
  rootfs: z.object({ diff_ids: z.array(z.string().regex(/^sha256:[0-9a-f]{64}$/)) }),
});

/** What is said of a layer by its file's place; contents are checked when it is unpacked. @throws BadImage */
export async function readSaveFile(file: string): Promise<SavedImage[]> {
  const handle = await open(file);
  try {
    const places = await placesIn(handle);
    const manifest = await readJson(handle, places, 'manifest.json', manifestSchema);
    return await Promise.all(
      manifest.value.map(async ({ Config, RepoTags, Layers }) => {
        const { value: image, bytes } = await readJson(handle, places, Config, configSchema);
        const ids = image.rootfs.diff_ids;
        if (ids.length !== Layers.length) throw new BadImage('it has not the layers that it says');
        const volumes = Object.keys(image.config?.Volumes ?? {});
        if (volumes.length > MAX_VOLUMES) throw new BadImage(`it declares more than ${MAX_VOLUMES} volumes`);
        return {
          file,
          digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
          tags: RepoTags ?? [],
          architecture: image.architecture,
          env: (image.config?.Env ?? []).filter(line => /^[^=\0]+=[^\0]*$/.test(line)),
          volumes,
          layers: Layers.map((name, at) => ({ ...placeOf(places, name), diffId: ids[at] as string })),
        };
      }),
    );
  } finally {
    await handle.close();
  }
}

interface Place {
  readonly offset: number;
  readonly size: number;
}

/** Where each file's bytes are, by its name. The names in such a file are short: no extension of the format is needed. */
async function placesIn(handle: FileHandle): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  const { size: end } = await handle.stat();
  const header = Buffer.alloc(BLOCK);
  for (let at = 0, entries = 0; at + BLOCK <= end; ) {
    await handle.read(header, 0, BLOCK, at);
    if (header.every(byte => byte === 0)) break;
    if (header.toString('latin1', 257, 262) !== 'ustar') throw new BadImage('it is no tar file');
    if (++entries > MAX_ENTRIES) throw new BadImage('it has more files than an image has');
    const size = Number.parseInt(field(header, 124, 12) || '0', 8);
    if (!Number.isSafeInteger(size) || at + BLOCK + size > end) throw new BadImage('it ends too early');
    const name = [field(header, 345, 155), field(header, 0, 100)].filter(Boolean).join('/');
    places.set(name.replace(/^(\.\/)+/, ''), { offset: at + BLOCK, size });
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return places;
}

function field(header: Buffer, at: number, length: number): string {
  const raw = header.subarray(at, at + length);
  const end = raw.indexOf(0);
  return raw.toString('utf8', 0, end < 0 ? length : end).trim();
}

function placeOf(places: ReadonlyMap<string, Place>, name: string): Place {
  const place = places.get(name.replace(/^(\.\/)+/, ''));
  if (!place) throw new BadImage(`it has no ${JSON.stringify(name.slice(0, 100))}`);
  return place;
}

async function readJson<T>(
  handle: FileHandle,
  places: ReadonlyMap<string, Place>,
  name: string,
  schema: z.ZodType<T>,
): Promise<{ value: T; bytes: Buffer }> {
  const { offset, size } = placeOf(places, name);
  if (size > MAX_JSON_BYTES) throw new BadImage(`its ${name} is too long`);
  const bytes = Buffer.alloc(size);
  await handle.read(bytes, 0, size, offset);
  try {
    return { value: schema.parse(JSON.parse(bytes.toString())), bytes };
  } catch (cause) {
    throw new BadImage(`its ${name} cannot be read`, { cause });
  }
}
