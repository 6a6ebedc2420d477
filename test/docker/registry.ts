import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import * as tar from 'tar-stream';

/** A registry on loopback; engines take loopback registries without TLS. */
export interface Registry {
  readonly host: string;
  /** The digest of an image's manifest: what `name@sha256:…` names. */
  digestOf(image: string): string;
  /** From now on half of each layer is sent, and the rest when `release` is called. */
  hold(): void;
  release(): void;
  close(): Promise<void>;
}

const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const CONFIG = 'application/vnd.docker.container.image.v1+json';
const LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip';

/** Bytes that no other layer has, and that do not shrink when packed. */
async function layerOf(bytes: number): Promise<Buffer> {
  const pack = tar.pack();
  pack.entry({ name: `data-${process.hrtime.bigint()}` }, randomBytes(bytes));
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

interface Made {
  readonly manifest: Buffer;
  readonly config: Buffer;
  readonly layers: readonly Buffer[];
}

/** By the distribution specification: a manifest, a config and layers. */
async function imageOf(contents: readonly (number | Buffer)[]): Promise<Made> {
  const unpacked = await Promise.all(
    contents.map(content => (typeof content === 'number' ? layerOf(content) : content)),
  );
  const layers = unpacked.map(layer => gzipSync(layer));
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: unpacked.map(sha256) },
    }),
  );
  const described = (mediaType: string, bytes: Buffer) => ({
    mediaType,
    size: bytes.length,
    digest: sha256(bytes),
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: described(CONFIG, config),
      layers: layers.map(layer => described(LAYER, layer)),
    }),
  );
  return { manifest, config, layers };
}

type Images = Readonly<Record<string, readonly (number | Buffer)[]>>;

/** `images`: each one's layers, as tar archives or by their sizes, by `name:tag`. */
export async function createRegistry(images: Images = { 'small:1': [32] }): Promise<Registry> {
  const answers = new Map<string, Buffer>([['/v2/', Buffer.from('{}')]]);
  const digests = new Map<string, string>();
  const layers = new Set<Buffer>();
  const held = new Set<() => void>();
  let holding = false;
  for (const [ref, contents] of Object.entries(images)) {
    const made = await imageOf(contents);
    const [name, tag] = ref.split(':');
    const digest = sha256(made.manifest);
    digests.set(ref, digest);
    for (const reference of [tag, digest]) answers.set(`/v2/${name}/manifests/${reference}`, made.manifest);
    for (const blob of [made.config, ...made.layers]) answers.set(`/v2/${name}/blobs/${sha256(blob)}`, blob);
    for (const layer of made.layers) layers.add(layer);
  }

  function answer({ url = '', method }: IncomingMessage, response: ServerResponse): void {
    const body = answers.get(url);
    if (!body) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] }));
      return;
    }
    const isManifest = url.includes('/manifests/');
    response.writeHead(200, {
      'content-type': isManifest ? MANIFEST : 'application/octet-stream',
      'content-length': body.length,
      ...(isManifest ? { 'docker-content-digest': sha256(body) } : {}),
    });
    if (method === 'HEAD') response.end();
    else if (holding && layers.has(body)) {
      const half = body.length >> 1;
      response.write(body.subarray(0, half));
      held.add(() => response.end(body.subarray(half)));
    } else response.end(body);
  }

  const server = createServer(answer);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    digestOf: image => digests.get(image) ?? '',
    hold() {
      holding = true;
    },
    release() {
      holding = false;
      for (const go of held) go();
      held.clear();
    },
    close() {
      server.closeAllConnections();
      return new Promise(resolve => server.close(() => resolve()));
    },
  };
}

/** Runs `body` with a registry of its own. */
export async function withRegistry(
  body: (registry: Registry) => Promise<void>,
  images?: Images,
): Promise<void> {
  const registry = await createRegistry(images);
  try {
    await body(registry);
  } finally {
    await registry.close();
  }
}
